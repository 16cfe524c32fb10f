//! The real disk: descriptors, and inotify for word of changes.
//!
//! Two inotify instances: one for folders and closed writers, one for growth, armed once per quiet spell so that
//! a busy writer does not pay for an event per line. A file is opened without following its last symlink, and what
//! was opened is checked afterwards by where it really is, so nothing can be swapped in between.

use super::disk::{Change, Disk, Inode, LogFile, Name, OpenError, Stat, WatchId};
use super::gzip::GzipFile;
use super::passing::{NameEvent, Passing};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Marks the watches of the instance for growth.
const GROWTH: u64 = 1 << 32;

/// An open file of the real disk.
#[derive(Debug)]
pub enum OsFile {
    /// As the runtime writes it.
    Plain(File),
    /// As the kubelet packed it.
    Gzip(Box<GzipFile>),
}

impl OsFile {
    fn file(&self) -> &File {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(packed) => packed.file(),
        }
    }
}

impl LogFile for OsFile {
    fn stat(&self) -> io::Result<Stat> {
        // Not rustix's: its fields have other types on other processors.
        let stat = self.file().metadata()?;
        Ok(Stat {
            inode: Inode { dev: stat.dev(), ino: stat.ino() },
            bytes: stat.size(),
            links: stat.nlink(),
            modified_ns: stat.mtime().saturating_mul(1_000_000_000).saturating_add(stat.mtime_nsec()),
        })
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read_at(buffer, offset),
            Self::Gzip(packed) => packed.read_at(buffer, offset),
        }
    }
}

/// The real disk.
#[derive(Debug)]
pub struct OsDisk {
    log_dir: PathBuf,
    /// Where symlinks may lead, as configured: each is resolved when it is needed, as it may come later than the agent.
    link_dirs: Vec<PathBuf>,
    folders: OwnedFd,
    growth: OwnedFd,
}

impl OsDisk {
    /// A disk on which `log_dir` and `link_dirs` may be read. `log_dir` itself may be a symlink.
    ///
    /// # Errors
    /// `log_dir` is not there, or the system has no inotify instance left (`fs.inotify.max_user_instances`).
    pub fn new(log_dir: &Path, link_dirs: &[PathBuf]) -> io::Result<Self> {
        let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
        let log_dir = log_dir.canonicalize()?;
        Ok(Self {
            log_dir,
            link_dirs: link_dirs.to_vec(),
            folders: inotify::init(flags)?,
            growth: inotify::init(flags)?,
        })
    }

    /// The log directory with its symlinks resolved.
    #[must_use]
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// Sleeps until something changes, `other` is readable, or the time is over.
    ///
    /// # Errors
    /// Those of `poll`, but for interruptions.
    pub fn wait(&self, others: &[BorrowedFd<'_>], timeout: Duration) -> io::Result<()> {
        let own = [PollFd::new(&self.folders, PollFlags::IN), PollFd::new(&self.growth, PollFlags::IN)];
        let others = others.iter().map(|other| PollFd::from_borrowed_fd(*other, PollFlags::IN));
        let mut fds: Vec<PollFd<'_>> = own.into_iter().chain(others).collect();
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a link may lead to this path, in which no symlink is left.
    fn may_lead_to(&self, path: &Path) -> bool {
        self.link_dirs.iter().any(|dir| dir.canonicalize().is_ok_and(|dir| path.starts_with(dir)))
    }

    fn open_plain(&self, path: &Path) -> Result<File, OpenError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (file, is_link) = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => (File::from(fd), false),
            Err(Errno::LOOP) => {
                let target = path.canonicalize().map_err(gone_or)?;
                (File::from(rustix::fs::open(&target, flags, Mode::empty()).map_err(|e| gone_or(e.into()))?), true)
            }
            Err(error) => return Err(gone_or(error.into())),
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&file).map_err(io::Error::from)?.st_mode) != FileType::RegularFile
        {
            return Err(OpenError::NotAFile);
        }
        let place = std::fs::read_link(by_descriptor(&file))?;
        // What docker rotated lies beside the file to which its link leads.
        let is_own = !is_link && place.starts_with(&self.log_dir);
        if is_own || self.may_lead_to(&place) { Ok(file) } else { Err(OpenError::LeadsOut(place)) }
    }

    fn watch(&self, growth: bool, path: impl rustix::path::Arg, flags: WatchFlags) -> io::Result<WatchId> {
        let instance = if growth { &self.growth } else { &self.folders };
        let watch = inotify::add_watch(instance, path, flags)?;
        let number = u64::try_from(watch).map_err(io::Error::other)?;
        Ok(WatchId(if growth { GROWTH | number } else { number }))
    }
}

fn gone_or(error: io::Error) -> OpenError {
    if error.kind() == io::ErrorKind::NotFound { OpenError::Gone } else { OpenError::Io(error) }
}

fn name_event(events: ReadFlags) -> Option<NameEvent> {
    let known = [
        (ReadFlags::CREATE, NameEvent::Created),
        (ReadFlags::MOVED_FROM, NameEvent::MovedFrom),
        (ReadFlags::MOVED_TO, NameEvent::MovedTo),
        (ReadFlags::DELETE, NameEvent::Deleted),
    ];
    known.into_iter().find(|(flag, _)| events.contains(*flag)).map(|(_, what)| what)
}

fn by_descriptor(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

impl Disk for OsDisk {
    type File = OsFile;

    fn list(&mut self, folder: &Path) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            names.push(Name { name, is_dir: entry.file_type()?.is_dir() });
        }
        Ok(names)
    }

    fn open(&mut self, path: &Path, is_gzip: bool) -> Result<OsFile, OpenError> {
        let file = self.open_plain(path)?;
        Ok(if is_gzip { OsFile::Gzip(Box::new(GzipFile::new(file))) } else { OsFile::Plain(file) })
    }

    fn inode_of(&mut self, path: &Path) -> Option<Inode> {
        let stat = rustix::fs::stat(path).ok()?;
        Some(Inode { dev: stat.st_dev, ino: stat.st_ino })
    }

    fn link_target(&mut self, path: &Path) -> Option<PathBuf> {
        std::fs::read_link(path).ok()?;
        let target = path.canonicalize().ok()?;
        self.may_lead_to(&target).then_some(target)
    }

    fn watch_folder(&mut self, folder: &Path) -> io::Result<WatchId> {
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        self.watch(false, folder, flags)
    }

    fn watch_close(&mut self, file: &OsFile) -> Option<WatchId> {
        self.watch(false, by_descriptor(file.file()), WatchFlags::CLOSE_WRITE).ok()
    }

    fn watch_growth(&mut self, file: &OsFile) -> Option<WatchId> {
        self.watch(true, by_descriptor(file.file()), WatchFlags::MODIFY | WatchFlags::ONESHOT).ok()
    }

    /// A read lease is refused while a writer is there (`fcntl(2)`). It is given back at once; who opens the file for
    /// writing in between waits for that moment, and the agent gets a SIGIO, which `run` does not die of.
    fn has_writer(&mut self, file: &OsFile) -> Option<bool> {
        let fd = file.file().as_raw_fd();
        // SAFETY: this operation takes an integer and touches no memory of ours; the descriptor is open.
        let taken = unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) };
        if taken != 0 {
            let is_refused = io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock;
            return is_refused.then_some(true);
        }
        // SAFETY: as above.
        unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
        Some(false)
    }

    fn unwatch(&mut self, watch: WatchId) {
        let instance = if watch.0 & GROWTH == 0 { &self.folders } else { &self.growth };
        if let Ok(number) = i32::try_from(watch.0 & !GROWTH) {
            // A watch whose file is gone has been removed by the kernel already.
            let _gone = inotify::remove_watch(instance, number);
        }
    }

    fn changes(&mut self, out: &mut Vec<Change>) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut passing = Passing::default();
        for (fd, mark) in [(&self.folders, 0), (&self.growth, GROWTH)] {
            let mut reader = Reader::new(fd, &mut buffer);
            while let Ok(event) = reader.next() {
                let events = event.events();
                if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                    out.push(Change::Overflow);
                    continue;
                }
                let Ok(number) = u64::try_from(event.wd()) else { continue };
                let watch = WatchId(mark | number);
                if events.contains(ReadFlags::CLOSE_WRITE) {
                    out.push(Change::Closed(watch));
                } else if events.contains(ReadFlags::IGNORED) {
                    out.push(Change::Unwatched(watch));
                } else {
                    let name = event.file_name().and_then(|name| name.to_str().ok());
                    if let (Some(name), Some(what)) = (name, name_event(events))
                        && passing.has_passed(watch, name, what)
                    {
                        out.push(Change::Passed(watch, name.to_owned()));
                    }
                    out.push(Change::Touched(watch));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_may_lead_to_a_folder_that_came_after_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (logs, docker) = (root.join("pods"), root.join("docker"));
        std::fs::create_dir(&logs).unwrap();
        let mut disk = OsDisk::new(&logs, std::slice::from_ref(&docker)).unwrap();
        std::fs::create_dir(&docker).unwrap();
        for (file, link) in [(docker.join("a.log"), logs.join("0.log")), (root.join("secret"), logs.join("1.log"))] {
            File::create(&file).unwrap();
            std::os::unix::fs::symlink(&file, &link).unwrap();
        }
        assert!(disk.open(&logs.join("0.log"), false).is_ok());
        assert_eq!(disk.link_target(&logs.join("0.log")), Some(docker.join("a.log")));
        assert!(matches!(disk.open(&logs.join("1.log"), false), Err(OpenError::LeadsOut(_))));
        assert!(disk.open(&docker.join("a.log"), false).is_ok(), "what docker rotated");
    }

    #[test]
    fn a_writer_is_seen_while_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let writer = File::create(&path).unwrap();
        let mut disk = OsDisk::new(folder.path(), &[]).unwrap();
        let file = disk.open(&path.canonicalize().unwrap(), false).unwrap();
        assert_eq!(disk.has_writer(&file), Some(true));
        drop(writer);
        assert_eq!(disk.has_writer(&file), Some(false));
        File::options().append(true).open(&path).unwrap();
    }
}

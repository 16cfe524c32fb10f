//! One run of one container: two threads that drain its pipes into its log file.
//!
//! In: the read ends of its stdout and stderr. Out: `CONTAINER/N.log`, one write per line. Never: back-pressure
//! of its own beyond the pipe's; a decision when to rotate.

use super::framer::{Format, Framer, StdStream};
use crate::clock;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Where the log files of one run of a container are.
#[derive(Clone, Debug)]
pub struct Place {
    /// `…/pods/NS_POD_UID/CONTAINER`; made if it is not there.
    pub folder: PathBuf,
    /// N of `N.log`: how often the container was started before.
    pub attempt: u32,
    /// Whose files.
    pub format: Format,
    /// Docker's own folder for this run (`…/containers/ID`): the file is there, and `N.log` links to it.
    pub docker_folder: Option<PathBuf>,
}

/// The logger of one run of a container. Dropping it does not stop the threads; the ends of the pipes do.
#[derive(Debug)]
pub struct ContainerLog {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    /// The file itself, not a link to it.
    pub(super) file_path: PathBuf,
    format: Format,
    sides: [Mutex<Side>; 2],
    bytes: AtomicU64,
}

#[derive(Debug)]
struct Side {
    framer: Framer,
    /// None once the pipe has ended.
    file: Option<Arc<File>>,
}

impl ContainerLog {
    /// Opens the file and starts to drain the pipes.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn start(
        place: &Place,
        stdout: impl Read + Send + 'static,
        stderr: impl Read + Send + 'static,
    ) -> io::Result<Self> {
        fs::create_dir_all(&place.folder)?;
        let link = place.folder.join(format!("{}.log", place.attempt));
        let file_path = match &place.docker_folder {
            None => link,
            Some(folder) => {
                fs::create_dir_all(folder)?;
                let id = folder.file_name().unwrap_or_default().to_string_lossy();
                let path = folder.join(format!("{id}-json.log"));
                std::os::unix::fs::symlink(&path, &link)?;
                path
            }
        };
        let file = Arc::new(open(&file_path)?);
        let side = |std_stream| {
            Mutex::new(Side { framer: Framer::new(place.format, std_stream), file: Some(Arc::clone(&file)) })
        };
        let sides = [side(StdStream::Stdout), side(StdStream::Stderr)];
        let shared = Arc::new(Shared { file_path, format: place.format, sides, bytes: AtomicU64::new(0) });
        let pipes: [Box<dyn Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        let threads = pipes.into_iter().enumerate().map(|(which, pipe)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.drain(which, pipe))
        });
        let threads = threads.collect();
        Ok(Self { shared, threads })
    }

    /// The file that is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.file_path
    }

    /// Bytes in all files of this run so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// What `ReopenContainerLog` does after somebody renamed the file: the new file is opened first, then the
    /// old one gets its half line and is closed.
    ///
    /// # Errors
    /// The new file cannot be opened, or the old one not be written.
    pub fn reopen(&self) -> io::Result<()> {
        self.shared.reopen()
    }

    /// Copies the file to `TO` and empties it, with no line in between.
    ///
    /// # Errors
    /// Those of the copy.
    pub fn copy_and_truncate(&self, to: &Path) -> io::Result<()> {
        let _held: Vec<_> = self.shared.sides.iter().map(lock).collect();
        fs::copy(&self.shared.file_path, to)?;
        OpenOptions::new().write(true).truncate(true).open(&self.shared.file_path)?;
        Ok(())
    }

    /// Waits until both pipes have ended and the file is closed.
    ///
    /// # Errors
    /// What went wrong while reading or writing.
    pub fn finish(self) -> io::Result<u64> {
        for thread in self.threads {
            thread.join().map_err(|_| io::Error::other("a logger thread panicked"))??;
        }
        Ok(self.shared.bytes.load(Ordering::Relaxed))
    }
}

impl Shared {
    pub(super) fn reopen(&self) -> io::Result<()> {
        let new = Arc::new(open(&self.file_path)?);
        for side in &self.sides {
            let mut guard = lock(side);
            let next = guard.framer.reopened();
            let Some(old) = guard.file.as_mut().map(|file| std::mem::replace(file, Arc::clone(&new))) else { continue };
            let mut framer = std::mem::replace(&mut guard.framer, next);
            drop(guard);
            framer.close(clock::wall_ns(), &mut |line| self.write(&old, line))?;
        }
        Ok(())
    }

    /// Whether both pipes have ended.
    pub(super) fn is_closed(&self) -> bool {
        self.sides.iter().all(|side| lock(side).file.is_none())
    }

    fn drain(&self, which: usize, mut pipe: Box<dyn Read + Send>) -> io::Result<()> {
        let mut buffer = vec![0; self.format.read_bytes()];
        loop {
            let n = match pipe.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut guard = lock(&self.sides[which]);
            let Side { framer, file } = &mut *guard;
            let Some(open) = file else { return Ok(()) };
            let mut write = |line: &[u8]| self.write(open, line);
            if n > 0 {
                framer.feed(&buffer[..n], &mut clock::wall_ns, &mut write)?;
            } else {
                let flushed = framer.close(clock::wall_ns(), &mut write);
                *file = None;
                return flushed;
            }
        }
    }

    /// On a full disk it goes on, as containerd does ("continue on write error to drain the container output"): the line,
    /// or its rest, is in no file.
    fn write(&self, mut file: &File, line: &[u8]) -> io::Result<()> {
        match file.write_all(line) {
            Ok(()) => self.bytes.fetch_add(line.len() as u64, Ordering::Relaxed),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error),
        };
        Ok(())
    }
}

fn lock(side: &Mutex<Side>) -> MutexGuard<'_, Side> {
    side.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

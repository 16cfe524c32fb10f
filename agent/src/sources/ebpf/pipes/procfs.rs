//! Reads procfs: processes, their parents, cgroups and descriptors.
//!
//! In: the root of a procfs, or of a made-up tree of the same form. Out: what was there at that moment. Never: an error
//! because a process ended meanwhile, or a write.

use super::cgroup::{CgroupPlace, place};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

/// Bytes read of `stat`: its 22 fields are far shorter.
const STAT_BYTES: usize = 1_024;
/// Bytes read of `cgroup`: a dozen hierarchies with deep paths.
const CGROUP_BYTES: usize = 8 * 1_024;
/// Bytes read of `fdinfo/N`: the flags stand in its second line.
const FDINFO_BYTES: usize = 256;
/// Fields of `stat` between the parent and the start time.
const PARENT_TO_START: usize = 17;
/// The bits of `flags` that say how a descriptor is open: 0 reading, 1 writing, 2 both.
const ACCESS_MODE: u32 = 0o3;

/// One process, for as long as the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// When it started, clock ticks since boot. First, so that the older process is the smaller one.
    pub started: u64,
    /// Its number (thread group).
    pub pid: u32,
}

/// What `stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: u32,
    pub(super) started: u64,
}

/// What a descriptor leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An anonymous pipe, by inode.
    Pipe(u64),
    /// Anything else.
    Path(PathBuf),
}

/// A procfs.
#[derive(Debug)]
pub(super) struct Procfs {
    root: PathBuf,
    /// Processes whose descriptors were asked for, and whether that was refused.
    asked: RefCell<HashMap<u32, bool>>,
}

impl Procfs {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, asked: RefCell::default() }
    }

    /// How many processes with descriptors were asked for them since the last call, and how many of these were out of reach.
    pub(super) fn take_asked(&self) -> (usize, usize) {
        let asked = self.asked.take();
        (asked.len(), asked.values().filter(|is_denied| **is_denied).count())
    }

    /// All processes.
    ///
    /// # Errors
    /// The root cannot be listed.
    pub(super) fn pids(&self) -> io::Result<Vec<u32>> {
        let names = std::fs::read_dir(&self.root)?.flatten();
        Ok(names.filter_map(|entry| number(entry.file_name().to_str()?)).collect())
    }

    /// `None`: it has ended.
    pub(super) fn stat(&self, pid: u32) -> Option<Stat> {
        let mut buffer = [0; STAT_BYTES];
        parse_stat(self.read(&format!("{pid}/stat"), &mut buffer)?)
    }

    /// Its place in the tree of cgroups. Empty if it has ended.
    pub(super) fn cgroup(&self, pid: u32) -> CgroupPlace {
        let mut buffer = [0; CGROUP_BYTES];
        self.read(&format!("{pid}/cgroup"), &mut buffer).map(place).unwrap_or_default()
    }

    /// The pipe that a descriptor leads to.
    pub(super) fn pipe_at(&self, pid: u32, descriptor: u32) -> Option<u64> {
        match self.target(pid, descriptor)? {
            Target::Pipe(inode) => Some(inode),
            Target::Path(_) => None,
        }
    }

    /// All descriptors that are open.
    pub(super) fn descriptors(&self, pid: u32) -> Vec<(u32, Target)> {
        let folder = self.root.join(format!("{pid}/fd"));
        let Some(names) = self.note(pid, std::fs::read_dir(folder)) else { return Vec::new() };
        let numbers = names.flatten().filter_map(|entry| number(entry.file_name().to_str()?));
        numbers.filter_map(|descriptor| Some((descriptor, self.target(pid, descriptor)?))).collect()
    }

    /// Whether the descriptor is open for reading, and for writing.
    pub(super) fn access(&self, pid: u32, descriptor: u32) -> Option<(bool, bool)> {
        let mut buffer = [0; FDINFO_BYTES];
        let text = self.read(&format!("{pid}/fdinfo/{descriptor}"), &mut buffer)?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let mode = u32::from_str_radix(flags.trim(), 8).ok()? & ACCESS_MODE;
        Some((mode != 1, mode != 0))
    }

    /// Whether the descriptor is a named pipe.
    pub(super) fn is_fifo(&self, pid: u32, descriptor: u32) -> bool {
        let metadata = std::fs::metadata(self.root.join(format!("{pid}/fd/{descriptor}")));
        metadata.is_ok_and(|metadata| metadata.file_type().is_fifo())
    }

    fn target(&self, pid: u32, descriptor: u32) -> Option<Target> {
        let path = self.root.join(format!("{pid}/fd/{descriptor}"));
        let target = self.note(pid, std::fs::read_link(path))?;
        let pipe = target.to_str().and_then(|text| text.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok());
        Some(pipe.map_or(Target::Path(target), Target::Pipe))
    }

    /// The start of a small file, which procfs gives in one piece.
    fn read<'a>(&self, path: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
        let mut file = File::open(self.root.join(path)).ok()?;
        let bytes = file.read(buffer).ok()?;
        let text = buffer.get(..bytes)?;
        // A program may call itself anything; what is read here stands behind that name.
        match std::str::from_utf8(text) {
            Ok(text) => Some(text),
            Err(_) => std::str::from_utf8(text.get(text.iter().rposition(|b| *b == b')')?..)?).ok(),
        }
    }

    fn note<T>(&self, pid: u32, result: io::Result<T>) -> Option<T> {
        let is_denied = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        // A kernel thread has no descriptors, whoever asks.
        if is_denied || result.is_ok() {
            *self.asked.borrow_mut().entry(pid).or_default() |= is_denied;
        }
        result.ok()
    }
}

fn number(name: &str) -> Option<u32> {
    name.bytes().all(|b| b.is_ascii_digit()).then(|| name.parse().ok())?
}

/// `PID (NAME) STATE PARENT … START …`, where the name may hold anything, brackets too.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(PARENT_TO_START)?.parse().ok()?;
    Some(Stat { parent, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_any_name() {
        for name in ["sh", "a b", "x) S 1 (y", "\u{fffd}"] {
            let text = format!("7 ({name}) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9 9\n");
            assert_eq!(parse_stat(&text), Some(Stat { parent: 3, started: 4_711 }), "{name}");
        }
        assert_eq!(parse_stat("7 (sh) S 3"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process_is_found_in_the_real_tree() {
        let procfs = Procfs::new("/proc".into());
        let (reader, writer) = io::pipe().unwrap();
        let own = std::process::id();
        assert!(procfs.pids().unwrap().contains(&own));
        assert_eq!(procfs.stat(own).unwrap().parent, std::os::unix::process::parent_id());
        let number = |fd: &dyn std::os::fd::AsRawFd| u32::try_from(fd.as_raw_fd()).unwrap();
        let (read, write) = (number(&reader), number(&writer));
        let inode = procfs.pipe_at(own, read).unwrap();
        assert_eq!(procfs.pipe_at(own, write), Some(inode));
        assert_eq!((procfs.access(own, read), procfs.access(own, write)), (Some((true, false)), Some((false, true))));
        assert!(procfs.descriptors(own).contains(&(read, Target::Pipe(inode))));
        assert_eq!((procfs.take_asked(), procfs.take_asked()), ((1, 0), (0, 0)));
    }

    #[test]
    fn a_process_that_ended_gives_nothing() {
        let procfs = Procfs::new("/proc".into());
        let nobody = u32::MAX;
        assert_eq!((procfs.stat(nobody), procfs.pipe_at(nobody, 1)), (None, None));
        assert_eq!(procfs.cgroup(nobody), CgroupPlace::default());
        assert!(procfs.descriptors(nobody).is_empty());
        assert_eq!(procfs.take_asked(), (0, 0));
    }
}

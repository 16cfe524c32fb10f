//! A process that may be a shim: the pipes that it reads, the log files that it writes.
//!
//! In: its descriptors. Out: the same, sorted by use. Never: a pipe that it holds only for writing.

use super::owner::of_open_logs;
use super::procfs::{Procfs, Target};
use crate::types::capture::Owner;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What a process has open, as far as it matters.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Inode of each pipe that it can read, and the descriptor.
    pub(super) pipes: HashMap<u64, u32>,
    /// Files of the log directory that it can write.
    logs: Vec<PathBuf>,
    /// It has a named pipe open: what it logs may come that way, as containerd's does from its shims.
    has_fifo: bool,
}

impl Reader {
    pub(super) fn new(procfs: &Procfs, pid: u32, log_dir: &Path) -> Self {
        let mut reader = Self::default();
        let mut others = Vec::new();
        for (descriptor, target) in procfs.descriptors(pid) {
            let access = || procfs.access(pid, descriptor).unwrap_or((false, false));
            match target {
                Target::Pipe(inode) if access().0 => {
                    reader.pipes.insert(inode, descriptor);
                }
                Target::Path(path) if path.starts_with(log_dir) && access().1 => reader.logs.push(path),
                Target::Path(_) => others.push(descriptor),
                Target::Pipe(_) => {}
            }
        }
        reader.has_fifo =
            !reader.logs.is_empty() && others.into_iter().any(|descriptor| procfs.is_fifo(pid, descriptor));
        reader
    }

    /// The container instance whose log it writes itself, if that is one. One that has named pipes open logs what comes
    /// through them, and its pipes are those of its helpers, unless these are in a container (`is_container`): conmon's.
    pub(super) fn owner(&self, is_container: bool) -> Option<Owner> {
        if self.has_fifo && !is_container {
            return None;
        }
        of_open_logs(self.logs.iter().map(PathBuf::as_path))
    }
}

/// The readers seen in one look, each asked once.
#[derive(Debug)]
pub(super) struct Readers<'a> {
    pub(super) procfs: &'a Procfs,
    pub(super) log_dir: &'a Path,
    asked: HashMap<u32, Reader>,
}

impl<'a> Readers<'a> {
    pub(super) fn new(procfs: &'a Procfs, log_dir: &'a Path) -> Self {
        Self { procfs, log_dir, asked: HashMap::new() }
    }

    pub(super) fn get(&mut self, pid: u32) -> &Reader {
        self.asked.entry(pid).or_insert_with(|| Reader::new(self.procfs, pid, self.log_dir))
    }
}

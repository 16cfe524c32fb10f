//! Which pipes are the stdout and stderr of which container.
//!
//! In: procfs, links to log files. Out: pipes to follow, and word of them for the handover. Never: a pipe of a process
//! that was started in a container from outside, an inner pipe, or one whose log is not known.
//!
//! [`Looker`] looks once and says what has changed; [`Finder`] looks again and again on a thread of its own.
//!
//! A container's pipes are those that its shim reads and its first process or a descendant of that writes. The shim (or
//! conmon, or a logger) is the parent of the first process; of its children in one container the oldest is the first, the
//! others were entered from outside. Such a pipe is followed until its reader closes it.

mod cgroup;
mod containers;
mod finder;
mod look;
mod owner;
mod procfs;
mod reader;
mod suspects;
mod table;

#[cfg(test)]
mod tests;

pub use finder::{Finder, Follow};
pub use look::{Difference, FoundPipe, Looker, PipeEnds};
pub use procfs::ProcessId;

use std::path::PathBuf;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// The procfs of the node: `/proc` in the node's process namespace.
    pub procfs: PathBuf,
    /// The log directory (`/var/log/pods`), its symlinks resolved.
    pub log_dir: PathBuf,
    /// Folders with links `POD_NS_CONTAINER-ID.log` into it (`/var/log/containers`).
    pub link_dirs: Vec<PathBuf>,
}

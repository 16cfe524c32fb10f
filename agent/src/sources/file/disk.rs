//! What the file source needs of a disk: listing, opening, reading at an offset, and word of changes.
//!
//! The real one is `os`; the simulation has one in memory. Never: a decision about what to read.

use std::io;
use std::path::{Path, PathBuf};

/// Names a file while it exists: device and inode. Reused by the kernel once the last descriptor is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inode {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// What `fstat` says, as far as it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Which file.
    pub inode: Inode,
    /// Bytes on disk (of a gzipped file: of the packed form).
    pub bytes: u64,
    /// Number of names left; 0 once it is deleted.
    pub links: u64,
    /// Last change of the content, nanoseconds since the Unix epoch.
    pub modified_ns: i64,
}

/// An open log file. Reading needs no position of its own, so that it can be read again.
pub trait LogFile {
    /// The file as it is now.
    ///
    /// # Errors
    /// Those of `fstat`.
    fn stat(&self) -> io::Result<Stat>;

    /// Bytes at `offset` (of the unpacked content), 0 at the end. Fills `buffer` where there is enough.
    ///
    /// # Errors
    /// Those of `pread`, or a damaged gzip file.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is gone again.
    #[error("is gone")]
    Gone,
    /// Not a regular file: a folder, a pipe, a device.
    #[error("is not a regular file; only regular files are read as logs")]
    NotAFile,
    /// A symlink that leads out of the log tree.
    #[error("leads to {0}, outside log_dir and log_link_dirs; add that folder to log_link_dirs if it is the runtime's")]
    LeadsOut(PathBuf),
    /// The system said no.
    #[error("{0}; the agent must be able to read it (root, or CAP_DAC_READ_SEARCH)")]
    Io(#[from] io::Error),
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name, without the folder.
    pub name: String,
    /// Whether it is a folder. A symlink is not.
    pub is_dir: bool,
}

/// A watch, as the disk numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchId(pub u64);

/// Word of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Names came, went or moved in a watched folder, or an armed file has grown.
    Touched(WatchId),
    /// A file came into a watched folder and, under this name, went again, both since the last call.
    Passed(WatchId, String),
    /// A writer closed a watched file.
    Closed(WatchId),
    /// The system took a watch back: what was watched is gone, though its name may be there again.
    Unwatched(WatchId),
    /// Some changes were lost: look at everything.
    Overflow,
}

/// A disk.
pub trait Disk {
    /// An open file.
    type File: LogFile;

    /// The names in a folder, in no order.
    ///
    /// # Errors
    /// Those of `opendir` and `readdir`.
    fn list(&mut self, folder: &Path) -> io::Result<Vec<Name>>;

    /// Opens for reading. Follows a symlink only into the folders that are allowed.
    ///
    /// # Errors
    /// [`OpenError`].
    fn open(&mut self, path: &Path, is_gzip: bool) -> Result<Self::File, OpenError>;

    /// Which file a name stands for now, symlinks followed; `None` where it is gone.
    fn inode_of(&mut self, path: &Path) -> Option<Inode>;

    /// Where a symlink leads, made absolute; `None` where the path is no symlink, or one that may not be followed.
    fn link_target(&mut self, path: &Path) -> Option<PathBuf>;

    /// Asks for word of names that come, go or move in a folder.
    ///
    /// # Errors
    /// The system refuses, or the folder is gone or may not be read.
    fn watch_folder(&mut self, folder: &Path) -> io::Result<WatchId>;

    /// Asks for word when a writer closes this file.
    fn watch_close(&mut self, file: &Self::File) -> Option<WatchId>;

    /// Asks for word, once, when this file grows.
    fn watch_growth(&mut self, file: &Self::File) -> Option<WatchId>;

    /// Whether anybody has this file open for writing; `None` where the system does not tell.
    fn has_writer(&mut self, file: &Self::File) -> Option<bool>;

    /// Takes back a watch.
    fn unwatch(&mut self, watch: WatchId);

    /// What has changed since the last call.
    fn changes(&mut self, out: &mut Vec<Change>);
}

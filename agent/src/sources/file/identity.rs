//! Which log file this is, by content: its folder and its first line.
//!
//! CRI and docker lines carry a time in nanoseconds, so a first line names its file, also after a rename, a copy,
//! gzip, or when the kernel gives its inode to another. Never: an inode alone.

use super::disk::LogFile;
use crate::limits::IDENTITY_BYTES;
use crate::types::position::FileId;
use xxhash_rust::xxh3::xxh3_64;

/// Reads the identity of a file in the pod log folder `folder` (relative to `log_dir`, so that it holds over
/// mounts). `None` while its first line is not complete.
pub fn identify<F: LogFile>(folder: &str, file: &mut F) -> Option<FileId> {
    let mut head = [0; IDENTITY_BYTES];
    let length = file.read_at(&mut head, 0).ok()?;
    let head = head.get(..length)?;
    match memchr::memchr(b'\n', head) {
        Some(end) => Some(of(folder, head.get(..end)?)),
        None if length == IDENTITY_BYTES => Some(of(folder, head)),
        None => None,
    }
}

/// The identity of a file in `folder` whose first line begins with `head`.
#[must_use]
pub fn of(folder: &str, head: &[u8]) -> FileId {
    let mut bytes = Vec::with_capacity(folder.len() + 1 + head.len());
    bytes.extend_from_slice(folder.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(head);
    FileId(xxh3_64(&bytes))
}

//! Which log file this is, by content: its folder and its first line.
//!
//! CRI and docker lines carry a time in nanoseconds, so a first line names its file, also after a rename, a copy,
//! gzip, or when the kernel gives its inode to another. Never: an inode alone.

use super::disk::LogFile;
use crate::limits::{IDENTITY_BYTES, IDENTITY_BYTES_MAX};
use crate::types::position::FileId;
use std::io;
use xxhash_rust::xxh3::xxh3_64;

/// Reads the identity of a file of restart number `restart` in the folder `folder` (relative to `log_dir`, so that it
/// holds over mounts). `None` while its first line is not complete.
///
/// # Errors
/// Those of reading: nothing is known of the file then, least of all that it is another.
pub fn identify<F: LogFile>(folder: &str, restart: u32, file: &mut F) -> io::Result<Option<FileId>> {
    let mut head = vec![0; IDENTITY_BYTES];
    let mut length = file.read_at(&mut head, 0)?;
    if length == IDENTITY_BYTES && memchr::memchr(b'\n', &head).is_none() {
        head.resize(IDENTITY_BYTES_MAX, 0);
        length = file.read_at(&mut head, 0)?;
    }
    let head = head.get(..length).unwrap_or_default();
    let line = match memchr::memchr(b'\n', head) {
        Some(end) => head.get(..end),
        None => Some(head).filter(|_| length == IDENTITY_BYTES_MAX),
    };
    Ok(line.map(|line| of(folder, restart, line)))
}

/// The identity of a file whose first line is or begins with `head`.
fn of(folder: &str, restart: u32, head: &[u8]) -> FileId {
    let mut bytes = format!("{folder}\0{restart}\0").into_bytes();
    bytes.extend_from_slice(head);
    FileId(xxh3_64(&bytes))
}

//! What a producer wrote, one number per line: the hash of the line as Loki should have it.
//!
//! In: hashes, in the order of writing. Out: an append-only file of little-endian `u64`, one file per std
//! stream and run, that another process can count while it grows. Never: the lines themselves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The hash under which a stored line is looked up (xxh3, 64 bits).
#[must_use]
pub fn line_hash(line: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(line)
}

/// Writes one ledger.
#[derive(Debug)]
pub struct LedgerWriter {
    file: File,
    pending: Vec<u8>,
}

impl LedgerWriter {
    /// A new, empty ledger.
    ///
    /// # Errors
    /// The file exists already or cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().create_new(true).append(true).open(path)?, pending: Vec::new() })
    }

    /// Notes a line; it is in the file after the next [`Self::flush`].
    pub fn push(&mut self, hash: u64) {
        self.pending.extend_from_slice(&hash.to_le_bytes());
    }

    /// Appends what was noted.
    ///
    /// # Errors
    /// Those of the write.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

/// Lines in a ledger so far; 0 where there is none yet.
#[must_use]
pub fn lines(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len() / 8)
}

/// Reads a ledger. A last entry that is not whole is left out.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u64>> {
    Ok(fs::read(path)?.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_flushed_can_be_counted_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        assert_eq!(lines(&path), 0);
        let mut ledger = LedgerWriter::create(&path).unwrap();
        ledger.push(7);
        ledger.push(u64::MAX);
        assert_eq!(lines(&path), 0);
        ledger.flush().unwrap();
        assert_eq!((lines(&path), read(&path).unwrap()), (2, vec![7, u64::MAX]));
        assert!(LedgerWriter::create(&path).is_err(), "an old ledger is never continued");
    }
}

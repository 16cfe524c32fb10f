//! By what a line seen by both witnesses is recognised.

use crate::types::entry::Record;
use xxhash_rust::xxh3::xxh3_64;

/// A line without its bytes: the same for both witnesses, as both leave out the carriage returns before the newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Length of the whole line, bytes.
    pub bytes: u64,
    /// Hash of what is kept of it.
    pub hash: u64,
}

impl Fingerprint {
    /// Of a joined line.
    #[must_use]
    pub fn of(record: &Record<'_>) -> Self {
        Self { bytes: record.full_bytes, hash: xxh3_64(record.content) }
    }

    /// Bytes by which it moves the stream position: the line and its newline.
    #[must_use]
    pub fn advance(&self) -> u64 {
        self.bytes + 1
    }
}

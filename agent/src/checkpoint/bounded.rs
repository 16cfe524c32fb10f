//! Reads a file of `data_dir` as far as it can be ours: whatever stands there, the start needs no more memory than that.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The first `bytes_max` bytes of a file, and how many bytes more it has.
///
/// # Errors
/// Those of opening and reading.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    (&mut file).take(bytes_max).read_to_end(&mut bytes)?;
    Ok((bytes, length.saturating_sub(bytes_max)))
}

//! The files of `data_dir`, whatever became of them: read as far as they can be ours, made with their folder.
//!
//! In: a path. Out: bytes, or an open file. Never: more memory at start than a limit, or a look into the bytes.

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

/// Makes a file anew, and its folder with it where that was deleted while the agent runs.
///
/// # Errors
/// Those of the file system.
pub(super) fn create(path: &Path) -> io::Result<File> {
    match (File::create(path), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            File::create(path)
        }
        (made, _) => made,
    }
}

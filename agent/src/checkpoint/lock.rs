//! One agent per data directory.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Why the data directory could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent has it.
    #[error("{path} is in use by another agent (process {owner}); two agents need two values of data_dir")]
    Taken {
        /// The data directory.
        path: PathBuf,
        /// Its process, as that wrote it.
        owner: String,
    },
    /// It cannot be written to.
    #[error("cannot write to data_dir {path}: {source}; it must be a folder that the agent may write to")]
    Io {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Holds the data directory until it is dropped (or the process ends, however).
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the directory if need be and takes it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(data_dir: &Path) -> Result<Self, LockError> {
        let failed = |source: io::Error| LockError::Io { path: data_dir.to_path_buf(), source };
        std::fs::create_dir_all(data_dir).map_err(failed)?;
        let path = data_dir.join("lock");
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut owner = String::new();
            let _unknown = file.read_to_string(&mut owner);
            let owner = if owner.is_empty() { "unknown".to_owned() } else { owner.trim().to_owned() };
            return Err(LockError::Taken { path: data_dir.to_path_buf(), owner });
        }
        // The number is for messages alone: a full disk must not keep the agent from starting.
        let _unwritten = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let message = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        drop(first);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_a_clear_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = Lock::take(file.path()).unwrap_err().to_string();
        assert!(message.contains("must be a folder"), "{message}");
    }
}

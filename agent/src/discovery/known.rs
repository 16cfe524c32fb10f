//! The pods known in the last run, kept in `data_dir/pods.zst` for a start while the API is down.
//!
//! In: [`Known`], or the file. Out: the file, or [`Known`], or why there is none. Never: a half-written file
//! (it is written beside and renamed), or trust in one: the checksum and the node's name must fit.
//!
//! Layout: the 8 bytes `PENPODS1`, the XXH3 (64 bits, little-endian) of what follows, then one zstd frame of JSON.

use super::book::Known;
use crate::limits::POD_FILE_BYTES_MAX;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"PENPODS1";
const HEAD_BYTES: usize = 16;
const ZSTD_LEVEL: i32 = 3;

/// Why the file of known pods was not read or written. None of it stops the agent: the API is asked anyway.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// The file system.
    #[error("{doing} the known pods {path}: {source}; check that data_dir exists and is writable by the agent")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Not a file of known pods, or one of another version.
    #[error("{path} is not a file of known pods of this version; it is left unused and will be replaced")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// Torn or changed.
    #[error("{path} is damaged ({why}); it is left unused and will be replaced")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// In which way.
        why: String,
    },
    /// `data_dir` comes from elsewhere.
    #[error("{path} has the pods of node {found:?}, this is {wanted:?}; it is left unused and will be replaced")]
    OtherNode {
        /// Which file.
        path: PathBuf,
        /// The node in the file.
        found: String,
        /// The node configured.
        wanted: String,
    },
}

/// The file in `data_dir`.
#[must_use]
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("pods.zst")
}

/// What the last run of this node knew; `Ok(None)` where there was none. Blocks on the disk.
///
/// # Errors
/// [`KnownError`]; go on without.
pub fn load(path: &Path, node_name: &str) -> Result<Option<Known>, KnownError> {
    let io = |source| KnownError::Io { doing: "reading", path: path.to_owned(), source };
    let damaged = |why: String| KnownError::Damaged { path: path.to_owned(), why };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut bytes = Vec::new();
    file.take(POD_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(io)?;
    let Some((head, frame)) = bytes.split_at_checked(HEAD_BYTES) else {
        return Err(damaged(format!("{} bytes only", bytes.len())));
    };
    let (magic, checksum) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(KnownError::Foreign { path: path.to_owned() });
    }
    if checksum != xxh3_64(frame).to_le_bytes() {
        return Err(damaged("its checksum does not fit".to_owned()));
    }
    let mut json = Vec::new();
    zstd::stream::read::Decoder::new(frame)
        .and_then(|decoder| decoder.take(POD_FILE_BYTES_MAX).read_to_end(&mut json))
        .map_err(|error| damaged(error.to_string()))?;
    let known: Known = serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
    if known.node_name != node_name {
        let (found, wanted) = (known.node_name, node_name.to_owned());
        return Err(KnownError::OtherNode { path: path.to_owned(), found, wanted });
    }
    Ok(Some(known))
}

/// Replaces the file, and returns when the disk has it. Blocks on the disk.
///
/// # Errors
/// [`KnownError::Io`]; the old file then still stands.
pub fn save(path: &Path, known: &Known) -> Result<(), KnownError> {
    let io = |source| KnownError::Io { doing: "writing", path: path.to_owned(), source };
    let json = serde_json::to_vec(known).map_err(|error| io(error.into()))?;
    let frame = zstd::stream::encode_all(json.as_slice(), ZSTD_LEVEL).map_err(io)?;
    let beside = path.with_extension("zst.new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(MAGIC)?;
        file.write_all(&xxh3_64(&frame).to_le_bytes())?;
        file.write_all(&frame)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(io)
}

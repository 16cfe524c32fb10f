//! Files that may change under us: tokens, passwords, certificates.
//!
//! In: paths. Out: their bytes, and [`Kept`], the last good thing made of them. Never: a read of something that
//! is not a plain file or is larger than [`FILE_BYTES_MAX`], or a step back from good to nothing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of a file at most; the system's whole list of authorities has a quarter of that.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why the client cannot be set up from its files.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("reading {setting} {}: {error}; it is needed to talk to Loki: mount it, and let this user read it", path.display())]
    Unreadable { setting: &'static str, path: PathBuf, error: io::Error },
    #[error("{setting} {}: {problem}", path.display())]
    Content { setting: &'static str, path: PathBuf, problem: String },
    #[error("{0}")]
    Tls(String),
}

/// The bytes of the file that `setting` names.
pub(super) fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, SetupError> {
    read_plain(path).map_err(|error| SetupError::Unreadable { setting, path: path.to_owned(), error })
}

fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// What tells one version of a file from the next: device, inode, size, times of content and of inode.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

fn stamp(path: &Path) -> Option<Stamp> {
    let of = fs::metadata(path).ok()?;
    Some((of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()))
}

/// The last good thing made of some files.
#[derive(Debug)]
pub(super) struct Kept<T> {
    files: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
    good: Option<T>,
    trouble: Option<String>,
}

impl<T: Clone> Kept<T> {
    /// Nothing yet.
    pub(super) fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { files: files.into_iter().collect(), stamps: Vec::new(), good: None, trouble: None }
    }

    /// Makes it anew if a file has changed or the last try failed; true where that came to something.
    pub(super) fn refresh(&mut self, load: impl FnOnce() -> Result<T, SetupError>) -> bool {
        // Taken before the read: a change in between shows the next time.
        let stamps: Vec<_> = self.files.iter().map(|path| stamp(path)).collect();
        if self.good.is_some() && self.trouble.is_none() && stamps == self.stamps {
            return false;
        }
        let loaded = load();
        let is_new = loaded.is_ok();
        match loaded {
            Ok(good) => {
                if self.good.replace(good).is_some() {
                    tracing::info!(files = ?self.files, "read again what Loki is talked to with");
                }
                self.trouble = None;
            }
            Err(error) => {
                let text = error.to_string();
                if self.trouble.as_ref() != Some(&text) {
                    let goes_on = if self.good.is_some() { "going on with what was read before" } else { "holding" };
                    tracing::warn!(error = text, "cannot read what Loki is talked to with; {goes_on}");
                }
                self.trouble = Some(text);
            }
        }
        self.stamps = stamps;
        is_new
    }

    /// The last good one, or why there never was one.
    pub(super) fn get(&self) -> Result<T, String> {
        self.good.clone().ok_or_else(|| self.trouble.clone().unwrap_or_default())
    }

    /// Whether there is anything to look at again.
    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }
}

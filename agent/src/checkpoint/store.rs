//! The file with the saved positions: written whole and moved into place; read with distrust.
//!
//! `positions` is written soon after every answer, `positions.synced` every few seconds and made sure to be on disk.
//! A damaged file is set aside and said so; reading then begins at the last sure positions, or at the beginning of
//! the files: twice is better than never. Pure but for [`Store`].

use super::data_file;
use crate::limits::{POSITIONS_BYTES_MAX, POSITIONS_FILE_BYTES_MAX};
use crate::types::saved::Positions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8] = b"penstock positions ";
const VERSION: &[u8] = b"1\n";

/// Why a file with positions was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Some other program's.
    #[error("is not a file of saved positions")]
    Foreign,
    /// Of a newer agent.
    #[error("is of another version of the agent")]
    Version,
    /// Torn or altered.
    #[error("is damaged: {0}")]
    Damaged(String),
}

/// The bytes of the file.
///
/// # Errors
/// The packer failed; never seen.
pub fn encode(positions: &Positions) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(positions)?;
    let packed = zstd::bulk::compress(&text, 1)?;
    let mut out = [MAGIC, VERSION].concat();
    out.extend_from_slice(&xxh3_64(&packed).to_le_bytes());
    out.extend_from_slice(&packed);
    Ok(out)
}

/// The positions in the bytes of the file.
///
/// # Errors
/// [`Damage`], for any bytes that [`encode`] has not made.
pub fn decode(bytes: &[u8]) -> Result<Positions, Damage> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Damage::Foreign)?;
    let rest = rest.strip_prefix(VERSION).ok_or(Damage::Version)?;
    let (sum, packed) = rest.split_first_chunk::<8>().ok_or_else(|| Damage::Damaged("it ends early".into()))?;
    if u64::from_le_bytes(*sum) != xxh3_64(packed) {
        return Err(Damage::Damaged("its checksum does not match".into()));
    }
    let text =
        zstd::bulk::decompress(packed, POSITIONS_BYTES_MAX).map_err(|error| Damage::Damaged(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| Damage::Damaged(error.to_string()))
}

/// What a start found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The positions, where there were any that could be read.
    pub positions: Positions,
    /// Neither positions nor a journal were there: this data directory is new.
    pub is_first_start: bool,
    /// What to tell the operator.
    pub messages: Vec<String>,
}

/// Writes into the data directory.
#[derive(Clone, Debug)]
pub struct Store {
    data_dir: PathBuf,
}

impl Store {
    /// Over `data_dir`, which the caller has locked.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_path_buf() }
    }

    /// Reads what was saved. A file that cannot be read is renamed to `….damaged`.
    #[must_use]
    pub fn load(&self) -> Loaded {
        let mut loaded = Loaded { is_first_start: !self.data_dir.join("journal").exists(), ..Loaded::default() };
        loaded.messages.extend(self.set_folders_aside());
        for name in ["positions", "positions.synced"] {
            let path = self.data_dir.join(name);
            let (bytes, left_bytes) = match data_file::read(&path, POSITIONS_FILE_BYTES_MAX) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    loaded.is_first_start = false;
                    loaded.messages.push(format!("{} cannot be read: {error}", path.display()));
                    continue;
                }
            };
            loaded.is_first_start = false;
            let too_long = || Damage::Damaged(format!("it is longer than {POSITIONS_FILE_BYTES_MAX} bytes"));
            match if left_bytes > 0 { Err(too_long()) } else { decode(&bytes) } {
                Ok(positions) => {
                    loaded.positions = positions;
                    return loaded;
                }
                Err(damage) => {
                    let aside = self.data_dir.join(format!("{name}.damaged"));
                    let kept = std::fs::rename(&path, &aside).map_or("", |()| "; it was set aside as .damaged");
                    loaded.messages.push(format!("{} {damage}{kept}", path.display()));
                }
            }
        }
        if !loaded.messages.is_empty() {
            loaded
                .messages
                .push("no saved positions: all log files are read from their beginning, lines may arrive twice".into());
        }
        loaded
    }

    /// A folder that has the name of one of our files would be in the way for good.
    fn set_folders_aside(&self) -> Vec<String> {
        let names =
            ["positions", "positions.new", "positions.synced", "positions.synced.new", "journal", "journal.new"];
        let folders = names.iter().map(|name| self.data_dir.join(name)).filter(|path| path.is_dir());
        let set_aside = |path: PathBuf| {
            let mut aside = path.clone().into_os_string();
            aside.push(".damaged");
            let kept = match std::fs::rename(&path, aside) {
                Ok(()) => "it was set aside as .damaged".to_owned(),
                Err(error) => format!("remove it: it cannot be set aside ({error})"),
            };
            format!("{} is a folder where a file should be; {kept}", path.display())
        };
        folders.map(set_aside).collect()
    }

    /// Writes encoded positions. `is_sync`: also the copy that is sure to be on disk.
    ///
    /// # Errors
    /// Those of the file system; the file that was there before stays whole.
    pub fn save(&self, encoded: &[u8], is_sync: bool) -> io::Result<()> {
        self.replace("positions", encoded, false)?;
        if is_sync {
            self.replace("positions.synced", encoded, true)?;
        }
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8], is_sync: bool) -> io::Result<()> {
        let new = self.data_dir.join(format!("{name}.new"));
        let mut file = data_file::create(&new)?;
        file.write_all(bytes)?;
        if is_sync {
            file.sync_data()?;
        }
        std::fs::rename(&new, self.data_dir.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::position::FileId;
    use crate::types::saved::{SavedFile, SavedStream};
    use proptest::prelude::*;
    use std::fs::File;

    fn positions() -> Positions {
        let stream = SavedStream { offset: 7, position: 5, last_time_ns: -3, ahead: 9 };
        let file = SavedFile {
            id: FileId(u64::MAX),
            folder: "ns_p_u/c".into(),
            restart: 2,
            bytes: 9,
            is_finished: false,
            streams: [stream; 2],
        };
        Positions { files: vec![file], ahead: Vec::new() }
    }

    #[test]
    fn what_was_saved_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert!(store.load().is_first_start);
        store.save(&encode(&positions()).unwrap(), true).unwrap();
        let loaded = store.load();
        assert_eq!((loaded.positions, loaded.is_first_start, loaded.messages.len()), (positions(), false, 0));
    }

    #[test]
    fn a_torn_file_is_set_aside_and_the_sure_one_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let good = encode(&positions()).unwrap();
        store.save(&good, true).unwrap();
        for bad in [&good[..good.len() - 1], b"", b"[agent]", b"penstock positions 2\nxxxxxxxx"] {
            std::fs::write(dir.path().join("positions"), bad).unwrap();
            let loaded = store.load();
            assert_eq!(loaded.positions, positions());
            assert_eq!(loaded.messages.len(), 1, "{:?}", loaded.messages);
            assert!(dir.path().join("positions.damaged").exists());
        }
    }

    #[test]
    fn with_nothing_left_it_starts_from_the_beginning_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        std::fs::write(dir.path().join("positions"), b"foreign").unwrap();
        let loaded = store.load();
        assert_eq!(loaded.positions, Positions::default());
        assert!(!loaded.is_first_start, "existing files must not be skipped by start_at: end");
        assert!(loaded.messages.iter().any(|message| message.contains("from their beginning")));
    }

    #[test]
    fn a_folder_in_the_way_is_set_aside_and_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("positions")).unwrap();
        let store = Store::new(dir.path());
        let messages = store.load().messages;
        assert!(messages.iter().any(|message| message.contains("is a folder")), "{messages:?}");
        store.save(&encode(&positions()).unwrap(), true).unwrap();
        assert_eq!(store.load().positions, positions());
    }

    /// Rule: a file that cannot be ours is not read whole.
    #[test]
    fn a_huge_file_is_set_aside_unread() {
        let dir = tempfile::tempdir().unwrap();
        let good = encode(&positions()).unwrap();
        std::fs::write(dir.path().join("positions"), good).unwrap();
        File::options().write(true).open(dir.path().join("positions")).unwrap().set_len(1 << 40).unwrap();
        let loaded = Store::new(dir.path()).load();
        assert!(loaded.messages.iter().any(|message| message.contains("longer than")), "{:?}", loaded.messages);
        assert!(dir.path().join("positions.damaged").exists());
    }

    #[test]
    fn a_data_dir_that_was_deleted_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let store = Store::new(&data_dir);
        store.save(&encode(&positions()).unwrap(), false).unwrap();
        assert_eq!(store.load().positions, positions());
    }

    proptest! {
        #[test]
        fn altered_bytes_are_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = encode(&positions()).unwrap();
            let place = at.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn outside_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes).is_err());
            let framed = [MAGIC, VERSION, &xxh3_64(&bytes).to_le_bytes(), &bytes].concat();
            prop_assert!(decode(&framed).is_err());
        }
    }
}

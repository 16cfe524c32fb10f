//! checkpoint ↔ sources, pipeline: what is kept over a restart.

use super::position::{FileId, StdStream};
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// How far one std stream of one file is answered for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SavedStream {
    /// Offset of the first record not answered for.
    pub offset: u64,
    /// Stream position there.
    pub position: u64,
    /// The last time given before it, nanoseconds since the Unix epoch.
    pub last_time_ns: i64,
    /// Lines before this stream position that the journal has as shipped ahead are answered for; 0 where there are none.
    #[serde(default)]
    pub ahead: u64,
}

/// How far one file is answered for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SavedFile {
    /// Which file.
    pub id: FileId,
    /// Folder relative to the log directory: `NAMESPACE_POD_UID/CONTAINER`. For messages and for counting.
    pub folder: String,
    /// Restart counter of the container instance.
    pub restart: u32,
    /// Bytes that were seen in it.
    pub bytes: u64,
    /// Nothing more will come from it, and all of it is answered for.
    pub is_finished: bool,
    /// Stdout, then stderr.
    pub streams: [SavedStream; 2],
}

impl SavedAhead {
    /// Whether it is of this container instance.
    #[must_use]
    pub fn is_of(&self, folder: &str, restart: u32) -> bool {
        self.folder == folder && self.restart == restart
    }
}

/// The saved positions.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Positions {
    /// In the order in which they were written, per container.
    pub files: Vec<SavedFile>,
    /// What is ahead of files that have no first line yet.
    #[serde(default)]
    pub ahead: Vec<SavedAhead>,
}

/// What is answered for of a container instance whose files show none of it yet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SavedAhead {
    /// As in [`SavedFile`].
    pub folder: String,
    /// Restart counter of the container instance.
    pub restart: u32,
    /// As in [`SavedStream`]: stdout, then stderr.
    pub ahead: [u64; 2],
}

/// What the journal tells of the time between the last saved positions and the end of the last run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Offsets from where to where records were handed to the sender, per file, std stream and hash of the label set: those
    /// of another label set may have waited, and those between two ranges too, where labels changed.
    pub sent: HashMap<(FileId, StdStream, u64), Vec<RangeInclusive<u64>>>,
    /// Records whose time was lifted or moved to a free nanosecond: file, std stream, hash of the label set and
    /// offset → time. Under other labels the same record has another time.
    pub moved: HashMap<(FileId, StdStream, u64, u64), i64>,
    /// Fingerprints of the newest entries, per hash of the label set, oldest first.
    pub fingerprints: HashMap<u64, Vec<u64>>,
    /// Lines that were shipped ahead of their files, by hash of the instance, std stream and stream position.
    pub ahead: HashMap<(u64, StdStream, u64), WentAhead>,
}

/// A line that was shipped ahead of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WentAhead {
    /// Hash of its content.
    pub hash: u64,
    /// The time that it was given, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Hash of the label set. Under other labels that time may be another line's.
    pub labels: u64,
}

//! batch → send, checkpoint: the entries of one label set that travel together.

use super::position::{Mark, StreamKey};

/// Numbers the parts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(pub u64);

/// Names a label set while the agent runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSetId(pub u32);

/// What a part holds of one std stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose.
    pub stream: StreamKey,
    /// Where its first and its last record in the part start that were read from its files.
    pub records: Option<[Mark; 2]>,
    /// The part has lines of it that were shipped ahead of its files.
    pub has_ahead: bool,
}

/// A line that was shipped ahead of its file, for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Whose.
    pub stream: StreamKey,
    /// Stream position of its first byte.
    pub position: u64,
    /// Hash of its content as the pipe had it.
    pub hash: u64,
    /// The time it has, nanoseconds since the Unix epoch.
    pub time_ns: i64,
}

/// A record whose time is not what it alone gives: lifted, or moved to a free nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Whose.
    pub stream: StreamKey,
    /// Where the record starts.
    pub start: Mark,
    /// The time it has now, nanoseconds since the Unix epoch.
    pub time_ns: i64,
}

/// Encoded entries of one label set.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Its number.
    pub id: PartId,
    /// Its label set.
    pub label_set: LabelSetId,
    /// Encoded entries, one after the other (`encode::entry`).
    pub entries: Vec<u8>,
    /// How many.
    pub count: u32,
    /// Bytes as Loki's rate limit counts them: lines and structured metadata.
    pub counted_bytes: u64,
    /// Bytes of the lines alone.
    pub line_bytes: u64,
    /// What it holds, per std stream.
    pub shares: Vec<Share>,
    /// Fingerprints of the entries, for the journal.
    pub fingerprints: Vec<u64>,
    /// Times that are not what the record alone would give, for the journal.
    pub moved: Vec<Moved>,
    /// Lines that were shipped ahead of their files, for the journal.
    pub ahead: Vec<Ahead>,
    /// The oldest time among its records at which they were written or noted by the runtime, nanoseconds since the Unix epoch.
    pub oldest_ns: i64,
    /// Fingerprints of the entries among these that were sent before a restart.
    pub resent: Vec<u64>,
}

impl Part {
    /// Memory held, also what is reserved.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.entries.capacity()
            + self.shares.capacity() * size_of::<Share>()
            + (self.fingerprints.capacity() + self.resent.capacity()) * size_of::<u64>()
            + self.moved.capacity() * size_of::<Moved>()
            + self.ahead.capacity() * size_of::<Ahead>()
    }
}

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
    /// Its first record in the part.
    pub first: Mark,
    /// Where its last record in the part starts.
    pub last: Mark,
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
    /// The oldest runtime's time among its records, nanoseconds since the Unix epoch.
    pub oldest_ns: i64,
    /// Entries among these that were sent before a restart.
    pub resent: u32,
}

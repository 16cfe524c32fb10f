//! What the receiver counts.
//!
//! In: what became of each request. Out: a snapshot, also as JSON at `GET /_stats`. It never resets.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counters since the start. Bytes and entries are those of pushes alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Pushes, answered or not.
    pub requests: u64,
    /// Answers to pushes by HTTP status; a push without an answer (reset, stall) is under 0.
    pub requests_by_status: BTreeMap<u16, u64>,
    /// Pushes that met a fault.
    pub faults: u64,
    /// Bodies as they came, compressed.
    pub body_bytes: u64,
    /// Bodies decompressed.
    pub decoded_bytes: u64,
    /// Entries stored.
    pub entries_stored: u64,
    /// Line bytes of those.
    pub line_bytes_stored: u64,
    /// Names and values of structured metadata of those, without what Loki adds.
    pub structured_metadata_bytes_stored: u64,
    /// Entries that passed every check and were equal in label set, time and line to one that did before, whether
    /// stored again or removed as a duplicate. Without `keep_entries` as far back as `ReceiverConfig::seen_entries`.
    pub entries_received_twice: u64,
    /// Entries that were not stored since Loki's de-duplication on storing took them for ones that it has.
    pub entries_deduplicated: u64,
    /// Entries refused by Loki's reason for it.
    pub refused: BTreeMap<String, u64>,
    /// Entries whose refusal the answer does not tell (an ingester's answer is that of its last stream).
    pub refused_in_silence: u64,
    /// Streams, each shard counted.
    pub streams: u64,
    /// Arrival of the first push with a stored entry, nanoseconds since 1970; 0: none yet.
    pub first_arrival_ns: i64,
    /// Arrival of the last one.
    pub last_arrival_ns: i64,
}

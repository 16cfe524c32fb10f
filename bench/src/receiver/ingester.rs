//! The ingester: streams, their entries, and what it answers the distributor.
//!
//! In: checked streams. Out: the answer of the last stream (as Loki's: a refusal of an earlier one is not told), and
//! the store that queries read. Without `keep_entries` it keeps no line.
//!
//! Source: Loki 3.5.1 `pkg/ingester/instance.go` (`Push`, `createStream`, `onStreamCreationError`).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::labels::Labels;
use super::limits::Limits;
use super::refusal::{Answer, Reason, failed_entries};
use super::repeat::Repeats;
use super::seen::Seen;
use super::shards::Shards;
use super::stats::Stats;
use super::stream::{CheckedEntry, Fate, PushRules, Stream};
use super::wire::LabelPair;

/// A label set in the three forms that are needed.
#[derive(Debug)]
pub(crate) struct StreamLabels {
    /// Names and values.
    pub(crate) labels: Labels,
    /// Canonical text.
    pub(crate) text: String,
    /// Loki's hash.
    pub(crate) hash: u64,
    /// The hash without `__stream_shard__`.
    pub(crate) hash_no_shard: u64,
}

/// A stream of a request after the distributor.
#[derive(Debug)]
pub(crate) struct CheckedStream {
    /// Its label set, with the shard.
    pub(crate) labels: Arc<StreamLabels>,
    /// Its entries, at least one.
    pub(crate) entries: Vec<CheckedEntry>,
}

/// An entry in the store.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Index of its stream.
    pub(crate) stream: usize,
    /// Nanoseconds since 1970.
    pub(crate) time_ns: i64,
    /// The line.
    pub(crate) line: Bytes,
    /// As sent, names normalised; shared with the entry before it in its stream where that has the same.
    pub(crate) metadata: Arc<[LabelPair]>,
    /// `detected_level`.
    pub(crate) level: Option<Bytes>,
    /// Arrival, nanoseconds since 1970.
    pub(crate) received_ns: i64,
    /// Counted from 1.
    pub(crate) request_no: u64,
}

/// Time and number of a request, and the faults that the ingester plays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PushContext<'a> {
    /// Arrival.
    pub(crate) now_ns: i64,
    /// Counted from 1.
    pub(crate) request_no: u64,
    /// For the texts.
    pub(crate) tenant: &'a str,
    /// Sharding is on.
    pub(crate) sharding: bool,
    /// Fault: every stream is over its rate.
    pub(crate) stream_rate_exceeded: bool,
    /// Fault: ingestion is blocked.
    pub(crate) blocked: bool,
    /// Fault: the tenant is over its rate.
    pub(crate) tenant_rate_exceeded: bool,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Ingester {
    /// Label sets by index.
    pub(crate) labels: Vec<Arc<StreamLabels>>,
    /// Entries in order of arrival; empty without `keep_entries`.
    pub(crate) kept: Vec<Kept>,
    /// Of the newest entry kept of each stream.
    newest_metadata: Vec<Arc<[LabelPair]>>,
    streams: Vec<Stream>,
    by_text: HashMap<String, usize>,
    seen: Seen,
    pub(crate) repeats: Repeats,
    keep_entries: bool,
}

impl Ingester {
    /// An empty store that knows at least the newest `seen_entries` again.
    pub(crate) fn new(keep_entries: bool, seen_entries: usize) -> Self {
        Self {
            labels: Vec::new(),
            kept: Vec::new(),
            newest_metadata: Vec::new(),
            streams: Vec::new(),
            by_text: HashMap::new(),
            seen: Seen::new(if keep_entries { usize::MAX } else { seen_entries }),
            repeats: Repeats::default(),
            keep_entries,
        }
    }

    /// Stores what it takes; the refusal of the last stream, if it was refused.
    pub(crate) fn push(
        &mut self,
        limits: &Limits,
        context: PushContext<'_>,
        shards: &mut Shards,
        stats: &mut Stats,
        request: Vec<CheckedStream>,
    ) -> Option<Answer> {
        let mut last = None;
        let (mut refused_before, mut refused_last) = (0, 0);
        for stream in request {
            refused_before += refused_last;
            (last, refused_last) = self.push_stream(limits, context, shards, stats, stream);
        }
        stats.refused_in_silence += refused_before as u64;
        stats.streams = self.streams.len() as u64;
        last
    }

    fn push_stream(
        &mut self,
        limits: &Limits,
        context: PushContext<'_>,
        shards: &mut Shards,
        stats: &mut Stats,
        stream: CheckedStream,
    ) -> (Option<Answer>, usize) {
        let CheckedStream { labels, entries } = stream;
        let Some(index) = self.stream_index(limits, context.now_ns, &labels) else {
            count(stats, Reason::StreamLimit, entries.len());
            return (Some(Answer::too_many_streams(context.tenant, &labels.text)), entries.len());
        };
        let Some(held) = self.streams.get_mut(index) else { return (None, 0) };
        let rules =
            PushRules { rate_limit_whole_stream: context.sharding, rate_exceeded: context.stream_rate_exceeded };
        let bytes = entries.iter().map(|entry| entry.counted_bytes).sum();
        shards.record(labels.hash_no_shard, bytes, context.now_ns);
        let (fates, failed) = held.push(limits, rules, context.now_ns, &entries);
        let rate = limits.per_stream_rate;
        let answer = failed_entries(context.tenant, &labels.text, rate, &failed, entries.len());
        let refused = fates.iter().filter(|fate| matches!(fate, Fate::Refused(_))).count();
        self.note(index, &labels, context, stats, entries.into_iter().zip(fates));
        (answer, refused)
    }

    fn stream_index(&mut self, limits: &Limits, now_ns: i64, labels: &Arc<StreamLabels>) -> Option<usize> {
        if let Some(&index) = self.by_text.get(&labels.text) {
            return Some(index);
        }
        if self.streams.len() >= limits.streams_max {
            return None;
        }
        let index = self.streams.len();
        self.by_text.insert(labels.text.clone(), index);
        self.streams.push(Stream::new(limits, now_ns));
        self.labels.push(Arc::clone(labels));
        self.newest_metadata.push(Arc::default());
        Some(index)
    }

    fn note(
        &mut self,
        stream: usize,
        labels: &StreamLabels,
        context: PushContext<'_>,
        stats: &mut Stats,
        entries: impl Iterator<Item = (CheckedEntry, Fate)>,
    ) {
        for (entry, fate) in entries {
            if let Fate::Refused(reason) = fate {
                count(stats, reason, 1);
                continue;
            }
            // An odd factor spreads the label sets over the hashes; a plain xor would cancel itself out.
            let hash = entry.hash().wrapping_add(labels.hash_no_shard.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            if let Some(first_ns) = self.seen.note(hash, context.now_ns) {
                stats.entries_received_twice += 1;
                self.repeats.note(first_ns, context.now_ns);
            }
            if fate == Fate::Duplicate {
                stats.entries_deduplicated += 1;
                continue;
            }
            stats.entries_stored += 1;
            stats.line_bytes_stored += entry.line.len() as u64;
            let metadata_bytes: usize = entry.metadata.iter().map(|pair| pair.name.len() + pair.value.len()).sum();
            stats.structured_metadata_bytes_stored += metadata_bytes as u64;
            if stats.first_arrival_ns == 0 {
                stats.first_arrival_ns = context.now_ns;
            }
            stats.last_arrival_ns = context.now_ns;
            if self.keep_entries {
                let CheckedEntry { time_ns, line, metadata, level, .. } = entry;
                let metadata = self.shared_metadata(stream, metadata);
                let (received_ns, request_no) = (context.now_ns, context.request_no);
                self.kept.push(Kept { stream, time_ns, line, metadata, level, received_ns, request_no });
            }
        }
    }

    fn shared_metadata(&mut self, stream: usize, metadata: Vec<LabelPair>) -> Arc<[LabelPair]> {
        let Some(newest) = self.newest_metadata.get_mut(stream) else { return metadata.into() };
        if **newest != *metadata {
            *newest = metadata.into();
        }
        Arc::clone(newest)
    }
}

/// Adds to the entries refused for this reason.
pub(crate) fn count(stats: &mut Stats, reason: Reason, entries: usize) {
    if entries > 0 {
        *stats.refused.entry(reason.as_str().to_owned()).or_default() += entries as u64;
    }
}

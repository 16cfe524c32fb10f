//! One Loki stream as the ingester holds it: which entries it takes, which it takes for the same.
//!
//! In: checked entries and the time. Out: for each whether it is stored, a duplicate, or refused. It keeps hashes, not
//! lines: at most those of one head block (256 KiB of lines, 8 bytes counted per name and value of structured
//! metadata, and each entry has at least the detected level: 32,768 hashes).
//!
//! Source: Loki 3.5.1 `pkg/ingester/stream.go` (`validateEntries`, `storeEntries`), `pkg/chunkenc/unordered.go`
//! (duplicates within the head block), `pkg/chunkenc/memchunk.go` (when the head block is cut). No kinder than Loki:
//! a chunk is closed, which forgets its head block, as if nothing could be compressed.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bucket::TokenBucket;
use super::limits::Limits;
use super::refusal::{FailedEntry, Failure, Reason};
use super::seen::HashedSet;
use super::wire::LabelPair;

/// `chunk_block_size`: the head block is cut at this many bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// `chunk_target_size`.
const CHUNK_BYTES: usize = 1536 << 10;

/// An entry that passed the distributor.
#[derive(Debug)]
pub(crate) struct CheckedEntry {
    /// Nanoseconds since 1970.
    pub(crate) time_ns: i64,
    /// The line.
    pub(crate) line: Bytes,
    /// As sent, names normalised.
    pub(crate) metadata: Vec<LabelPair>,
    /// What Loki adds as `detected_level`; `None` also where nobody will read it.
    pub(crate) level: Option<Bytes>,
    /// Bytes that count for rates: line, names and values.
    pub(crate) counted_bytes: usize,
}

impl CheckedEntry {
    /// A hash of time and line.
    pub(crate) fn hash(&self) -> u64 {
        xxh3_64_with_seed(&self.line, self.time_ns.cast_unsigned())
    }
}

/// What became of an entry that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Stored.
    Stored,
    /// Taken for one that is there already.
    Duplicate,
    /// Refused, for this reason. Not every one is in the list of failures: a stream over its rate tells of nothing else.
    Refused(Reason),
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    bucket: TokenBucket,
    newest_ns: Option<i64>,
    last: Option<(i64, u64)>,
    head: HashedSet,
    head_bytes: usize,
    cut_bytes: usize,
}

/// What the ingester is told besides the entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PushRules {
    /// All or nothing where sharding is on, else entry by entry.
    pub(crate) rate_limit_whole_stream: bool,
    /// A fault: the bucket is empty.
    pub(crate) rate_exceeded: bool,
}

impl Stream {
    /// An empty one.
    pub(crate) fn new(limits: &Limits, now_ns: i64) -> Self {
        Self {
            bucket: TokenBucket::new(limits.per_stream_rate, limits.per_stream_burst, now_ns),
            newest_ns: None,
            last: None,
            head: HashedSet::default(),
            head_bytes: 0,
            cut_bytes: 0,
        }
    }

    /// Decides on each entry in order; `fates` has one for each, the failures are in Loki's order.
    pub(crate) fn push(
        &mut self,
        limits: &Limits,
        rules: PushRules,
        now_ns: i64,
        entries: &[CheckedEntry],
    ) -> (Vec<Fate>, Vec<FailedEntry>) {
        let hashes: Vec<u64> = entries.iter().map(CheckedEntry::hash).collect();
        let (mut fates, mut failed, valid_bytes) = self.validate(limits, rules, now_ns, entries, &hashes);
        let limits_whole = rules.rate_limit_whole_stream && fates.contains(&Fate::Stored);
        if limits_whole && (rules.rate_exceeded || !self.bucket.allow(now_ns, valid_bytes)) {
            failed.clear();
            for ((entry, &hash), fate) in entries.iter().zip(&hashes).zip(&mut fates) {
                if *fate == Fate::Stored {
                    failed.push(FailedEntry { time_ns: entry.time_ns, why: Failure::StreamRate(entry.counted_bytes) });
                }
                // A duplicate of an entry that is now refused is no duplicate of anything.
                let again = *fate == Fate::Duplicate && self.last != Some((entry.time_ns, hash));
                if *fate == Fate::Stored || again {
                    *fate = Fate::Refused(Reason::PerStreamRateLimit);
                }
            }
            return (fates, failed);
        }
        for ((entry, &hash), fate) in entries.iter().zip(&hashes).zip(&mut fates) {
            if *fate == Fate::Stored {
                *fate = self.append(entry, hash);
            }
        }
        (fates, failed)
    }

    fn validate(
        &mut self,
        limits: &Limits,
        rules: PushRules,
        now_ns: i64,
        entries: &[CheckedEntry],
        hashes: &[u64],
    ) -> (Vec<Fate>, Vec<FailedEntry>, usize) {
        let behind_ns = i64::try_from(limits.behind_s_max.saturating_mul(1_000_000_000)).unwrap_or(i64::MAX);
        let (mut last, mut newest_ns) = (self.last, self.newest_ns);
        let (mut fates, mut failed, mut valid_bytes) = (Vec::with_capacity(entries.len()), Vec::new(), 0);
        for (entry, &hash) in entries.iter().zip(hashes) {
            let (time_ns, bytes) = (entry.time_ns, entry.counted_bytes);
            if last == Some((time_ns, hash)) {
                fates.push(Fate::Duplicate);
                continue;
            }
            let limited = !rules.rate_limit_whole_stream && (rules.rate_exceeded || !self.bucket.allow(now_ns, bytes));
            let cutoff_ns = newest_ns.map(|newest| newest.saturating_sub(behind_ns));
            if limited {
                failed.push(FailedEntry { time_ns, why: Failure::StreamRate(bytes) });
                fates.push(Fate::Refused(Reason::PerStreamRateLimit));
            } else if let Some(cutoff_ns) = cutoff_ns.filter(|&cutoff_ns| cutoff_ns > time_ns) {
                failed.push(FailedEntry { time_ns, why: Failure::TooFarBehind(cutoff_ns) });
                fates.push(Fate::Refused(Reason::TooFarBehind));
            } else {
                valid_bytes += bytes;
                last = Some((time_ns, hash));
                newest_ns = newest_ns.max(Some(time_ns));
                fates.push(Fate::Stored);
            }
        }
        (fates, failed, valid_bytes)
    }

    fn append(&mut self, entry: &CheckedEntry, hash: u64) -> Fate {
        if self.cut_bytes + self.head_bytes + entry.line.len() >= CHUNK_BYTES {
            self.head.clear();
            (self.head_bytes, self.cut_bytes) = (0, 0);
        }
        self.last = Some((entry.time_ns, hash));
        self.newest_ns = self.newest_ns.max(Some(entry.time_ns));
        if !self.head.insert(hash) {
            return Fate::Duplicate;
        }
        // One pair more: the detected level.
        self.head_bytes += entry.line.len() + (entry.metadata.len() + 1) * 8;
        if self.head_bytes >= BLOCK_BYTES {
            self.cut_bytes += self.head_bytes;
            self.head.clear();
            self.head_bytes = 0;
        }
        Fate::Stored
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{CheckedEntry, Fate, Limits, PushRules, Reason, Stream};

    const RULES: PushRules = PushRules { rate_limit_whole_stream: true, rate_exceeded: false };

    fn entry(time_ns: i64, line: &str) -> CheckedEntry {
        let line = Bytes::copy_from_slice(line.as_bytes());
        CheckedEntry { time_ns, counted_bytes: line.len(), line, metadata: Vec::new(), level: None }
    }

    fn push(stream: &mut Stream, entries: &[CheckedEntry]) -> Vec<Fate> {
        stream.push(&Limits::default(), RULES, 0, entries).0
    }

    #[test]
    fn the_same_time_and_line_is_kept_once_within_the_head_block_only() {
        let mut stream = Stream::new(&Limits::default(), 0);
        let both = [entry(1, "a"), entry(2, "b")];
        assert_eq!(push(&mut stream, &both), [Fate::Stored, Fate::Stored]);
        assert_eq!(push(&mut stream, &both), [Fate::Duplicate, Fate::Duplicate]);
        assert_eq!(push(&mut stream, &[entry(1, "b")]), [Fate::Stored], "another time is another entry");
        // 256 KiB later the head block is cut, and only the last line is still known.
        let long = "x".repeat(262_144);
        assert_eq!(push(&mut stream, &[entry(3, &long)]), [Fate::Stored]);
        assert_eq!(push(&mut stream, &[entry(3, &long)]), [Fate::Duplicate]);
        assert_eq!(push(&mut stream, &both), [Fate::Stored, Fate::Stored]);
    }

    #[test]
    fn an_hour_behind_the_newest_is_taken_and_a_nanosecond_more_is_not() {
        const HOUR: i64 = 3_600_000_000_000;
        let mut stream = Stream::new(&Limits::default(), 0);
        assert_eq!(push(&mut stream, &[entry(9 * HOUR, "new"), entry(8 * HOUR, "edge")]), [Fate::Stored; 2]);
        let (fates, failed) =
            stream.push(&Limits::default(), RULES, 0, &[entry(8 * HOUR - 1, "late"), entry(8 * HOUR, "ok")]);
        assert_eq!(fates, [Fate::Refused(Reason::TooFarBehind), Fate::Stored]);
        assert_eq!(failed.len(), 1);
    }

    #[test]
    fn the_stream_limit_takes_all_or_nothing_with_sharding_and_entry_by_entry_without() {
        let limits = Limits { per_stream_rate: 10, per_stream_burst: 10, ..Limits::default() };
        let entries = [entry(1, "123456"), entry(2, "abcdef"), entry(3, "xyz")];
        let mut whole = Stream::new(&limits, 0);
        assert_eq!(whole.push(&limits, RULES, 0, &entries).0, [Fate::Refused(Reason::PerStreamRateLimit); 3]);
        assert_eq!(whole.push(&limits, RULES, 0, &entries[..1]).0, [Fate::Stored], "what was refused cost nothing");
        let mut each = Stream::new(&limits, 0);
        let rules = PushRules { rate_limit_whole_stream: false, ..RULES };
        assert_eq!(
            each.push(&limits, rules, 0, &entries).0,
            [Fate::Stored, Fate::Refused(Reason::PerStreamRateLimit), Fate::Stored]
        );
    }
}

//! Collects encoded entries per label set, gives equal ones different times, and says what goes into the next
//! request and when.
//!
//! In: entries with where they come from, the time. Out: parts. Pure: no clock, no socket.

pub mod linger;
pub mod open;
pub mod unique;

use crate::limits::REQUEST_BYTES_MAX;
use crate::types::part::{LabelSetId, Part, PartId};
use crate::types::shard::Shard;
use open::OpenEntry;
use std::collections::{HashMap, HashSet, VecDeque};
use unique::Unique;

/// What Loki adds to an entry (`detected_level`) on its way to the ingester, whose message limit counts it.
const ADDED_BYTES: usize = 36;

/// Bytes of a part as the ingester's message limit counts them.
fn weight(part: &Part) -> usize {
    part.entries.len() + part.count as usize * ADDED_BYTES
}

/// What Loki adds to a label set, `service_name`, and the lengths before it.
const ADDED_LABEL_BYTES: usize = 64;

/// One label set: its text, what waits, and what was sent of late.
#[derive(Debug, Default)]
struct LabelSet {
    text: String,
    /// Sealed parts, oldest first, and last the one that is open.
    waiting: VecDeque<Part>,
    waiting_bytes: usize,
    unique: Unique,
    /// In the round of those that have something.
    is_listed: bool,
    /// Its entries travel in a request of their own until then (monotonic ms).
    alone_until_ms: u64,
}

/// What became of an appended entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The time it got: its own, or the next free nanosecond.
    pub time_ns: i64,
    /// The part it is in.
    pub part: PartId,
    /// That part had nothing of the entry's std stream before.
    pub is_new_share: bool,
}

/// The collector.
#[derive(Debug)]
pub struct Batch {
    by_text: HashMap<String, LabelSetId>,
    sets: Vec<LabelSet>,
    /// Label sets that have something, in the order in which they get their turn.
    round: VecDeque<LabelSetId>,
    part_bytes_max: usize,
    shard: Shard,
    waiting_bytes: usize,
    /// Memory that the waiting parts hold.
    memory_bytes: usize,
    next_part: u64,
}

impl Batch {
    /// `part_bytes_max`: encoded bytes at which a part is sealed (`loki.batch_bytes`). `shard`: whose times are given.
    #[must_use]
    pub fn new(part_bytes_max: usize, shard: Shard) -> Self {
        Self {
            shard,
            by_text: HashMap::new(),
            sets: Vec::new(),
            round: VecDeque::new(),
            part_bytes_max: part_bytes_max.min(REQUEST_BYTES_MAX),
            waiting_bytes: 0,
            memory_bytes: 0,
            next_part: 0,
        }
    }

    /// The label set with this text (PromQL syntax).
    pub fn label_set(&mut self, text: &str) -> LabelSetId {
        if let Some(id) = self.by_text.get(text) {
            return *id;
        }
        let id = LabelSetId(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        self.sets.push(LabelSet { text: text.to_owned(), ..LabelSet::default() });
        self.by_text.insert(text.to_owned(), id);
        id
    }

    /// The text of a label set.
    #[must_use]
    pub fn text(&self, id: LabelSetId) -> &str {
        self.sets.get(id.0 as usize).map_or("", |set| &set.text)
    }

    /// Appends an entry.
    pub fn append(&mut self, id: LabelSetId, entry: &OpenEntry<'_>) -> Option<Appended> {
        let set = self.sets.get_mut(id.0 as usize)?;
        let hash = Unique::hash(entry.line);
        let (time_ns, fingerprint) = match entry.sent_at_ns {
            Some(time_ns) => (time_ns, set.unique.insert(hash, time_ns)),
            None => set.unique.free_time(hash, entry.time_ns, self.shard),
        };
        let bytes = entry.encoded_bytes(time_ns);
        let is_full = set.waiting.back().is_some_and(|part| weight(part) + bytes + ADDED_BYTES > self.part_bytes_max);
        if set.waiting.is_empty() || is_full {
            set.waiting.push_back(Part { id: PartId(self.next_part), label_set: id, ..Part::default() });
            self.next_part += 1;
        }
        let part = set.waiting.back_mut()?;
        let held_before = part.memory_bytes();
        let is_new_share = entry.append_to(part, time_ns, fingerprint);
        self.memory_bytes = self.memory_bytes + part.memory_bytes() - held_before;
        let part = part.id;
        set.waiting_bytes += bytes;
        self.waiting_bytes += bytes;
        if !set.is_listed {
            set.is_listed = true;
            self.round.push_back(id);
        }
        Some(Appended { time_ns, part, is_new_share })
    }

    /// Takes parts for one request: the front parts of label sets that are free, in turn, until `bytes_max` is
    /// reached. `is_busy` says which label sets have a request under way.
    pub fn take(&mut self, bytes_max: usize, now_ms: u64, is_busy: &dyn Fn(LabelSetId) -> bool) -> Vec<Part> {
        let (mut taken, mut bytes, mut weighed) = (Vec::new(), 0, 0);
        for _ in 0..self.round.len() {
            let Some(id) = self.round.pop_front() else { break };
            let Some(set) = self.sets.get_mut(id.0 as usize) else { continue };
            let is_alone = set.alone_until_ms > now_ms;
            let text = set.text.len() + ADDED_LABEL_BYTES;
            let front = set.waiting.front().map_or(0, |part| weight(part) + text);
            if is_busy(id) || (is_alone && !taken.is_empty()) || (weighed > 0 && weighed + front > bytes_max) {
                self.round.push_back(id);
                continue;
            }
            let mut is_first = weighed == 0;
            weighed += text;
            while let Some(part) = set.waiting.pop_front_if(|part| is_first || weighed + weight(part) <= bytes_max) {
                is_first = false;
                weighed += weight(&part);
                bytes += part.entries.len();
                set.waiting_bytes -= part.entries.len();
                self.memory_bytes -= part.memory_bytes();
                taken.push(part);
            }
            set.is_listed = !set.waiting.is_empty();
            if set.is_listed {
                self.round.push_back(id);
            }
            if weighed >= bytes_max || is_alone {
                break;
            }
        }
        self.waiting_bytes -= bytes;
        taken
    }

    /// Sends the entries of this label set in requests of their own for a while: Loki's answer names one only.
    pub fn send_alone(&mut self, id: LabelSetId, until_ms: u64) {
        if let Some(set) = self.sets.get_mut(id.0 as usize) {
            set.alone_until_ms = until_ms;
        }
    }

    /// Encoded bytes that wait, of all label sets that are free.
    #[must_use]
    pub fn ready_bytes(&self, is_busy: &dyn Fn(LabelSetId) -> bool) -> usize {
        let free = self.round.iter().filter(|id| !is_busy(**id));
        free.filter_map(|id| self.sets.get(id.0 as usize)).map(|set| set.waiting_bytes).sum()
    }

    /// Encoded bytes that wait for their turn.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Encoded bytes that wait for one label set.
    #[must_use]
    pub fn waiting_bytes_of(&self, id: LabelSetId) -> usize {
        self.sets.get(id.0 as usize).map_or(0, |set| set.waiting_bytes)
    }

    /// Memory held by what waits, and by fingerprints of what was taken, bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes + self.sets.iter().map(|set| set.unique.memory_bytes()).sum::<usize>()
    }

    /// Number of label sets.
    #[must_use]
    pub fn label_sets(&self) -> usize {
        self.sets.len()
    }

    /// The newest fingerprints of each label set, oldest first, for the journal: of entries that were taken. What
    /// waits has not gone out, and must not look so after a crash, unless it has before the last one.
    pub fn fingerprints(&self) -> impl Iterator<Item = (&str, Vec<u64>)> {
        self.sets.iter().map(|set| {
            let mut waiting: HashSet<u64> =
                set.waiting.iter().flat_map(|part| part.fingerprints.iter().copied()).collect();
            for fingerprint in set.waiting.iter().flat_map(|part| &part.resent) {
                waiting.remove(fingerprint);
            }
            let mut newest = set.unique.newest();
            newest.retain(|fingerprint| !waiting.contains(fingerprint));
            (set.text.as_str(), newest)
        })
    }

    /// The parts that wait for their turn: nothing of them has gone out.
    #[must_use]
    pub fn waiting_parts(&self) -> HashSet<PartId> {
        self.sets.iter().flat_map(|set| &set.waiting).map(|part| part.id).collect()
    }

    /// Takes in the fingerprints of the last run. Call before the first entry of that label set.
    pub fn remember(&mut self, id: LabelSetId, fingerprints: &[u64]) {
        if let Some(set) = self.sets.get_mut(id.0 as usize) {
            set.unique.remember(fingerprints);
        }
    }
}

#[cfg(test)]
mod tests;

//! Runs of nanoseconds that equal entries took one after the other, so that the next one begins its search behind
//! them, also when their fingerprints are forgotten.
//!
//! Bounded by two generations; a run that grows is young again. The runs of one text never overlap.

use crate::limits::DEDUP_RUNS_MIN;
use std::collections::BTreeMap;

/// By hash of the text and first nanosecond: the last one.
type Ends = BTreeMap<(u64, i64), i64>;

#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    young: Ends,
    old: Ends,
}

impl Runs {
    /// Takes out the run of this text that holds `time_ns`: its first and last nanosecond.
    pub(super) fn take(&mut self, hash: u64, time_ns: i64) -> Option<(i64, i64)> {
        [&mut self.young, &mut self.old].into_iter().find_map(|ends| {
            let (key, last) = ends.range(..=(hash, time_ns)).next_back().map(|(key, last)| (*key, *last))?;
            if key.0 != hash || last < time_ns {
                return None;
            }
            ends.remove(&key);
            Some((key.1, last))
        })
    }

    /// Notes a run, which holds all that were taken out for it.
    pub(super) fn note(&mut self, hash: u64, first: i64, last: i64) {
        if self.young.len() >= DEDUP_RUNS_MIN {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((hash, first), last);
    }

    /// About how much memory this holds.
    pub(super) fn memory_bytes(&self) -> usize {
        (self.young.len() + self.old.len()) * 40
    }
}

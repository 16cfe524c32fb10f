//! When entries came that came a second time: what an agent sends again shows how far its positions were behind.
//!
//! In: two times of arrival an entry. Out: a row per pair of requests. Bound: [`ROWS_MAX`] rows; the oldest go.

use std::collections::BTreeMap;

/// Rows that are kept.
const ROWS_MAX: usize = 100_000;

/// Entries of one request that came again in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Repeat {
    /// When they first came, nanoseconds since 1970.
    pub first_ns: i64,
    /// When they came again.
    pub again_ns: i64,
    /// How many.
    pub entries: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Repeats(BTreeMap<(i64, i64), u64>);

impl Repeats {
    /// One more entry that first came at `first_ns` came again at `again_ns`.
    pub(crate) fn note(&mut self, first_ns: i64, again_ns: i64) {
        *self.0.entry((first_ns, again_ns)).or_default() += 1;
        if self.0.len() > ROWS_MAX {
            self.0.pop_first();
        }
    }

    /// The rows, by first arrival.
    pub(crate) fn rows(&self) -> Vec<Repeat> {
        self.0.iter().map(|(&(first_ns, again_ns), &entries)| Repeat { first_ns, again_ns, entries }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Repeat, Repeats};

    #[test]
    fn entries_of_two_requests_are_one_row() {
        let mut repeats = Repeats::default();
        repeats.note(5, 9);
        repeats.note(1, 9);
        repeats.note(5, 9);
        let rows = [Repeat { first_ns: 1, again_ns: 9, entries: 1 }, Repeat { first_ns: 5, again_ns: 9, entries: 2 }];
        assert_eq!(repeats.rows(), rows);
    }
}

//! Which entries were taken before, by a 64-bit hash of label set, time and line.
//!
//! In: hashes, with the time of arrival. Out: when a hash first came, if it was there before. It keeps no line.
//!
//! Bound: two generations of at most `generation_max` hashes; when the newer one is full the older one is forgotten.
//! So at least the newest `generation_max` entries are known, at most twice as many, at about 28 bytes each.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// Takes a value that is a hash already as it is.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A set of hashes.
pub(crate) type HashedSet = HashSet<u64, BuildHasherDefault<AsIs>>;

/// Hashes with the time at which each first came.
type HashedTimes = HashMap<u64, i64, BuildHasherDefault<AsIs>>;

/// The newest hashes.
#[derive(Debug)]
pub(crate) struct Seen {
    generation_max: usize,
    newer: HashedTimes,
    older: HashedTimes,
}

impl Seen {
    /// Holds at least the newest `generation_max` hashes.
    pub(crate) fn new(generation_max: usize) -> Self {
        Self { generation_max: generation_max.max(1), newer: HashedTimes::default(), older: HashedTimes::default() }
    }

    /// Notes a hash that came at `now_ns`; gives the time of its first arrival if it was there before.
    pub(crate) fn note(&mut self, hash: u64, now_ns: i64) -> Option<i64> {
        if let Some(first_ns) = self.newer.get(&hash) {
            return Some(*first_ns);
        }
        let before = self.older.get(&hash).copied();
        self.newer.insert(hash, before.unwrap_or(now_ns));
        if self.newer.len() >= self.generation_max {
            self.older.clear();
            std::mem::swap(&mut self.newer, &mut self.older);
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn knows_the_newest_and_stays_bounded() {
        let mut seen = Seen::new(1000);
        for hash in 0..100_000_u64 {
            assert_eq!(seen.note(hash, 7), None);
            // Asking notes it anew, so two are noted each time round.
            assert!(hash < 499 || seen.note(hash - 499, 8) == Some(7), "one of the newest thousand is known");
            assert!(seen.newer.len() + seen.older.len() <= 2000);
        }
        assert_eq!(seen.note(5, 9), None, "what is long past is forgotten");
    }
}

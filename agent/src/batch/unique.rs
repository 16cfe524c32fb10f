//! No two entries of a label set with equal time and text: Loki would keep one of them.
//!
//! A bounded memory of the newest entries' fingerprints, in two generations: the young one fills, becomes the old
//! one, and the former old one is forgotten. Two texts with one fingerprint cost a nanosecond, nothing else.

use crate::limits::DEDUP_ENTRIES_MIN;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::xxh3_64;

/// Takes the fingerprint itself as the hash; it is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// The memory of one label set.
#[derive(Clone, Debug, Default)]
pub struct Unique {
    young: HashSet<u64, BuildHasherDefault<AsIs>>,
    young_in_order: Vec<u64>,
    old: HashSet<u64, BuildHasherDefault<AsIs>>,
    old_in_order: Vec<u64>,
}

impl Unique {
    /// The hash of an entry's text.
    #[must_use]
    pub fn hash(line: &[u8]) -> u64 {
        xxh3_64(line)
    }

    /// The first free time from `time_ns` on for a text with this hash, now taken; and its fingerprint.
    pub fn free_time(&mut self, hash: u64, time_ns: i64) -> (i64, u64) {
        let mut time_ns = time_ns;
        let mut mark = fingerprint(hash, time_ns);
        while self.young.contains(&mark) || self.old.contains(&mark) {
            time_ns = time_ns.saturating_add(1);
            mark = fingerprint(hash, time_ns);
        }
        self.add(mark);
        (time_ns, mark)
    }

    /// Notes an entry whose time is settled. Returns its fingerprint.
    pub fn insert(&mut self, hash: u64, time_ns: i64) -> u64 {
        let mark = fingerprint(hash, time_ns);
        if !self.young.contains(&mark) {
            self.add(mark);
        }
        mark
    }

    /// Takes in fingerprints of the last run, oldest first.
    pub fn remember(&mut self, fingerprints: &[u64]) {
        for mark in fingerprints {
            if !self.young.contains(mark) {
                self.add(*mark);
            }
        }
    }

    /// What is remembered, oldest first.
    #[must_use]
    pub fn newest(&self) -> Vec<u64> {
        [self.old_in_order.as_slice(), self.young_in_order.as_slice()].concat()
    }

    /// About how much memory this holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        (self.young.capacity() + self.old.capacity()) * 10
            + (self.young_in_order.capacity() + self.old_in_order.capacity()) * 8
    }

    fn add(&mut self, mark: u64) {
        if self.young_in_order.len() >= DEDUP_ENTRIES_MIN {
            std::mem::swap(&mut self.young, &mut self.old);
            std::mem::swap(&mut self.young_in_order, &mut self.old_in_order);
            self.young.clear();
            self.young_in_order.clear();
        }
        self.young.insert(mark);
        self.young_in_order.push(mark);
    }
}

fn fingerprint(hash: u64, time_ns: i64) -> u64 {
    // A time that differs by one must differ in the bits by which the set chooses its place.
    hash ^ time_ns.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn of_the_newest_entries_no_two_are_equal(entries in prop::collection::vec((0_u8..4, 0_i64..6), 1..300)) {
            let mut unique = Unique::default();
            let mut given = HashSet::new();
            for (text, time) in entries {
                let (got, _) = unique.free_time(Unique::hash(&[text]), time);
                prop_assert!(got >= time);
                prop_assert!((time..got).all(|taken| given.contains(&(text, taken))), "the next free one");
                prop_assert!(given.insert((text, got)));
            }
        }
    }

    #[test]
    fn at_least_the_newest_are_remembered_and_memory_is_bounded() {
        let mut unique = Unique::default();
        let hash = Unique::hash(b"tick");
        for time in 0..20_000 {
            unique.free_time(hash, time);
            let oldest = (time - DEDUP_ENTRIES_MIN as i64 + 1).max(0);
            assert!(unique.clone().free_time(hash, oldest).0 > time, "{oldest} is remembered at {time}");
        }
        assert!(unique.memory_bytes() < 512 * 1024, "{}", unique.memory_bytes());
    }

    #[test]
    fn a_settled_time_is_kept_and_known_afterwards() {
        let mut before = Unique::default();
        let hash = Unique::hash(b"tick");
        before.free_time(hash, 5);
        before.free_time(hash, 5);
        let mut after = Unique::default();
        after.remember(&before.newest());
        after.insert(hash, 6);
        assert_eq!(after.free_time(hash, 5).0, 7);
    }
}

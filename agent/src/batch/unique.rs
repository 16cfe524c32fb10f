//! No two entries of a label set with equal time and text: Loki would keep one of them.
//!
//! A bounded memory of the newest entries' fingerprints, in two generations: the young one fills, becomes the old
//! one, and the former old one is forgotten. Two texts with one fingerprint cost a nanosecond, nothing else. Where
//! equal entries keep coming, the run of nanoseconds that they took is remembered beside it (`runs`). A time beyond all
//! others is free without a look.

mod runs;

use crate::limits::DEDUP_ENTRIES_MIN;
use crate::types::shard::Shard;
use runs::Runs;
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

/// Fingerprints in the order in which they came. They are put into the set when one is looked for: where times only go up,
/// none ever is.
#[derive(Clone, Debug, Default)]
struct Generation {
    in_order: Vec<u64>,
    set: HashSet<u64, BuildHasherDefault<AsIs>>,
    /// How many of them are in the set.
    indexed: usize,
}

impl Generation {
    fn contains(&mut self, mark: u64) -> bool {
        let rest = self.in_order.get(self.indexed..).unwrap_or_default();
        self.set.extend(rest);
        self.indexed = self.in_order.len();
        self.set.contains(&mark)
    }

    fn clear(&mut self) {
        self.in_order.clear();
        self.set.clear();
        self.indexed = 0;
    }

    fn memory_bytes(&self) -> usize {
        self.set.capacity() * 10 + self.in_order.capacity() * 8
    }
}

/// The memory of one label set.
#[derive(Clone, Debug, Default)]
pub struct Unique {
    young: Generation,
    old: Generation,
    runs: Runs,
    /// The newest time given; none before the first.
    newest_ns: Option<i64>,
    /// Fingerprints of the last run, whose times are not known, are among the remembered ones: for so many generations.
    foreign: u8,
}

impl Unique {
    /// The hash of an entry's text.
    #[must_use]
    pub fn hash(line: &[u8]) -> u64 {
        xxh3_64(line)
    }

    /// The first free time of `shard`'s from `time_ns` on for a text with this hash, now taken; and its fingerprint.
    pub fn free_time(&mut self, hash: u64, time_ns: i64, shard: Shard) -> (i64, u64) {
        let time_ns = shard.free_ns(time_ns);
        let free = if self.is_newest(time_ns) { time_ns } else { self.search(hash, time_ns, shard) };
        self.newest_ns = self.newest_ns.max(Some(free));
        let mark = fingerprint(hash, free);
        self.add(mark);
        (free, mark)
    }

    /// Whether no entry can have this time.
    fn is_newest(&self, time_ns: i64) -> bool {
        self.foreign == 0 && self.newest_ns.is_none_or(|newest| newest < time_ns)
    }

    fn search(&mut self, hash: u64, time_ns: i64, shard: Shard) -> i64 {
        let (mut first, mut free) = (time_ns, time_ns);
        // Beyond the last nanosecond there is none.
        while free < i64::MAX {
            if let Some((from, last)) = self.runs.take(hash, free) {
                first = first.min(from);
                free = shard.free_ns(last.saturating_add(1));
            } else if self.is_taken(fingerprint(hash, free)) {
                free = shard.free_ns(free + 1);
            } else {
                break;
            }
        }
        if first < free {
            self.runs.note(hash, first, free);
        }
        free
    }

    /// Notes an entry whose time is settled. Returns its fingerprint.
    pub fn insert(&mut self, hash: u64, time_ns: i64) -> u64 {
        self.newest_ns = self.newest_ns.max(Some(time_ns));
        let mark = fingerprint(hash, time_ns);
        if !self.young.contains(mark) {
            self.add(mark);
        }
        let before = time_ns.saturating_sub(1);
        let run = self.runs.take(hash, time_ns).or_else(|| self.runs.take(hash, before));
        if let Some((from, last)) = run {
            self.runs.note(hash, from, last.max(time_ns));
        } else if self.is_taken(fingerprint(hash, before)) {
            self.runs.note(hash, before, time_ns);
        }
        mark
    }

    /// Takes in fingerprints of the last run, oldest first.
    pub fn remember(&mut self, fingerprints: &[u64]) {
        for mark in fingerprints {
            if !self.young.contains(*mark) {
                self.add(*mark);
            }
            self.foreign = 2;
        }
    }

    /// What is remembered, oldest first.
    #[must_use]
    pub fn newest(&self) -> Vec<u64> {
        [self.old.in_order.as_slice(), self.young.in_order.as_slice()].concat()
    }

    /// About how much memory this holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.young.memory_bytes() + self.old.memory_bytes() + self.runs.memory_bytes()
    }

    fn is_taken(&mut self, mark: u64) -> bool {
        self.young.contains(mark) || self.old.contains(mark)
    }

    fn add(&mut self, mark: u64) {
        if self.young.in_order.len() >= DEDUP_ENTRIES_MIN {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.foreign = self.foreign.saturating_sub(1);
        }
        self.young.in_order.push(mark);
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
                let (got, _) = unique.free_time(Unique::hash(&[text]), time, Shard::WHOLE);
                prop_assert!(got >= time);
                prop_assert!((time..got).all(|taken| given.contains(&(text, taken))), "the next free one");
                prop_assert!(given.insert((text, got)));
            }
        }
    }

    proptest! {
        #[test]
        fn of_several_threads_entries_no_two_are_equal(
            entries in prop::collection::vec((0_usize..3, 0_u8..2, 0_i64..12), 1..200),
        ) {
            let mut threads: Vec<_> = Shard::all(3).map(|shard| (shard, Unique::default())).collect();
            let mut given = HashSet::new();
            for (thread, text, time) in entries {
                let (shard, unique) = &mut threads[thread];
                let (got, _) = unique.free_time(Unique::hash(&[text]), time, *shard);
                prop_assert!(got >= time);
                prop_assert!(given.insert((text, got)));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]
        /// However many: also when the fingerprints of the first ones are long forgotten.
        #[test]
        fn while_equal_entries_keep_coming_no_nanosecond_is_given_again(
            asked in prop::collection::vec((0_u8..2, prop_oneof![Just(0_i64), 0_i64..40, 0_i64..30_000]), 8),
            count in 2 * DEDUP_ENTRIES_MIN..4 * DEDUP_ENTRIES_MIN,
            settled in 0_usize..3,
        ) {
            let mut unique = Unique::default();
            let mut given = HashSet::new();
            for (text, time) in asked.iter().copied().cycle().take(count) {
                let hash = Unique::hash(&[text]);
                let (got, _) = unique.free_time(hash, time, Shard::WHOLE);
                prop_assert!(got >= time);
                prop_assert!(given.insert((text, got)), "{text} at {got} for {time}, after {}", given.len());
                for next in 1..=i64::try_from(settled).unwrap() {
                    // Sent before a restart, at this very time.
                    if given.insert((text, got + next)) {
                        unique.insert(hash, got + next);
                    }
                }
            }
        }
    }

    #[test]
    fn twelve_thousand_equal_entries_of_one_time_take_as_many_nanoseconds() {
        let mut unique = Unique::default();
        let hash = Unique::hash(b"tick");
        for n in 0..12_000 {
            assert_eq!(unique.free_time(hash, 7, Shard::WHOLE).0, 7 + n);
        }
        assert_eq!(unique.free_time(hash, 500, Shard::WHOLE).0, 12_007, "within the run");
        assert_eq!(unique.free_time(hash, i64::MAX, Shard::WHOLE).0, i64::MAX);
        assert_eq!(unique.free_time(hash, i64::MAX, Shard::WHOLE).0, i64::MAX, "there is no other");
    }

    #[test]
    fn runs_are_bounded_and_those_that_grow_are_kept() {
        let mut unique = Unique::default();
        let ticking = Unique::hash(b"tick");
        for n in 0..20_000_u32 {
            assert_eq!(unique.free_time(ticking, 7, Shard::WHOLE).0, 7 + i64::from(n));
            let other = Unique::hash(&n.to_le_bytes());
            unique.free_time(other, 0, Shard::WHOLE);
            unique.free_time(other, 0, Shard::WHOLE);
        }
        assert!(unique.memory_bytes() < 512 * 1024, "{}", unique.memory_bytes());
    }

    #[test]
    fn at_least_the_newest_are_remembered_and_memory_is_bounded() {
        let mut unique = Unique::default();
        let hash = Unique::hash(b"tick");
        for time in 0..20_000 {
            unique.free_time(hash, time, Shard::WHOLE);
            let oldest = (time - DEDUP_ENTRIES_MIN as i64 + 1).max(0);
            assert!(unique.clone().free_time(hash, oldest, Shard::WHOLE).0 > time, "{oldest} is remembered at {time}");
        }
        assert!(unique.memory_bytes() < 512 * 1024, "{}", unique.memory_bytes());
    }

    #[test]
    fn a_settled_time_is_kept_and_known_afterwards() {
        let mut before = Unique::default();
        let hash = Unique::hash(b"tick");
        before.free_time(hash, 5, Shard::WHOLE);
        before.free_time(hash, 5, Shard::WHOLE);
        let mut after = Unique::default();
        after.remember(&before.newest());
        after.insert(hash, 6);
        assert_eq!(after.free_time(hash, 5, Shard::WHOLE).0, 7);
    }
}

//! What the data threads of one agent have in common: Loki's limits, which know nothing of threads.
//!
//! In: what each has done. Out: how fast all may go, how far each may. Never: a lock held while something is done.

use crate::checkpoint::journal::label_set_hash;
use crate::send::pace::shared::SharedPace;
use crate::types::shard::Shard;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Held by each data thread.
#[derive(Clone, Debug)]
pub struct ThreadLimits {
    pub(super) pace: SharedPace,
    /// By hash of the base label set: what each thread's containers of it have still to read.
    behind: Arc<Mutex<HashMap<u64, Vec<Behind>>>>,
}

/// Of one thread: up to when the others may go, as of when.
#[derive(Clone, Copy, Debug)]
struct Behind {
    shard: usize,
    limit_ns: i64,
    told_at: Duration,
}

impl ThreadLimits {
    /// `rate` and `burst` as in [`crate::config::Loki`].
    #[must_use]
    pub fn new(rate: u64, burst: u64) -> Self {
        Self { pace: SharedPace::new(rate, burst), behind: Arc::default() }
    }

    /// `shard`'s containers of a label set let the others go up to `limit_ns`; `None`: none of them is behind.
    pub(super) fn tell_behind(&self, shard: Shard, labels: &str, limit_ns: Option<i64>, now: Duration) {
        if shard.count() == 1 {
            return;
        }
        let mut behind = self.lock();
        let entry = behind.entry(label_set_hash(labels)).or_default();
        entry.retain(|other| other.shard != shard.index());
        entry.extend(limit_ns.map(|limit_ns| Behind { shard: shard.index(), limit_ns, told_at: now }));
        if entry.is_empty() {
            behind.remove(&label_set_hash(labels));
        }
    }

    /// Up to when the other threads let `shard`'s containers of a label set go; what was told longer than `age_max` ago counts
    /// no more.
    pub(super) fn limit_ns(&self, shard: Shard, labels: &str, age_max: Duration, now: Duration) -> i64 {
        if shard.count() == 1 {
            return i64::MAX;
        }
        let behind = self.lock();
        let told = behind.get(&label_set_hash(labels)).map(Vec::as_slice).unwrap_or_default();
        let counts = |other: &&Behind| other.shard != shard.index() && now < other.told_at + age_max;
        told.iter().filter(counts).map(|other| other.limit_ns).min().unwrap_or(i64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Vec<Behind>>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_threads_containers_hold_back_those_of_their_label_set() {
        let thread_limits = ThreadLimits::new(1, 1);
        let [a, b, c] = [0, 1, 2].map(|index| Shard::all(3).nth(index).unwrap());
        let (now, age) = (Duration::from_secs(100), Duration::from_secs(60));
        thread_limits.tell_behind(a, "{x}", Some(5), now);
        thread_limits.tell_behind(b, "{x}", Some(3), now);
        assert_eq!(thread_limits.limit_ns(c, "{x}", age, now), 3);
        assert_eq!(thread_limits.limit_ns(b, "{x}", age, now), 5, "its own do not hold it back");
        assert_eq!(thread_limits.limit_ns(c, "{y}", age, now), i64::MAX);
        thread_limits.tell_behind(b, "{x}", None, now);
        assert_eq!(thread_limits.limit_ns(c, "{x}", age, now), 5);
        assert_eq!(thread_limits.limit_ns(c, "{x}", age, now + age), i64::MAX, "who tells nothing is not waited for");
    }
}

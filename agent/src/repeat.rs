//! Keeps the agent's own repeated messages down to one a minute each, with a count.
//!
//! In: what a message is about, and the time. Out: whether to log it now, and how many like it were held
//! back. Never: a clock, or the log itself.

use crate::limits::{OWN_LOG_INTERVAL, OWN_LOG_KEYS_MAX};
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Remembers when each kind of message was last let through. `K` says what a message is about: a fixed word,
/// or a word and a path; at most [`OWN_LOG_KEYS_MAX`] are remembered.
#[derive(Debug)]
pub struct Repeats<K = &'static str> {
    seen: HashMap<K, Seen>,
}

#[derive(Debug)]
struct Seen {
    logged_at: Duration,
    suppressed: u64,
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Self { seen: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone> Repeats<K> {
    /// `Some(n)`: log it; n like it were held back since the last that was logged. `None`: hold it back.
    /// `now` is time since the agent started.
    pub fn report(&mut self, key: K, now: Duration) -> Option<u64> {
        if let Some(seen) = self.seen.get_mut(&key) {
            if now.saturating_sub(seen.logged_at) < OWN_LOG_INTERVAL {
                seen.suppressed += 1;
                return None;
            }
            seen.logged_at = now;
            return Some(std::mem::take(&mut seen.suppressed));
        }
        if self.seen.len() >= OWN_LOG_KEYS_MAX {
            self.make_room(now);
        }
        self.seen.insert(key, Seen { logged_at: now, suppressed: 0 });
        Some(0)
    }

    /// The trouble is over: the next message about it is logged at once. How many were held back.
    pub fn clear(&mut self, key: &K) -> u64 {
        self.seen.remove(key).map_or(0, |seen| seen.suppressed)
    }

    fn make_room(&mut self, now: Duration) {
        self.seen.retain(|_, seen| now.saturating_sub(seen.logged_at) < OWN_LOG_INTERVAL);
        if self.seen.len() >= OWN_LOG_KEYS_MAX {
            let oldest = self.seen.iter().min_by_key(|(_, seen)| seen.logged_at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.seen.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule: logged at once, then once a minute with the number held back.
    #[test]
    fn one_a_minute_with_a_count() {
        let mut repeats = Repeats::default();
        let at = Duration::from_secs;
        assert_eq!(repeats.report("loki", at(5)), Some(0));
        assert_eq!(repeats.report("loki", at(5)), None);
        assert_eq!(repeats.report("loki", at(64)), None);
        assert_eq!(repeats.report("pods", at(64)), Some(0), "another kind has its own minute");
        assert_eq!(repeats.report("loki", at(65)), Some(2));
        assert_eq!(repeats.report("loki", at(66)), None);
        assert_eq!(repeats.clear(&"loki"), 1);
        assert_eq!(repeats.report("loki", at(67)), Some(0), "cleared: new trouble is told at once");
    }

    /// Rule: keys that come from outside (paths) do not grow the memory without bound.
    #[test]
    fn what_is_remembered_is_bounded() {
        let mut repeats = Repeats::default();
        for key in 0..10 * OWN_LOG_KEYS_MAX {
            assert_eq!(repeats.report(key, Duration::from_millis(key as u64)), Some(0));
            assert!(repeats.seen.len() <= OWN_LOG_KEYS_MAX);
        }
        let newest = 10 * OWN_LOG_KEYS_MAX - 1;
        assert_eq!(repeats.report(newest, Duration::from_secs(20)), None, "the newest are the ones kept");
    }
}

//! When a busy file is looked at again: soon where there are few, rarer where there are many, or where each look finds much.
//!
//! In: the time, what the look found. Out: when the next one is due. Never: a look at a file, or a wait for one that told of its growth
//! itself.

use crate::limits::{LOOK_STRETCH_MAX, LOOKS_AT_ONCE};
use crate::types::time::wait_after;
use std::time::Duration;

/// The looks that are due, spread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    look_again: Duration,
    /// Until then there are as many looks as may be.
    taken_until: Duration,
}

impl Rhythm {
    pub(super) const fn new(look_again: Duration) -> Self {
        Self { look_again, taken_until: Duration::ZERO }
    }

    /// When a file is due of which a look has just found so many bytes. Dues are multiples of `look_again`, so that one waking
    /// serves all that are due by then.
    pub(super) fn next(&mut self, now: Duration, bytes: usize) -> Duration {
        let latest = now + self.look_again * LOOK_STRETCH_MAX;
        let due = self.taken_until.max(now + wait_after(self.look_again, bytes)).min(latest);
        self.taken_until = (self.taken_until.max(now) + self.look_again / LOOKS_AT_ONCE).min(latest);
        let step = self.look_again.as_nanos().max(1);
        let rounded = due.as_nanos().div_ceil(step) * step;
        u64::try_from(rounded).map_or(due, Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_file_alone_is_due_after_the_time_that_is_set() {
        let mut rhythm = Rhythm::new(MS);
        let mut now = 100 * MS;
        for _ in 0..50 {
            let due = rhythm.next(now, 300);
            assert!(due >= now + MS && due < now + 2 * MS, "{due:?} after {now:?}");
            now = due;
        }
        assert_eq!(rhythm.next(now, 1 << 20), now + 4 * MS, "what finds much may wait");
    }

    #[test]
    fn many_share_the_looks_and_none_waits_for_long() {
        for files in [50_usize, 250, 1_000] {
            let mut rhythm = Rhythm::new(MS);
            let mut due = vec![Duration::ZERO; files];
            let mut looks = 0;
            // Somewhat later than what is due, as a thread wakes.
            for now in (0..1_000).map(|tick| tick * MS + MS / 3) {
                for at in due.iter_mut().filter(|at| **at <= now) {
                    *at = rhythm.next(now, 300);
                    assert!(*at <= now + (LOOK_STRETCH_MAX + 1) * MS);
                    assert_eq!(at.as_nanos() % MS.as_nanos(), 0, "one waking serves all that are due");
                    looks += 1;
                }
            }
            let least = files as u32 * 1_000 / (LOOK_STRETCH_MAX + 1);
            assert!(looks >= least && looks <= least.max(LOOKS_AT_ONCE * 1_000) * 2, "{files} files: {looks} looks");
        }
    }
}

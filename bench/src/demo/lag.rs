//! How long lines are under way, from two counters alone.
//!
//! In: lines written and lines arrived, at moments. Out: the time since as many lines were written as have
//! arrived by now. Never: a look at a line.

use std::collections::VecDeque;
use std::time::Duration;

/// Moments kept; at 50 a second these are about three minutes.
const MOMENTS_MAX: usize = 10_000;

/// Keeps the moments that are not caught up with.
#[derive(Debug, Default)]
pub struct Lag {
    /// (moment, lines written by then) that have not all arrived, oldest first.
    open: VecDeque<(Duration, u64)>,
    worst: Duration,
}

impl Lag {
    /// Takes both counters at one moment.
    pub fn note(&mut self, now: Duration, written: u64, arrived: u64) {
        if self.open.back().is_none_or(|(_, lines)| *lines < written) && self.open.len() < MOMENTS_MAX {
            self.open.push_back((now, written));
        }
        while self.open.front().is_some_and(|(_, lines)| *lines <= arrived) {
            self.open.pop_front();
        }
        if let Some((since, _)) = self.open.front() {
            self.worst = self.worst.max(now.saturating_sub(*since));
        }
    }

    /// The worst since the last call.
    pub fn worst_and_reset(&mut self) -> Duration {
        std::mem::take(&mut self.worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_the_age_of_the_oldest_line_under_way() {
        let ms = Duration::from_millis;
        let mut lag = Lag::default();
        lag.note(ms(0), 10, 0);
        lag.note(ms(10), 20, 0);
        lag.note(ms(30), 30, 10);
        assert_eq!(lag.worst_and_reset(), ms(20), "lines 11 to 20 wait since 10 ms");
        lag.note(ms(40), 30, 30);
        assert_eq!(lag.worst_and_reset(), ms(0), "all arrived");
    }
}

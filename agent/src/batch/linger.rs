//! When a batch leaves: at once after a pause, else when the pause ends or it is full.
//!
//! The pause is nine smoothed push times, so that a node keeps no more than a tenth of a connection busy with small
//! requests: an idle node's line waits for nothing, a slow Loki gets fewer and larger requests.

use std::time::Duration;

/// Push times per pause.
const PAUSE_PUSHES: u32 = 9;
/// The shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// Weight of a new push time: one in eight.
const SMOOTHING: u32 = 8;

/// The pause between batches.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    pause_max: Duration,
    push_time: Duration,
    last_sent: Option<Duration>,
}

impl Linger {
    /// `pause_max`: `loki.linger_max`.
    #[must_use]
    pub fn new(pause_max: Duration) -> Self {
        Self { pause_max, push_time: Duration::ZERO, last_sent: None }
    }

    /// A push took so long.
    pub fn pushed(&mut self, took: Duration) {
        self.push_time = match self.push_time {
            Duration::ZERO => took,
            smoothed => (smoothed * (SMOOTHING - 1) + took) / SMOOTHING,
        };
    }

    /// A batch left at `now` (monotonic).
    pub fn sent(&mut self, now: Duration) {
        self.last_sent = Some(now);
    }

    /// The smoothed push time.
    #[must_use]
    pub fn push_time(&self) -> Duration {
        self.push_time
    }

    /// When a batch that is not full may leave (monotonic).
    #[must_use]
    pub fn due(&self) -> Duration {
        let pause = (self.push_time * PAUSE_PUSHES).clamp(PAUSE_MIN.min(self.pause_max), self.pause_max);
        self.last_sent.map_or(Duration::ZERO, |sent| sent + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_line_after_a_pause_waits_for_nothing() {
        let mut linger = Linger::new(1000 * MS);
        assert!(linger.due() <= Duration::ZERO);
        linger.sent(5 * MS);
        linger.pushed(2 * MS);
        assert_eq!(linger.due(), 23 * MS);
    }

    #[test]
    fn the_pause_grows_with_the_push_time_up_to_its_limit() {
        let mut linger = Linger::new(1000 * MS);
        linger.sent(Duration::ZERO);
        assert_eq!(linger.due(), MS, "nothing is known yet");
        for _ in 0..100 {
            linger.pushed(400 * MS);
        }
        assert_eq!(linger.due(), 1000 * MS);
        let mut quick = Linger::new(Duration::ZERO);
        quick.sent(7 * MS);
        assert_eq!(quick.due(), 7 * MS, "a linger of nothing is no pause");
    }
}

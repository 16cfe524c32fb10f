//! The one place that reads the clocks. Everything else is told what time it is.

use crate::types::time::Now;
use rustix::time::ClockId;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Reads wall clock and monotonic clock together.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock whose monotonic side starts at zero now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The present moment. A wall clock before 1970 or after 2262 counts as the nearer end.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { wall_ns: i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX), mono: self.started.elapsed() }
    }
}

/// What has to be added to the kernel's `CLOCK_MONOTONIC` to have the wall clock, nanoseconds, as of now.
#[must_use]
pub fn wall_less_monotonic_ns() -> i64 {
    let read = |clock| {
        let time = rustix::time::clock_gettime(clock);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    };
    read(ClockId::Realtime).saturating_sub(read(ClockId::Monotonic))
}

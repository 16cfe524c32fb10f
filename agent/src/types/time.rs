//! The present moment, as an argument; and when the next look is due.

use crate::limits::{LOOK_BYTES, LOOK_BYTES_STRETCH_MAX};
use std::time::Duration;

/// One reading of the clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, nanoseconds since the Unix epoch.
    pub wall_ns: i64,
    /// Time since the agent started; never goes back.
    pub mono: Duration,
}

/// From a look at a busy file or ring that found so many bytes to the next: the more it found, the more may wait, as they fill
/// requests whose pace is lower than that of the looks.
#[must_use]
pub fn wait_after(look_again: Duration, bytes: usize) -> Duration {
    look_again * u32::try_from(1 + bytes / LOOK_BYTES).unwrap_or(u32::MAX).min(LOOK_BYTES_STRETCH_MAX)
}

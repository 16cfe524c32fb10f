//! The present moment, as an argument.

use std::time::Duration;

/// One reading of the clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, nanoseconds since the Unix epoch.
    pub wall_ns: i64,
    /// Time since the agent started; never goes back.
    pub mono: Duration,
}

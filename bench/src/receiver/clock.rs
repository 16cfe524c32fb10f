//! The receiver's one clock: the wall clock, or a time that a test moves.
//!
//! In: nothing. Out: nanoseconds since 1970. It never sleeps; limits and windows get the time as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where the receiver takes its time from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The wall clock of this machine.
    #[default]
    Wall,
    /// Nanoseconds since 1970, moved by whoever holds the other end.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Nanoseconds since 1970; 0 for a machine whose clock stands before that.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a server needs the time of day; this is the one place that reads it"
    )]
    pub fn now_ns(&self) -> i64 {
        match self {
            Self::Wall => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            Self::Manual(now) => now.load(Ordering::Relaxed),
        }
    }
}

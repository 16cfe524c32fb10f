//! The pace that several data threads keep together: Loki's limit is one for all of them.

use super::Pace;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A [`Pace`], held by each of them.
#[derive(Clone, Debug)]
pub struct SharedPace(Arc<Mutex<Pace>>);

impl SharedPace {
    /// As [`Pace::new`].
    #[must_use]
    pub fn new(rate: u64, burst: u64) -> Self {
        Self(Arc::new(Mutex::new(Pace::new(rate, burst))))
    }

    /// As [`Pace::take`].
    ///
    /// # Errors
    /// As there.
    pub fn take(&self, bytes: u64, now: Duration) -> Result<(), Duration> {
        self.lock().take(bytes, now)
    }

    /// As [`Pace::passed`].
    pub fn passed(&self) {
        self.lock().passed();
    }

    /// As [`Pace::refused`].
    pub fn refused(&self, bytes: u64, sent: Duration, now: Duration) {
        self.lock().refused(bytes, sent, now);
    }

    /// As [`Pace::rate`].
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.lock().rate()
    }

    /// As [`Pace::request_bytes_max`].
    #[must_use]
    pub fn request_bytes_max(&self) -> u64 {
        self.lock().request_bytes_max()
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

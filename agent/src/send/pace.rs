//! How fast: a token bucket at the tenant's limit, counted as Loki counts, and lowered when Loki says 429.
//!
//! Many nodes share one tenant's limit without knowing of each other: a refusal lowers the rate by a factor, quiet
//! time raises it by steps (AIMD). Pure.

use std::time::Duration;

/// What remains of the rate after a refusal.
const AFTER_REFUSAL: f64 = 0.7;
/// What comes back in a second without one, as a share of the configured rate.
const RISE_PER_SECOND: f64 = 0.02;
/// The rate never falls below this share of the configured one.
const FLOOR: f64 = 0.01;
/// Refusals within this time of each other count as one: they answer requests that were under way together.
const REFUSALS_AS_ONE: Duration = Duration::from_secs(1);

/// The bucket. Bytes are those of lines and structured metadata.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rate_max: f64,
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Duration,
    refused_at: Option<Duration>,
}

impl Pace {
    /// A full bucket. `rate` in bytes per second, `burst` in bytes.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn new(rate: u64, burst: u64) -> Self {
        let (rate, burst) = (rate as f64, burst as f64);
        Self { rate_max: rate, rate, burst, tokens: burst, at: Duration::ZERO, refused_at: None }
    }

    /// Takes `bytes` at `now`; or says when they will be there. More than the bucket holds goes when it is full.
    ///
    /// # Errors
    /// The monotonic time at which to ask again.
    #[expect(clippy::cast_precision_loss, reason = "a request has far fewer than 2^53 bytes")]
    pub fn take(&mut self, bytes: u64, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        let bytes = bytes as f64;
        let needed = bytes.min(self.burst);
        if self.tokens >= needed {
            self.tokens -= bytes;
            return Ok(());
        }
        Err(now + Duration::from_secs_f64((needed - self.tokens) / self.rate).max(Duration::from_millis(1)))
    }

    /// Loki refused for the tenant's rate.
    pub fn refused(&mut self, now: Duration) {
        self.fill(now);
        self.tokens = self.tokens.min(0.0);
        if self.refused_at.is_none_or(|at| now.saturating_sub(at) >= REFUSALS_AS_ONE) {
            self.rate = (self.rate * AFTER_REFUSAL).max(self.rate_max * FLOOR);
        }
        self.refused_at = Some(now);
    }

    /// The rate as it is now, bytes per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    fn fill(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + self.rate * seconds).min(self.burst);
        if self.refused_at.is_none_or(|at| now.saturating_sub(at) >= REFUSALS_AS_ONE) {
            self.rate = (self.rate + self.rate_max * RISE_PER_SECOND * seconds).min(self.rate_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_burst_goes_at_once_and_then_the_rate_holds() {
        let mut pace = Pace::new(30, 60);
        assert_eq!(pace.take(60, S), Ok(()));
        let again = pace.take(15, S).unwrap_err();
        assert_eq!(again.as_millis(), 1500);
        assert_eq!(pace.take(15, again), Ok(()));
    }

    #[test]
    fn a_request_above_the_burst_goes_when_the_bucket_is_full() {
        let mut pace = Pace::new(30, 60);
        assert_eq!(pace.take(90, S), Ok(()));
        assert_eq!(pace.take(90, S).unwrap_err().as_secs(), 4);
    }

    #[test]
    fn refusals_lower_the_rate_by_a_factor_and_quiet_time_raises_it_by_steps() {
        let mut pace = Pace::new(1000, 2000);
        pace.refused(S);
        pace.refused(S + S / 2);
        assert!((pace.rate() - 700.0).abs() < 1e-9, "two answers to one burst count once: {}", pace.rate());
        let _paced = pace.take(1, S * 7);
        assert!((pace.rate() - 830.0).abs() < 40.0, "{}", pace.rate());
        let _paced = pace.take(1, S * 1000);
        assert!((pace.rate() - 1000.0).abs() < 1e-9);
        for second in 1000..2000 {
            pace.refused(S * second);
        }
        assert!(pace.rate() >= 10.0);
    }
}

//! The token bucket of Loki's rate limits.
//!
//! In: the time and a number of bytes. Out: whether they may pass. What is refused takes nothing from the bucket.
//! It never reads a clock.
//!
//! Source: `golang.org/x/time/rate` as used by Loki 3.5.1 `pkg/distributor/ingestion_rate_strategy.go` and
//! `pkg/ingester/limiter.go`.

/// Refilled at `rate` bytes per second up to `burst` bytes; full at first.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    last_ns: i64,
}

impl TokenBucket {
    /// `rate` in bytes per second, `burst` in bytes.
    pub(crate) fn new(rate: u64, burst: u64, now_ns: i64) -> Self {
        Self { rate: rate as f64, burst: burst as f64, tokens: burst as f64, last_ns: now_ns }
    }

    /// Takes `bytes` if they are there. More than `burst` never passes.
    pub(crate) fn allow(&mut self, now_ns: i64, bytes: usize) -> bool {
        let elapsed_s = now_ns.saturating_sub(self.last_ns).max(0) as f64 / 1e9;
        let tokens = (self.tokens + elapsed_s * self.rate).min(self.burst);
        let wanted = bytes as f64;
        if wanted > tokens {
            return false;
        }
        self.tokens = tokens - wanted;
        self.last_ns = self.last_ns.max(now_ns);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::TokenBucket;

    const S: i64 = 1_000_000_000;

    #[test]
    fn refills_at_its_rate_and_holds_no_more_than_its_burst() {
        let mut bucket = TokenBucket::new(100, 200, 0);
        assert!(bucket.allow(0, 200));
        assert!(!bucket.allow(0, 1));
        assert!(!bucket.allow(S / 2, 51));
        assert!(bucket.allow(S / 2, 50));
        assert!(!bucket.allow(100 * S, 201), "more than the burst never passes, however long one waits");
        assert!(bucket.allow(100 * S, 200));
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let mut bucket = TokenBucket::new(100, 100, 0);
        for _ in 0..1000 {
            assert!(!bucket.allow(0, 101));
        }
        assert!(bucket.allow(0, 100));
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let mut bucket = TokenBucket::new(100, 100, 10 * S);
        assert!(bucket.allow(10 * S, 100));
        assert!(!bucket.allow(5 * S, 1));
        assert!(!bucket.allow(10 * S, 1));
        assert!(bucket.allow(11 * S, 100));
    }
}

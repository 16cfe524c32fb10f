//! How fast: a token bucket at the tenant's limit, counted as Loki counts, and lowered when Loki says 429.
//!
//! In: bytes that are to go, that passed or were refused, and when. Out: whether they may go, and how large a request is to
//! be. Pure. Never: a cut that is deep for one refusal alone, or a second one for requests that were under way together.
//!
//! Many nodes share one tenant's limit without knowing of each other, or of how many they are. What they have in common is
//! the tenant's bucket at Loki, which holds little while the limit is reached: **a large request is refused more often than
//! a small one**. So each asks for as much as its rate gives in a certain time ([`Pace::request_bytes_max`]): whoever has
//! more than his share asks for more at once, is refused more often, and comes down to the others, within a minute.
//! - A refusal lowers the rate by three tenths of the bytes that were refused: a stray one of many costs little.
//! - The fourth in a row, and each after it, halves: the rate is far off, as when a fleet starts.
//! - Time raises the rate by 2 % a second. After 30 s without a refusal it doubles every 10 s: there is room.
//!
//! Lowering and raising are in balance where about one request in sixteen is refused, whatever the size of the fleet. A
//! smaller `RISE` means fewer refusals and a longer way to equal shares: `cargo xtask bench fleet` tells both.

pub mod shared;

use std::time::Duration;

/// What a refusal takes from the rate, over the bytes that were refused.
const LOWER: f64 = 0.3;
/// From this refusal in a row on each halves the rate.
const HALVE_FROM: u32 = 4;
/// What comes back in a second, as a share of the rate.
const RISE: f64 = 0.02;
/// The time that a request is worth, seconds, at [`RATE_SCALE`]; it falls with the fourth root of the rate over that. Few
/// nodes have large rates: they learn by more requests, which stay below `loki.batch_bytes` and so differ with the rate.
const REQUEST_SECONDS: f64 = 0.3;
/// A thousandth of 30 MiB/s, bytes per second.
const RATE_SCALE: f64 = 31_457.0;
/// After so many seconds without a refusal there is room.
const QUIET: f64 = 30.0;
/// What comes back in a second then: twice the rate every 10 s.
const RISE_QUIET: f64 = 0.07;
/// The rate never falls below this, bytes per second: enough for 30,000 nodes at 30 MiB/s.
const FLOOR: f64 = 1024.0;
/// A request may always be of so many bytes: smaller ones only make more of them.
const REQUEST_BYTES_MIN: f64 = 4096.0;

/// The bucket. Bytes are those of lines and structured metadata.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rate_max: f64,
    /// What the bucket holds at `rate_max`; it shrinks with the rate.
    burst_max: f64,
    rate: f64,
    tokens: f64,
    at: Duration,
    refused_at: Option<Duration>,
    /// Refusals since something passed; those that were under way together count once.
    in_a_row: u32,
}

impl Pace {
    /// A full bucket. `rate` in bytes per second, `burst` in bytes.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn new(rate: u64, burst: u64) -> Self {
        let (rate, burst) = (rate as f64, burst as f64);
        let at = Duration::ZERO;
        Self { rate_max: rate, burst_max: burst, rate, tokens: burst, at, refused_at: None, in_a_row: 0 }
    }

    /// Takes `bytes` at `now`; or says when they will be there. More than the bucket holds goes when it is full.
    ///
    /// # Errors
    /// The monotonic time at which to ask again.
    #[expect(clippy::cast_precision_loss, reason = "a request has far fewer than 2^53 bytes")]
    pub fn take(&mut self, bytes: u64, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        let bytes = bytes as f64;
        let needed = bytes.min(self.burst());
        if self.tokens >= needed {
            self.tokens -= bytes;
            return Ok(());
        }
        Err(now + Duration::from_secs_f64((needed - self.tokens) / self.rate).max(Duration::from_millis(1)))
    }

    /// Loki took a request of the tenant's.
    pub fn passed(&mut self) {
        self.in_a_row = 0;
    }

    /// Loki refused `bytes` that went at `sent` for the tenant's rate.
    #[expect(clippy::cast_precision_loss, reason = "a request has far fewer than 2^53 bytes")]
    pub fn refused(&mut self, bytes: u64, sent: Duration, now: Duration) {
        self.fill(now);
        // Loki's bucket is empty; and it took nothing, so nothing is owed either.
        self.tokens = 0.0;
        let is_news = self.refused_at.is_none_or(|at| sent >= at);
        self.in_a_row += u32::from(is_news);
        let lowered = match self.in_a_row {
            HALVE_FROM.. if is_news => self.rate / 2.0,
            _ => self.rate - LOWER * (bytes as f64).min(self.rate),
        };
        self.rate = lowered.max(FLOOR.min(self.rate_max));
        self.refused_at = Some(now);
    }

    /// The rate as it is now, bytes per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// How large a request is to be at the most, bytes. No bound where Loki has never refused.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and far below 2^53")]
    pub fn request_bytes_max(&self) -> u64 {
        if self.refused_at.is_none() {
            return u64::MAX;
        }
        let seconds = REQUEST_SECONDS * (RATE_SCALE / self.rate).sqrt().sqrt();
        (self.rate * seconds).max(REQUEST_BYTES_MIN) as u64
    }

    fn burst(&self) -> f64 {
        self.burst_max * self.rate / self.rate_max
    }

    fn fill(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        let from = self.at;
        self.at = self.at.max(now);
        self.tokens += self.rate * seconds;
        // First the bucket, then what is in it: it may be full at any rate.
        self.rise(from, seconds);
        self.tokens = self.tokens.min(self.burst());
    }

    /// In steps of a second at the most, so that it is much the same however often it is looked at.
    fn rise(&mut self, from: Duration, seconds: f64) {
        let Some(refused_at) = self.refused_at else { return };
        let quiet = from.saturating_sub(refused_at).as_secs_f64();
        let mut done = 0.0;
        while done < seconds && self.rate < self.rate_max {
            let step = (seconds - done).min(1.0);
            let rise = if quiet + done >= QUIET { RISE_QUIET } else { RISE };
            self.rate = (self.rate * (1.0 + rise * step)).min(self.rate_max);
            done += step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const S: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);
    const MIB: u64 = 1 << 20;

    /// One that Loki has refused until its rate is about a thousandth.
    fn lowered(now: &mut Duration) -> Pace {
        let mut pace = Pace::new(30 * MIB, 60 * MIB);
        while pace.rate() > 31_000.0 {
            pace.refused(pace.request_bytes_max().min(MIB), *now, *now + 20 * MS);
            *now += 300 * MS;
        }
        pace
    }

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

    /// Rule: one that is refused all the time goes down to the floor, however often it tries.
    #[test]
    fn refusals_that_follow_each_other_closely_lower_the_rate_all_the_same() {
        let mut now = S;
        let mut pace = lowered(&mut now);
        assert!(now < 6 * S, "a start of a thousand is over in seconds: {now:?}");
        for _ in 0..10 {
            pace.refused(4_096, now, now + 20 * MS);
            now += 500 * MS;
        }
        assert!((pace.rate() - FLOOR).abs() < 100.0, "{}", pace.rate());
    }

    /// Rule: what was under way together is refused together, and lowers once for each byte, but does not halve.
    #[test]
    fn a_stray_refusal_costs_little_and_for_a_short_time() {
        let mut pace = Pace::new(30 * MIB, 60 * MIB);
        for _ in 0..4 {
            pace.refused(MIB, S, S + 20 * MS);
        }
        let share = |pace: &Pace| pace.rate() / (30 * MIB) as f64;
        assert!((0.95..0.98).contains(&share(&pace)), "{}", share(&pace));
        let _paced = pace.take(1, 11 * S);
        assert!(share(&pace) > 0.99, "{}", share(&pace));
    }

    /// Rule: at a thousandth of the limit the rate is still lowered and raised by parts of itself.
    #[test]
    fn a_small_rate_moves_by_small_steps() {
        let mut now = S;
        let mut pace = lowered(&mut now);
        let before = pace.rate();
        let _paced = pace.take(1, now + S);
        assert!((1.01..1.04).contains(&(pace.rate() / before)), "{}", pace.rate() / before);
        pace.passed();
        let before = pace.rate();
        pace.refused(pace.request_bytes_max(), now + S, now + S);
        assert!((0.8..0.95).contains(&(pace.rate() / before)), "{}", pace.rate() / before);
    }

    /// Rule: a request is worth less than a second, and the bucket two, whatever the rate has become; nothing
    /// is owed for what was refused.
    #[test]
    fn request_and_bucket_shrink_with_the_rate() {
        assert_eq!(Pace::new(30, 60).request_bytes_max(), u64::MAX, "nobody has asked for less");
        let mut now = S;
        let mut pace = lowered(&mut now);
        let seconds = pace.request_bytes_max() as f64 / pace.rate();
        assert!((0.2..0.5).contains(&seconds), "{seconds} s");
        let again = pace.take(pace.request_bytes_max(), now).unwrap_err();
        assert!(again <= now + S, "{:?}", again - now);
        now += 10 * S;
        let _filled = pace.take(0, now);
        let full = (pace.rate() * 2.0) as u64;
        assert_eq!(pace.take(full - 1, now), Ok(()));
        assert!(pace.take(100, now).is_err(), "and no more than that");
    }

    /// Rule: a full bucket is full, also while the rate rises.
    #[test]
    fn what_is_above_a_growing_bucket_goes_in_the_end() {
        let mut now = S;
        let mut pace = lowered(&mut now);
        let tries = std::iter::from_fn(|| pace.take(10 * MIB, now).err().map(|at| now = at)).take(100).count();
        assert!(tries < 10, "{tries}");
    }

    /// Rule: where everybody else has gone, one is back at the limit within two minutes.
    #[test]
    fn room_is_found_when_it_is_there() {
        let mut now = S;
        let mut pace = lowered(&mut now);
        let _paced = pace.take(1, now + 140 * S);
        assert!((pace.rate() - (30 * MIB) as f64).abs() < 1.0, "{}", pace.rate());
    }
}

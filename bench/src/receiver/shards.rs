//! Automatic stream sharding: a fast stream is spread over several, told apart by `__stream_shard__`.
//!
//! In: bytes stored per stream and the time. Out: how many shards a push is spread over, and the first of them.
//! A resend goes on where the last push ended, so its entries land in other shards, where Loki keeps both.
//! It never touches entries. Streams without a push for ten minutes are forgotten.
//!
//! Source: Loki 3.5.1 `pkg/distributor/distributor.go` (`shardCountFor`, `createShards`), `ratestore.go`,
//! `shard_tracker.go`, `pkg/ingester/stream_rate_calculator.go`. Loki collects rates every second, give or take a
//! fifth; here a second is counted from the first push after the last one.

use std::collections::HashMap;

const SECOND_NS: i64 = 1_000_000_000;
const KEEP_NS: i64 = 600 * SECOND_NS;
/// Weight of the newest second in the moving average.
const SMOOTHING: f64 = 0.4;

#[derive(Debug, Default)]
struct Rate {
    /// Stored in the second that is running.
    bytes_now: u64,
    pushes_now: u64,
    bytes_per_s: f64,
    pushes_per_s: f64,
    known: bool,
    last_ns: i64,
    next_shard: usize,
}

/// Rates of all streams, by the hash of their label set without the shard.
#[derive(Debug, Default)]
pub(crate) struct Shards {
    rates: HashMap<u64, Rate>,
    second_began_ns: i64,
}

impl Shards {
    /// Where to put a push of `entries` entries and `bytes` line bytes: first shard, entries' shards, shards in all.
    /// `None`: the stream is not sharded now.
    pub(crate) fn place(
        &mut self,
        stream: u64,
        bytes: usize,
        entries: usize,
        shard_rate: u64,
        now_ns: i64,
    ) -> Option<(usize, usize, usize)> {
        self.roll(now_ns);
        let rate = self.rates.get_mut(&stream).filter(|rate| rate.pushes_per_s > 0.0)?;
        let load = rate.bytes_per_s + bytes as f64 * rate.pushes_per_s.min(1.0);
        let total = (load / (shard_rate.max(1) as f64)).ceil();
        if total <= 1.0 {
            return None;
        }
        // A rate is far below 2^52 bytes per second; more shards than that would be cut to usize anyway.
        let total = total as usize;
        let used = total.min(entries);
        let first = rate.next_shard % total;
        rate.next_shard = rate.next_shard.wrapping_add(used);
        Some((first, used, total))
    }

    /// Notes what a stream was given.
    pub(crate) fn record(&mut self, stream: u64, bytes: usize, now_ns: i64) {
        self.roll(now_ns);
        let rate = self.rates.entry(stream).or_default();
        rate.bytes_now += bytes as u64;
        rate.pushes_now += 1;
        rate.last_ns = now_ns;
    }

    fn roll(&mut self, now_ns: i64) {
        let passed = (now_ns - self.second_began_ns) / SECOND_NS;
        if passed < 1 {
            return;
        }
        self.second_began_ns = now_ns;
        self.rates.retain(|_, rate| now_ns - rate.last_ns < KEEP_NS);
        // Averages of more than a minute of nothing are nothing.
        let idle = i32::try_from(passed - 1).unwrap_or(60).min(60);
        for rate in self.rates.values_mut() {
            let (bytes, pushes) = (rate.bytes_now as f64, rate.pushes_now as f64);
            let weight = if rate.known { SMOOTHING } else { 1.0 };
            let fade = (1.0 - SMOOTHING).powi(idle);
            rate.bytes_per_s = (weight * bytes + (1.0 - weight) * rate.bytes_per_s) * fade;
            rate.pushes_per_s = (weight * pushes + (1.0 - weight) * rate.pushes_per_s) * fade;
            rate.known = true;
            (rate.bytes_now, rate.pushes_now) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SECOND_NS, Shards};

    #[test]
    fn a_fast_stream_is_sharded_after_a_second_and_a_resend_lands_elsewhere() {
        let mut shards = Shards::default();
        let t = 1_000 * SECOND_NS;
        assert_eq!(shards.place(7, 3_000_000, 10, 1 << 20, t), None, "the first push: no rate is known");
        shards.record(7, 3_000_000, t);
        let (first, used, total) = shards.place(7, 100, 2, 1 << 20, t + SECOND_NS).unwrap();
        assert_eq!((first, used, total), (0, 2, 3));
        assert_eq!(shards.place(7, 100, 2, 1 << 20, t + SECOND_NS).unwrap(), (2, 2, 3), "goes on after the last");
        assert_eq!(shards.place(8, 100, 2, 1 << 20, t + SECOND_NS), None, "another stream is not sharded");
        assert_eq!(shards.place(7, 100, 2, 1 << 20, t + 60 * SECOND_NS), None, "quiet again");
    }
}

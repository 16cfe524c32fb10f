//! Faults on request: what the receiver does instead of, or besides, being Loki.
//!
//! In: a fault and how often it strikes. Out: for each push the fault that it meets, if any. It plays none itself.

use std::time::Duration;

/// What a push meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status with a short text; nothing is stored. 413 has the body of the gateway's nginx.
    Status(u16),
    /// 429 with `Retry-After: SECONDS`, as a proxy in front of Loki may send it; nothing is stored.
    RetryAfter(u32),
    /// This status, with a short text, for pushes with a line that holds this; nothing of them is stored.
    Poison(u16, &'static str),
    /// Tenant rate: 429 for the whole request in Loki's words.
    TooMany,
    /// Per-stream rate: the ingester takes no stream; 429 in Loki's words.
    StreamRate,
    /// The body is read, then the connection is closed without an answer; nothing is stored.
    Reset,
    /// The request is stored, then the connection is closed without an answer.
    StoreThenReset,
    /// The body is read, then nothing comes, until the client gives up.
    Stall,
    /// The answer comes this much later, and is Loki's.
    Slow(Duration),
    /// The request is handled, then the answer is 500 whatever became of it.
    StoreThen500,
    /// Ingestion is blocked: 260 (a refusal of entries that would be 400 goes first, as in Loki).
    Blocked260,
    /// 401 `no org id`.
    Unauthorized401,
    /// Connections are refused and open ones are closed, until the fault is taken away; what is stored stays.
    Refuse,
}

/// How often a fault strikes. [`Fault::Refuse`] is always on until it is taken away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Times {
    /// Every push.
    Always,
    /// The next so many pushes.
    Next(u32),
    /// Each push with this probability, by this seed.
    Chance {
        /// 0 to 1.
        probability: f64,
        /// The same seed gives the same sequence.
        seed: u64,
    },
}

/// The fault that is set.
#[derive(Debug, Default)]
pub(crate) struct FaultSwitch {
    set: Option<(Fault, Times)>,
    random: Option<fastrand::Rng>,
}

impl FaultSwitch {
    /// Sets or clears it.
    pub(crate) fn set(&mut self, fault: Option<(Fault, Times)>) {
        self.random = match fault {
            Some((_, Times::Chance { seed, .. })) => Some(fastrand::Rng::with_seed(seed)),
            _ => None,
        };
        self.set = fault;
    }

    /// What the next push meets.
    pub(crate) fn draw(&mut self) -> Option<Fault> {
        let (fault, times) = self.set.as_mut()?;
        let fault = *fault;
        match times {
            Times::Always => Some(fault),
            Times::Next(0) => {
                self.set = None;
                None
            }
            Times::Next(left) => {
                *left -= 1;
                Some(fault)
            }
            Times::Chance { probability, .. } => {
                self.random.as_mut().is_some_and(|random| random.f64() < *probability).then_some(fault)
            }
        }
    }
}

impl Fault {
    /// From `kind` and, for `slow` and `retry_after`, `ms` or `seconds` of `POST /_fault?kind=…`: a status number, or
    /// `too_many`, `stream_rate`, `reset`, `store_then_reset`, `stall`, `slow`, `store_then_500`, `blocked`,
    /// `unauthorized`, `refuse`, `retry_after`.
    pub(crate) fn from_kind(kind: &str, amount: u32) -> Option<Self> {
        Some(match kind {
            "too_many" => Self::TooMany,
            "stream_rate" => Self::StreamRate,
            "reset" => Self::Reset,
            "store_then_reset" => Self::StoreThenReset,
            "stall" => Self::Stall,
            "slow" => Self::Slow(Duration::from_millis(u64::from(amount))),
            "store_then_500" => Self::StoreThen500,
            "blocked" => Self::Blocked260,
            "unauthorized" => Self::Unauthorized401,
            "refuse" => Self::Refuse,
            "retry_after" => Self::RetryAfter(amount),
            status => Self::Status(status.parse().ok().filter(|status| (200..600).contains(status))?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, FaultSwitch, Times};

    #[test]
    fn a_fault_strikes_as_often_as_it_was_asked_to() {
        let mut switch = FaultSwitch::default();
        assert_eq!(switch.draw(), None);
        switch.set(Some((Fault::Reset, Times::Next(2))));
        assert_eq!([switch.draw(), switch.draw(), switch.draw()], [Some(Fault::Reset), Some(Fault::Reset), None]);
        switch.set(Some((Fault::Stall, Times::Chance { probability: 0.3, seed: 7 })));
        let first: Vec<_> = (0..1000).map(|_| switch.draw().is_some()).collect();
        switch.set(Some((Fault::Stall, Times::Chance { probability: 0.3, seed: 7 })));
        let second: Vec<_> = (0..1000).map(|_| switch.draw().is_some()).collect();
        assert_eq!(first, second, "the seed decides");
        assert!((200..400).contains(&first.iter().filter(|&&hit| hit).count()));
    }
}

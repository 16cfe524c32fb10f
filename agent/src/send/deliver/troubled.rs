//! Requests of which nothing was stored: how long each waits, whether the others wait with it, and when it is split.
//!
//! Trouble is everybody's until another request passes: then it is the request's own, and holds up nobody else.

use super::{Delivery, Effects, Outgoing, State, Trouble, TroubleKind};
use crate::limits::RETRY_AFTER_MAX;
use std::time::Duration;

/// First and longest wait after trouble that passes.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// First and longest wait where only an operator can help.
const HOLD: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// The wait after a refusal for the tenant's rate, however often: the pace is what makes tries rare, and a longer wait
/// than others have would be less than a share.
const RATE: (Duration, Duration) = (Duration::from_millis(400), Duration::from_millis(400));
/// Server errors after which a request is split, where others pass meanwhile, or where it holds all there is and Loki
/// answers 500: it may hold what Loki stumbles over. (502, 503 and 504 speak of the way there.)
const ERRORS_BEFORE_SPLIT: u32 = 5;
/// Refusals for the tenant's rate in a row after which a request is split: above the tenant's burst it never passes.
const RATE_REFUSALS_BEFORE_SPLIT: u32 = 5;
/// Requests of no more than so many bytes, as Loki counts, are not split for the rate: a burst below that is no use,
/// and a tenant that stays over its rate must not make single entries of everything.
const RATE_SPLIT_BYTES_MIN: u64 = 64 * 1024;

impl Delivery {
    /// Whatever held requests back may be mended: those that wait for that are tried now.
    pub fn open(&mut self, now: Duration) {
        if self.failures > 0 {
            self.closed_until = self.closed_until.min(now);
        }
        for out in &mut self.outgoing {
            let may_be_mended =
                |(_, trouble): &(u64, Trouble)| matches!(trouble.kind, TroubleKind::Hold | TroubleKind::Passing);
            if let State::Waiting(until) = out.state
                && out.trouble.as_ref().is_some_and(may_be_mended)
            {
                out.state = State::Waiting(until.min(now));
            }
        }
    }

    /// Notes what ails a request.
    pub(super) fn note(&mut self, out: &mut Outgoing, kind: TroubleKind, words: String) -> Effects {
        self.troubles += 1;
        let trouble = Trouble { kind, words };
        out.trouble = Some((self.troubles, trouble.clone()));
        Effects { trouble: Some(trouble), ..Effects::default() }
    }

    /// No answer, or one that says nothing of the entries: the same bytes again.
    pub(super) fn failed(
        &mut self,
        mut out: Outgoing,
        place: usize,
        (kind, why): (TroubleKind, String),
        status: u16,
        retry_after: Option<Duration>,
        now: Duration,
    ) -> Effects {
        let is_hold = kind == TroubleKind::Hold;
        let effects = self.note(&mut out, kind, why);
        let is_its_own = self.passed > *out.passed_before.get_or_insert(self.passed);
        if !is_hold && status >= 500 {
            out.server_errors += 1;
            let may_be_poison = is_its_own || (status == 500 && self.outgoing.is_empty());
            if out.server_errors >= ERRORS_BEFORE_SPLIT && may_be_poison && out.can_split() {
                return self.split(out, place, "server_error", now, effects);
            }
            self.close_as_asked(retry_after, now);
        }
        let pauses = if is_hold { HOLD } else { BACKOFF };
        if !is_its_own {
            let wait = self.wait(pauses, self.failures, retry_after);
            // Answers to requests that were under way together count once.
            if self.failures == 0 || now >= self.closed_until {
                self.failures += 1;
            }
            self.close(now + wait);
        }
        let wait = self.wait(pauses, out.failures, retry_after);
        self.retry(place, out, now + wait);
        effects
    }

    /// The tenant's rate: the same entries again, slower, and cut to what the pace gives ([`Delivery::cut`]).
    pub(super) fn tenant_rate(
        &mut self,
        mut out: Outgoing,
        place: usize,
        retry_after: Option<Duration>,
        now: Duration,
    ) -> Effects {
        let words = "status 429: this is more than Loki takes of the tenant in a second; raise ingestion_rate_mb and \
                     ingestion_burst_size_mb in Loki's limits_config, lower loki.rate and loki.burst, or log less";
        let effects = self.note(&mut out, TroubleKind::TenantRate, words.to_owned());
        self.pace.refused(out.counted_bytes, out.sent_at, now);
        self.close_as_asked(retry_after, now);
        out.rate_refusals += 1;
        let wait = self.wait(RATE, 0, retry_after);
        let is_often = out.rate_refusals >= RATE_REFUSALS_BEFORE_SPLIT;
        if is_often && out.counted_bytes > RATE_SPLIT_BYTES_MIN && out.can_split() {
            return self.split(out, place, "tenant_rate", now + wait, effects);
        }
        // Not a failure of its own: it keeps its turn.
        out.state = State::Waiting(now + wait);
        self.outgoing.insert(place, out);
        effects
    }

    /// `Retry-After` is meant for all.
    fn close_as_asked(&mut self, retry_after: Option<Duration>, now: Duration) {
        if let Some(asked) = retry_after {
            self.close(now + asked.min(RETRY_AFTER_MAX));
        }
    }
}

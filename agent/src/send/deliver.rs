//! What becomes of a request: when it goes, what its answer means for its parts, when it is tried again, and when
//! it is split.
//!
//! In: parts, answers (already read by `answer`), the time. Out: requests that are due, and what was answered for.
//! Pure: the shell (`http`) carries the bytes. A label set has at most one request under way, and none waits for
//! another's.

mod effects;
mod halves;
mod same_labels;

pub use effects::{Effects, Split};

use super::pace::Pace;
use crate::limits::{REQUESTS_IN_FLIGHT_MAX, RETRY_AFTER_MAX};
use crate::types::part::{LabelSetId, Part, PartId};
use crate::types::request::{RequestId, Verdict};
use std::collections::HashSet;
use std::time::Duration;

/// First wait after trouble that passes, doubled up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// First wait where only an operator can help.
const HOLD: Duration = Duration::from_secs(5);
const HOLD_MAX: Duration = Duration::from_secs(60);
/// First wait of a new label set when the tenant has too many streams.
const NEW_STREAMS: Duration = Duration::from_secs(30);
const NEW_STREAMS_MAX: Duration = Duration::from_secs(600);
/// Server errors after which a request is split, where others pass meanwhile.
const ERRORS_BEFORE_SPLIT: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UnderWay,
    Waiting(Duration),
}

#[derive(Debug)]
struct Outgoing {
    id: RequestId,
    parts: Vec<Part>,
    counted_bytes: u64,
    state: State,
    /// Failures in a row.
    failures: u32,
    /// Of these, answers of the server (5xx).
    server_errors: u32,
    /// Answers of any request that were good when this one first failed.
    passed_before: u64,
}

/// A request that goes now.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// Its number.
    pub id: RequestId,
    /// What is in it.
    pub parts: &'a [Part],
    /// It went before.
    pub is_again: bool,
}

/// The requests that are not answered for.
#[derive(Debug)]
pub struct Delivery {
    /// In the order in which the records of each label set are to arrive, whatever is split or tried again.
    outgoing: Vec<Outgoing>,
    /// Where in it the next one goes.
    next_place: usize,
    pace: Pace,
    next_id: u64,
    next_part: u64,
    /// Requests that passed since the start.
    passed: u64,
    /// Failures since the last one that passed, whichever request.
    failures: u32,
    /// Nothing goes before this: Loki is down or slow for everybody.
    closed_until: Duration,
    /// When the bucket lets the next one go.
    paced_until: Duration,
    jitter: fastrand::Rng,
}

impl Delivery {
    /// `rate` and `burst` as in [`Pace::new`]; `seed` for the jitter.
    #[must_use]
    pub fn new(rate: u64, burst: u64, seed: u64) -> Self {
        Self {
            outgoing: Vec::new(),
            next_place: 0,
            pace: Pace::new(rate, burst),
            next_id: 0,
            // The batch room counts up from 0.
            next_part: 1 << 63,
            passed: 0,
            failures: 0,
            closed_until: Duration::ZERO,
            paced_until: Duration::ZERO,
            jitter: fastrand::Rng::with_seed(seed),
        }
    }

    /// Whether a label set has a request that is not answered for.
    #[must_use]
    pub fn is_busy(&self, id: LabelSetId) -> bool {
        self.outgoing.iter().flat_map(|out| &out.parts).any(|part| part.label_set == id)
    }

    /// Whether a new request could go now, as far as can be said before it is made.
    #[must_use]
    pub fn may_start(&self, now: Duration) -> bool {
        let is_open = now >= self.closed_until && now >= self.paced_until && self.under_way() < self.under_way_max();
        is_open && !self.outgoing.iter().any(|out| out.state == State::Waiting(Duration::ZERO))
    }

    /// Requests under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.outgoing.iter().filter(|out| out.state == State::UnderWay).count()
    }

    /// Whether everything is answered for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Encoded bytes that are not answered for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.outgoing.iter().flat_map(|out| &out.parts).map(|part| part.entries.len()).sum()
    }

    /// Label sets that wait because Loki refused them.
    #[must_use]
    pub fn held_label_sets(&self) -> usize {
        let held = self.outgoing.iter().filter(|out| out.failures > 0 && out.state != State::UnderWay);
        held.flat_map(|out| &out.parts).map(|part| part.label_set).collect::<HashSet<_>>().len()
    }

    /// The rate as it is now, bytes per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.pace.rate()
    }

    /// Takes parts for a new request; it goes when [`Delivery::due`] says so.
    pub fn add(&mut self, parts: Vec<Part>) {
        if !parts.is_empty() {
            self.next_place = self.outgoing.len();
            self.push(parts, Duration::ZERO, 0);
        }
    }

    /// The request that goes now, if any. It is under way from then on.
    pub fn due(&mut self, now: Duration) -> Option<Due<'_>> {
        if now < self.closed_until || now < self.paced_until || self.under_way() >= self.under_way_max() {
            return None;
        }
        let is_due = |place: &usize| self.outgoing.get(*place).is_some_and(|out| is_waiting(out, now));
        let is_first = |place: &usize| self.is_first_of_its_label_sets(*place);
        let key = |place: &usize| self.outgoing.get(*place).map(|out| (out.failures, out.id));
        let place = (0..self.outgoing.len()).filter(is_due).filter(is_first).min_by_key(key)?;
        let out = self.outgoing.get_mut(place)?;
        if let Err(at) = self.pace.take(out.counted_bytes, now) {
            self.paced_until = at;
            return None;
        }
        out.state = State::UnderWay;
        Some(Due { id: out.id, parts: &out.parts, is_again: out.failures > 0 })
    }

    /// When something may be due although no answer comes (monotonic).
    #[must_use]
    pub fn deadline(&self) -> Duration {
        if self.under_way() >= self.under_way_max() {
            return Duration::MAX;
        }
        let waiting = self.outgoing.iter().filter_map(|out| match out.state {
            State::Waiting(until) => Some(until),
            State::UnderWay => None,
        });
        waiting.min().map_or(Duration::MAX, |until| until.max(self.closed_until).max(self.paced_until))
    }

    /// When a new request may go as far as earlier trouble is concerned (monotonic).
    #[must_use]
    pub fn opens_at(&self) -> Duration {
        self.closed_until.max(self.paced_until)
    }

    /// An answer came; `status` as in `Answer`. `labels_of` gives a label set's text.
    pub fn answered<'a>(
        &mut self,
        id: RequestId,
        status: u16,
        verdict: Verdict,
        retry_after: Option<Duration>,
        now: Duration,
        labels_of: &dyn Fn(LabelSetId) -> &'a str,
    ) -> Effects {
        let mut effects = Effects::default();
        let Some(place) = self.outgoing.iter().position(|out| out.id == id) else { return effects };
        let mut out = self.outgoing.remove(place);
        self.next_place = place;
        match verdict {
            Verdict::Stored => self.pass(now),
            Verdict::PartlyRefused(refusals) => {
                self.pass(now);
                if out.parts.len() > 1 {
                    effects.alone.extend(out.parts.iter().map(|part| part.label_set));
                }
                effects.refused = refusals;
            }
            Verdict::NotUnderstood { why } => {
                effects.trouble = Some(why);
                return self.split(out, "not_understood", now, effects);
            }
            Verdict::TooLarge => return self.split(out, "too_large", now, effects),
            Verdict::TenantRate => {
                self.pace.refused(now);
                let wait = self.wait(BACKOFF, BACKOFF_MAX, out.failures, retry_after);
                self.retry(out, now + wait);
                return effects;
            }
            Verdict::StreamRate { labels } => {
                return self.some_refused(out, labels.as_deref(), (BACKOFF, BACKOFF_MAX), now, labels_of);
            }
            Verdict::TooManyStreams { labels } => {
                return self.some_refused(out, labels.as_deref(), (NEW_STREAMS, NEW_STREAMS_MAX), now, labels_of);
            }
            Verdict::Retry { why } => {
                effects.trouble = Some(why);
                if out.failures == 0 {
                    out.passed_before = self.passed;
                }
                out.server_errors += u32::from(status >= 500);
                if out.server_errors >= ERRORS_BEFORE_SPLIT && self.passed > out.passed_before && out.can_split() {
                    return self.split(out, "server_error", now, effects);
                }
                let wait = self.wait(BACKOFF, BACKOFF_MAX, self.failures, retry_after);
                self.fail(now + wait);
                let wait = self.wait(BACKOFF, BACKOFF_MAX, out.failures, retry_after);
                self.retry(out, now + wait);
                return effects;
            }
            Verdict::Hold { why } => {
                effects.trouble = Some(why);
                let wait = self.wait(HOLD, HOLD_MAX, self.failures, retry_after);
                self.fail(now + wait);
                self.retry(out, now + wait);
                return effects;
            }
        }
        effects.answered = out.parts;
        effects
    }

    fn push(&mut self, parts: Vec<Part>, at: Duration, failures: u32) {
        let counted_bytes = parts.iter().map(|part| part.counted_bytes).sum();
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let state = State::Waiting(at);
        self.insert(Outgoing { id, parts, counted_bytes, state, failures, server_errors: 0, passed_before: 0 });
    }

    /// While nothing passes one probe at a time is enough, two so that a poisoned one cannot hold up the rest.
    fn under_way_max(&self) -> usize {
        if self.failures > 0 { 2 } else { REQUESTS_IN_FLIGHT_MAX }
    }

    fn is_first_of_its_label_sets(&self, place: usize) -> bool {
        let Some(out) = self.outgoing.get(place) else { return false };
        let shares = |other: &Outgoing| {
            other.parts.iter().any(|theirs| out.parts.iter().any(|ours| ours.label_set == theirs.label_set))
        };
        let is_before = |at: usize, other: &Outgoing| other.state == State::UnderWay || at < place;
        let mut others = self.outgoing.iter().enumerate().filter(|(at, _)| *at != place);
        !others.any(|(at, other)| is_before(at, other) && shares(other))
    }

    fn pass(&mut self, now: Duration) {
        self.passed += 1;
        if self.failures > 0 {
            // Loki is back: what waits for that need not wait on.
            self.failures = 0;
            self.closed_until = now;
        }
    }

    fn fail(&mut self, closed_until: Duration) {
        self.failures += 1;
        self.closed_until = closed_until;
    }

    fn retry(&mut self, mut out: Outgoing, at: Duration) {
        out.failures += 1;
        out.state = State::Waiting(at);
        self.insert(out);
    }

    fn insert(&mut self, out: Outgoing) {
        self.outgoing.insert(self.next_place.min(self.outgoing.len()), out);
        self.next_place += 1;
    }

    fn wait(&mut self, first: Duration, most: Duration, failures: u32, retry_after: Option<Duration>) -> Duration {
        let full = first.saturating_mul(1 << failures.min(16)).min(most);
        let jittered = full.mul_f64(0.5 + self.jitter.f64() / 2.0);
        jittered.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }

    fn next_part_id(&mut self) -> PartId {
        self.next_part += 1;
        PartId(self.next_part)
    }
}

impl Outgoing {
    fn can_split(&self) -> bool {
        self.parts.len() > 1 || self.parts.first().is_some_and(|part| part.count > 1)
    }
}

fn is_waiting(out: &Outgoing, now: Duration) -> bool {
    matches!(out.state, State::Waiting(until) if until <= now)
}

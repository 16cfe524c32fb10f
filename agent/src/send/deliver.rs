//! What becomes of a request: when it goes, what its answer means for its parts, when it is tried again, and when
//! it is split.
//!
//! In: parts, answers (already read by `answer`), the time. Out: requests that are due, and what was answered for.
//! Pure: the shell (`http`) carries the bytes. A label set has at most one request under way, and none waits for
//! another's.

mod cut;
mod effects;
mod halves;
mod outgoing;
mod refused;
mod same_labels;
mod troubled;

pub use effects::{Effects, SetAside, Split, Trouble, TroubleKind};

use super::pace::shared::SharedPace;
use crate::limits::RETRY_AFTER_MAX;
use crate::types::part::{LabelSetId, Part, PartId};
use crate::types::position::StreamKey;
use crate::types::request::{RequestId, Verdict};
use outgoing::{Outgoing, State};
use refused::Refused;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

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
    /// Requests with entries of one label set are in the order in which these were written; what is tried again and
    /// the halves of a split keep their place.
    outgoing: Vec<Outgoing>,
    pace: SharedPace,
    requests_in_flight: usize,
    next_id: u64,
    next_part: u64,
    /// Requests that passed since the start.
    passed: u64,
    /// Failures since the last one that passed, whichever request.
    failures: u32,
    /// Nothing goes before this: Loki is down or slow for everybody. It moves on with further trouble, and back only
    /// when something passes.
    closed_until: Duration,
    /// When the bucket lets the next one go.
    paced_until: Duration,
    /// Label sets of which Loki has stored something in this run, and when it last did.
    accepted: HashMap<LabelSetId, Duration>,
    /// Troubles so far; the newest has the highest number.
    troubles: u64,
    jitter: fastrand::Rng,
}

impl Delivery {
    /// `requests_in_flight` at the most, at `pace`; `seed` for the jitter.
    #[must_use]
    pub fn new(pace: SharedPace, requests_in_flight: usize, seed: u64) -> Self {
        Self {
            outgoing: Vec::new(),
            pace,
            requests_in_flight,
            next_id: 0,
            // The batch room counts up from 0.
            next_part: 1 << 63,
            passed: 0,
            failures: 0,
            closed_until: Duration::ZERO,
            paced_until: Duration::ZERO,
            accepted: HashMap::new(),
            troubles: 0,
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

    /// Memory held by what is not answered for, bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.outgoing.iter().flat_map(|out| &out.parts).map(Part::memory_bytes).sum()
    }

    /// Label sets that wait because Loki refused them.
    #[must_use]
    pub fn held_label_sets(&self) -> usize {
        let is_held = |out: &&Outgoing| (out.failures > 0 || out.rate_refusals > 0) && out.state != State::UnderWay;
        let held = self.outgoing.iter().filter(is_held);
        held.flat_map(|out| &out.parts).map(|part| part.label_set).collect::<HashSet<_>>().len()
    }

    /// Whether Loki has stored something of this label set in this run.
    #[must_use]
    pub fn is_accepted(&self, id: LabelSetId) -> bool {
        self.accepted.contains_key(&id)
    }

    /// Whether nothing has passed since a request failed for what may concern all.
    #[must_use]
    pub fn is_in_trouble(&self) -> bool {
        self.failures > 0
    }

    /// What ails delivery: the newest trouble of what is not answered for.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        newest(self.outgoing.iter())
    }

    /// What ails the entries of one std stream.
    #[must_use]
    pub fn trouble_of(&self, stream: StreamKey) -> Option<&Trouble> {
        let holds =
            |out: &&Outgoing| out.parts.iter().flat_map(|part| &part.shares).any(|share| share.stream == stream);
        newest(self.outgoing.iter().filter(holds))
    }

    /// The rate as it is now, bytes per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.pace.rate()
    }

    /// How large a new request is to be at the most, bytes as Loki counts; see [`Pace::request_bytes_max`].
    #[must_use]
    pub fn request_bytes_max(&self) -> u64 {
        self.pace.request_bytes_max()
    }

    /// Takes parts for a new request; it goes when [`Delivery::due`] says so.
    pub fn add(&mut self, parts: Vec<Part>) {
        if !parts.is_empty() {
            self.insert(self.outgoing.len(), parts, Duration::ZERO);
        }
    }

    /// The request that goes now, if any. It is under way from then on. [`Delivery::cut`] makes it as large as it is to be.
    pub fn due(&mut self, now: Duration) -> Option<Due<'_>> {
        let place = self.next(now)?;
        let out = self.outgoing.get_mut(place)?;
        if let Err(at) = self.pace.take(out.counted_bytes, now) {
            self.paced_until = at;
            return None;
        }
        out.state = State::UnderWay;
        out.sent_at = now;
        Some(Due { id: out.id, parts: &out.parts, is_again: out.was_sent })
    }

    /// When something may be due although no answer comes (monotonic).
    #[must_use]
    pub fn deadline(&self) -> Duration {
        if self.under_way() >= self.under_way_max() {
            return Duration::MAX;
        }
        // What waits for an earlier one of its label sets waits for an answer, not for a time.
        let waiting = self.outgoing.iter().enumerate().filter_map(|(place, out)| match out.state {
            State::Waiting(until) => self.is_first_of_its_label_sets(place).then_some(until),
            State::UnderWay => None,
        });
        waiting.min().map_or(Duration::MAX, |until| until.max(self.closed_until).max(self.paced_until))
    }

    /// When a new request may go as far as others are concerned (monotonic); [`Duration::MAX`] while that takes an
    /// answer to one of those under way.
    #[must_use]
    pub fn opens_at(&self) -> Duration {
        if self.under_way() >= self.under_way_max() {
            return Duration::MAX;
        }
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
        let Some(place) = self.outgoing.iter().position(|out| out.id == id) else { return Effects::default() };
        let mut out = self.outgoing.remove(place);
        out.was_sent = true;
        if verdict != Verdict::TenantRate {
            out.rate_refusals = 0;
        }
        match verdict {
            Verdict::Stored => self.stored(out, now),
            Verdict::PartlyRefused(refusals) => {
                let alone = if out.is_mixed() { out.label_sets().collect() } else { Vec::new() };
                Effects { refused: refusals, alone, ..self.stored(out, now) }
            }
            Verdict::EntriesIgnored { refusals, labels } => {
                self.some_refused(out, place, Refused::Ignored(refusals), labels.as_deref(), now, labels_of)
            }
            Verdict::StreamRate { labels } => {
                self.some_refused(out, place, Refused::Rate, labels.as_deref(), now, labels_of)
            }
            Verdict::TooManyStreams { labels } => {
                self.some_refused(out, place, Refused::New, labels.as_deref(), now, labels_of)
            }
            Verdict::NotUnderstood { why } => {
                let effects = self.note(&mut out, TroubleKind::NotUnderstood, why);
                self.split(out, place, "not_understood", now, effects)
            }
            Verdict::TooLarge => self.split(out, place, "too_large", now, Effects::default()),
            Verdict::TenantRate => self.tenant_rate(out, place, retry_after, now),
            Verdict::Retry { why } => self.failed(out, place, (TroubleKind::Passing, why), status, retry_after, now),
            Verdict::Hold { why } => self.failed(out, place, (TroubleKind::Hold, why), status, retry_after, now),
        }
    }

    fn stored(&mut self, out: Outgoing, now: Duration) -> Effects {
        self.pass(now);
        self.accept(&out.parts, now);
        Effects { answered: out.parts, ..Effects::default() }
    }

    fn accept(&mut self, parts: &[Part], now: Duration) {
        self.accepted.extend(parts.iter().map(|part| (part.label_set, now)));
    }

    fn insert(&mut self, place: usize, parts: Vec<Part>, at: Duration) -> Option<&mut Outgoing> {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.outgoing.insert(place, Outgoing::new(id, parts, at));
        self.outgoing.get_mut(place)
    }

    /// While nothing passes one probe at a time is enough, two so that a poisoned one cannot hold up the rest.
    fn under_way_max(&self) -> usize {
        if self.failures > 0 { self.requests_in_flight.min(2) } else { self.requests_in_flight }
    }

    /// The place of the request whose turn it is, if one may go.
    fn next(&self, now: Duration) -> Option<usize> {
        if now < self.closed_until || now < self.paced_until || self.under_way() >= self.under_way_max() {
            return None;
        }
        let is_due = |place: &usize| self.outgoing.get(*place).is_some_and(|out| out.is_waiting(now));
        let is_first = |place: &usize| self.is_first_of_its_label_sets(*place);
        let key = |place: &usize| self.outgoing.get(*place).map(|out| (out.failures, out.id));
        (0..self.outgoing.len()).filter(is_due).filter(is_first).min_by_key(key)
    }

    fn is_first_of_its_label_sets(&self, place: usize) -> bool {
        let Some((out, before)) = self.outgoing.get(..=place).and_then(<[_]>::split_last) else { return false };
        let shares = |other: &Outgoing| {
            other.parts.iter().any(|theirs| out.parts.iter().any(|ours| ours.label_set == theirs.label_set))
        };
        !before.iter().any(shares)
    }

    fn pass(&mut self, now: Duration) {
        self.passed += 1;
        self.pace.passed();
        self.failures = 0;
        // Loki is back: what waits for that need not wait on.
        self.closed_until = self.closed_until.min(now);
    }

    fn close(&mut self, until: Duration) {
        self.closed_until = self.closed_until.max(until);
    }

    fn retry(&mut self, place: usize, mut out: Outgoing, at: Duration) {
        out.failures += 1;
        out.state = State::Waiting(at);
        self.outgoing.insert(place, out);
    }

    fn wait(&mut self, (first, most): (Duration, Duration), failures: u32, retry_after: Option<Duration>) -> Duration {
        let full = first.saturating_mul(1 << failures.min(16)).min(most);
        let jittered = full.mul_f64(0.5 + self.jitter.f64() / 2.0);
        jittered.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }

    fn next_part_id(&mut self) -> PartId {
        self.next_part += 1;
        PartId(self.next_part)
    }
}

fn newest<'a>(outgoing: impl Iterator<Item = &'a Outgoing>) -> Option<&'a Trouble> {
    outgoing.filter_map(|out| out.trouble.as_ref()).max_by_key(|(number, _)| *number).map(|(_, trouble)| trouble)
}

#[cfg(test)]
mod tests;

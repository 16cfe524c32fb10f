//! Telling refused label sets from stored ones.
//!
//! An ingester takes the label sets of a request one after the other and goes on after a refusal, but its answer tells
//! of the last one that it refused alone (Loki 3.5.1, `pkg/ingester/instance.go`, `Push` overwrites `appendErr`). So
//! what was not named may have been refused too. A double is better than a loss.

use super::same_labels::is_same;
use super::troubled::BACKOFF;
use super::{Delivery, Effects, Outgoing, TroubleKind};
use crate::types::part::{LabelSetId, Part};
use crate::types::request::Refusal;
use std::collections::HashSet;
use std::time::Duration;

/// First and longest wait of a new label set when the tenant has too many streams.
const NEW_STREAMS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// A label set of which Loki stored something within this time is none that is new to it: it forgets streams that were
/// idle for half an hour (`chunk_idle_period`).
const KNOWN_TO_LOKI: Duration = Duration::from_secs(15 * 60);

/// What an ingester refused of one label set.
#[derive(Debug)]
pub(super) enum Refused {
    /// Single entries, for good.
    Ignored(Vec<Refusal>),
    /// Entries above the rate of the Loki stream, for now.
    Rate,
    /// The label set: the tenant has too many streams.
    New,
}

impl Delivery {
    /// Loki refused something of the label set that it names as `labels`.
    pub(super) fn some_refused<'a>(
        &mut self,
        mut out: Outgoing,
        place: usize,
        refused: Refused,
        labels: Option<&str>,
        now: Duration,
        labels_of: &dyn Fn(LabelSetId) -> &'a str,
    ) -> Effects {
        self.pass(now);
        let named = match labels {
            _ if !out.is_mixed() => out.label_sets().next(),
            Some(labels) => out.label_sets().find(|id| is_same(labels, labels_of(*id))),
            None => None,
        };
        let suspects = self.suspects(&out.parts, named, &refused, now);
        let mut effects = match trouble(&refused, named.map(labels_of)) {
            Some((kind, words)) => self.note(&mut out, kind, words),
            None => Effects::default(),
        };
        if out.is_mixed() {
            effects.alone.extend(out.label_sets());
        }
        let (pauses, is_final) = match refused {
            Refused::Ignored(refusals) => {
                // Where it cannot be told whose they were, each is counted when it is refused alone.
                effects.refused = if named.is_some() { refusals } else { Vec::new() };
                (BACKOFF, true)
            }
            Refused::Rate => (BACKOFF, false),
            Refused::New => (NEW_STREAMS, false),
        };
        let is_again = |part: &Part| suspects.contains(&part.label_set) || (!is_final && Some(part.label_set) == named);
        let (mut again, stored): (Vec<Part>, _) = std::mem::take(&mut out.parts).into_iter().partition(is_again);
        self.accept(&stored, now);
        effects.answered = stored;
        let wait = self.wait(pauses, out.failures, None);
        while let Some(label_set) = again.first().map(|part| part.label_set) {
            let (own, others) = again.into_iter().partition(|part| part.label_set == label_set);
            again = others;
            let is_named = Some(label_set) == named;
            if let Some(new) = self.insert(place, own, if is_named { now + wait } else { now }) {
                new.was_sent = true;
                new.trouble = out.trouble.clone();
                new.failures = if is_named { out.failures + 1 } else { 0 };
            }
        }
        effects
    }

    /// The label sets that may have been refused without being named.
    fn suspects(
        &self,
        parts: &[Part],
        named: Option<LabelSetId>,
        refused: &Refused,
        now: Duration,
    ) -> HashSet<LabelSetId> {
        let all = parts.iter().map(|part| part.label_set);
        if named.is_none() {
            return all.collect();
        }
        let is_known = |id: &LabelSetId| self.accepted.get(id).is_some_and(|at| now < *at + KNOWN_TO_LOKI);
        match refused {
            Refused::New => all.filter(|id| Some(*id) != named && !is_known(id)).collect(),
            Refused::Ignored(_) | Refused::Rate => all.take_while(|id| Some(*id) != named).collect(),
        }
    }
}

fn trouble(refused: &Refused, labels: Option<&str>) -> Option<(TroubleKind, String)> {
    let labels = labels.unwrap_or("a label set that it does not name");
    match refused {
        Refused::Ignored(_) => None,
        Refused::Rate => Some((
            TroubleKind::StreamRate,
            format!(
                "status 429: {labels} is above the rate of one Loki stream; raise per_stream_rate_limit and \
                 per_stream_rate_limit_burst in Loki's limits_config, or log less there"
            ),
        )),
        Refused::New => Some((
            TroubleKind::TooManyStreams,
            format!(
                "status 429: the tenant has too many streams, {labels} is not taken; raise \
                 max_global_streams_per_user in Loki's limits_config, or set fewer labels"
            ),
        )),
    }
}

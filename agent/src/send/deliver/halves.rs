//! Splitting a request until the bad entry is alone, and telling refused label sets from stored ones.

use super::same_labels::is_same;
use super::{Delivery, Effects, Outgoing, Split};
use crate::encode;
use crate::types::part::{LabelSetId, Part};
use crate::types::request::Refusal;
use std::time::Duration;

impl Delivery {
    /// Tries the two halves apart. A single entry is set aside and counted under `reason`.
    pub(super) fn split(
        &mut self,
        out: Outgoing,
        place: usize,
        reason: &'static str,
        now: Duration,
        mut effects: Effects,
    ) -> Effects {
        let mut parts = out.parts;
        if parts.len() > 1 {
            let second = parts.split_off(parts.len() / 2);
            self.insert(place, second, now, 0);
            self.insert(place, parts, now, 0);
            return effects;
        }
        let Some(part) = parts.pop() else { return effects };
        if part.count <= 1 {
            effects.refused.push(Refusal { reason, entries: 1 });
            effects.answered.push(part);
            return effects;
        }
        let (from, shares) = (part.id, part.shares.clone());
        let [first, second] = halves(part);
        let [first, second] = [first, second].map(|half| Part { id: self.next_part_id(), ..half });
        effects.splits.push(Split { from, into: [first.id, second.id], shares });
        self.insert(place, vec![second], now, 0);
        self.insert(place, vec![first], now, 0);
        effects
    }

    /// Loki refused the entries of one label set, which it names as `labels`, for now; all others are stored.
    pub(super) fn some_refused<'a>(
        &mut self,
        mut out: Outgoing,
        place: usize,
        labels: Option<&str>,
        (first, most): (Duration, Duration),
        now: Duration,
        labels_of: &dyn Fn(LabelSetId) -> &'a str,
    ) -> Effects {
        let mut effects = Effects::default();
        self.passed += 1;
        let failures = out.failures;
        let wait = self.wait(first, most, failures, None);
        let is_single = out.parts.iter().all(|part| Some(part.label_set) == out.parts.first().map(|p| p.label_set));
        if is_single {
            self.retry(place, out, now + wait);
            return effects;
        }
        effects.alone.extend(out.parts.iter().map(|part| part.label_set));
        let is_named = |part: &Part| labels.is_some_and(|labels| is_same(labels, labels_of(part.label_set)));
        if out.parts.iter().any(is_named) {
            let (refused, stored) = out.parts.into_iter().partition(is_named);
            effects.answered = stored;
            self.insert(place, refused, now + wait, failures + 1);
            return effects;
        }
        // It cannot be told whose they were: each label set apart. A double is better than a loss.
        while let Some(label_set) = out.parts.first().map(|part| part.label_set) {
            let (own, others) = out.parts.into_iter().partition(|part| part.label_set == label_set);
            self.insert(place, own, now + wait, failures + 1);
            out.parts = others;
        }
        effects
    }
}

/// Two parts with half the entries each. What both hold of the std streams cannot be told apart any more, so each
/// says that it holds all.
fn halves(part: Part) -> [Part; 2] {
    let middle = part.count / 2;
    let cut = encode::entries(&part.entries).nth(middle as usize).map_or(part.entries.len(), |entry| entry.range.start);
    let second_bytes = (part.entries.len() - cut) as u64;
    let share = |bytes: u64| bytes * second_bytes / (part.entries.len() as u64).max(1);
    let (second_counted, second_line) = (share(part.counted_bytes), share(part.line_bytes));
    let mut first = part;
    let second = Part {
        entries: first.entries.split_off(cut),
        count: first.count - middle,
        counted_bytes: second_counted,
        line_bytes: second_line,
        fingerprints: Vec::new(),
        moved: Vec::new(),
        resent: 0,
        shares: first.shares.clone(),
        ..first
    };
    first.count = middle;
    first.counted_bytes -= second_counted;
    first.line_bytes -= second_line;
    [first, second]
}

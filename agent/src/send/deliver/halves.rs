//! Splitting a request until the bad entry is alone, or in pieces.

use super::{Delivery, Effects, Outgoing, SetAside, Split};
use crate::encode;
use crate::types::part::Part;
use crate::types::request::Refusal;
use std::time::Duration;

impl Delivery {
    /// Tries the two halves apart, from `at` on. A single entry is set aside and counted under `reason`.
    pub(super) fn split(
        &mut self,
        mut out: Outgoing,
        place: usize,
        reason: &'static str,
        at: Duration,
        mut effects: Effects,
    ) -> Effects {
        if out.parts.len() > 1 {
            let second = out.parts.split_off(out.parts.len() / 2);
            let first = std::mem::take(&mut out.parts);
            self.insert_halves([first, second], place, &out, at);
            return effects;
        }
        let Some(part) = out.parts.pop() else { return effects };
        if part.count <= 1 {
            effects.refused.push(Refusal { reason, entries: 1 });
            let line_bytes = encode::entries(&part.entries).map(|entry| entry.line.len() as u64).sum();
            effects.set_aside = Some(SetAside { label_set: part.label_set, line_bytes });
            effects.answered.push(part);
            return effects;
        }
        let middle = part.count / 2;
        let cut = encode::entries(&part.entries).nth(middle as usize);
        let cut = cut.map_or(part.entries.len(), |entry| entry.range.start);
        let [first, second] = self.halves(part, middle, cut, &mut effects.splits);
        self.insert_halves([vec![first], vec![second]], place, &out, at);
        effects
    }

    fn insert_halves(&mut self, [first, second]: [Vec<Part>; 2], place: usize, of: &Outgoing, at: Duration) {
        for half in [second, first] {
            if let Some(new) = self.insert(place, half, at) {
                new.was_sent = true;
                new.trouble.clone_from(&of.trouble);
            }
        }
    }

    /// Two parts of one: its first `count` entries, which end at byte `cut`, and the others. What both hold of the std
    /// streams cannot be told apart any more, so each says that it holds all.
    pub(super) fn halves(&mut self, part: Part, count: u32, cut: usize, splits: &mut Vec<Split>) -> [Part; 2] {
        let (from, shares) = (part.id, part.shares.clone());
        let second_bytes = part.entries.len().saturating_sub(cut) as u64;
        let share = |bytes: u64| bytes * second_bytes / (part.entries.len() as u64).max(1);
        let (second_counted, second_line) = (share(part.counted_bytes), share(part.line_bytes));
        let mut first = part;
        let second = Part {
            id: self.next_part_id(),
            entries: first.entries.split_off(cut.min(first.entries.len())),
            count: first.count.saturating_sub(count),
            counted_bytes: second_counted,
            line_bytes: second_line,
            fingerprints: Vec::new(),
            moved: Vec::new(),
            ahead: Vec::new(),
            resent: Vec::new(),
            shares: first.shares.clone(),
            ..first
        };
        first.entries.shrink_to_fit();
        first.id = self.next_part_id();
        first.count = count;
        first.counted_bytes -= second_counted;
        first.line_bytes -= second_line;
        splits.push(Split { from, into: [first.id, second.id], shares });
        [first, second]
    }
}

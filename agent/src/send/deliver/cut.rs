//! Cutting what goes next to what the present pace gives: what was made at a higher one would else be refused as a whole,
//! and take many times its turn.
//!
//! In: the requests, the pace. Out: a request of the wanted size, and the rest in its place. Never: another order of the
//! entries of a label set, or other bytes of an entry. Only what goes next is cut, so the rest goes by the pace of its time.

use super::{Delivery, Split};
use crate::encode;
use crate::types::part::Part;
use std::time::Duration;

impl Delivery {
    /// Cuts the request whose turn it is, where it is more than half as large again as the pace allows. Gives the parts that
    /// were split. Call before [`Delivery::due`].
    pub fn cut(&mut self, now: Duration) -> Vec<Split> {
        let mut splits = Vec::new();
        let wanted = self.pace.request_bytes_max();
        if wanted == u64::MAX {
            return splits;
        }
        let Some(place) = self.next(now) else { return splits };
        let Some(out) = self.outgoing.get_mut(place) else { return splits };
        if out.counted_bytes <= wanted + wanted / 2 || !out.can_split() {
            return splits;
        }
        let parts = std::mem::take(&mut out.parts);
        let (first, rest) = self.pieces(parts, wanted, &mut splits);
        let counted = |parts: &[Part]| parts.iter().map(|part| part.counted_bytes).sum();
        let Some(out) = self.outgoing.get_mut(place) else { return splits };
        out.counted_bytes = counted(&first);
        out.parts = first;
        let (was_sent, trouble) = (out.was_sent, out.trouble.clone());
        if !rest.is_empty()
            && let Some(new) = self.insert(place + 1, rest, now)
        {
            (new.was_sent, new.trouble) = (was_sent, trouble);
        }
        splits
    }

    /// Parts of about `wanted` bytes together, at least one entry, and the others.
    fn pieces(&mut self, parts: Vec<Part>, wanted: u64, splits: &mut Vec<Split>) -> (Vec<Part>, Vec<Part>) {
        let (mut first, mut rest, mut bytes) = (Vec::new(), Vec::new(), 0);
        for part in parts {
            let room = wanted.saturating_sub(bytes);
            if !rest.is_empty() || (room == 0 && !first.is_empty()) {
                rest.push(part);
            } else if part.counted_bytes <= room {
                bytes += part.counted_bytes;
                first.push(part);
            } else {
                bytes = wanted;
                match entries_within(&part, room, first.is_empty()) {
                    Some((0, _)) => rest.push(part),
                    Some((count, cut)) => {
                        let [ours, others] = self.halves(part, count, cut, splits);
                        first.push(ours);
                        rest.push(others);
                    }
                    None => first.push(part),
                }
            }
        }
        (first, rest)
    }
}

/// How many entries of a part have about so many bytes together, as Loki counts, and where they end; with `is_first` one at
/// the least. `None`: all of them.
fn entries_within(part: &Part, counted_bytes: u64, is_first: bool) -> Option<(u32, usize)> {
    // What Loki counts is spread over the entries much as their encoded bytes are.
    let encoded = u128::from(counted_bytes) * part.entries.len() as u128 / u128::from(part.counted_bytes.max(1));
    let (mut count, mut cut) = (0, 0);
    for place in encode::entries(&part.entries) {
        if place.range.end as u128 > encoded && (count > 0 || !is_first) {
            break;
        }
        (count, cut) = (count + 1, place.range.end);
    }
    (count < part.count).then_some((count, cut))
}

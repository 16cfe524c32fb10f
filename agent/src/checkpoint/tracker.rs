//! How far each std stream is answered for, whatever the order in which answers come. Pure.

use crate::types::part::{PartId, Share};
use crate::types::position::{Mark, StreamKey};

#[derive(Clone, Debug)]
struct Tracked {
    /// The first record that was not handed out yet.
    read_to: Mark,
    /// Parts that hold records of it and are not answered for, each with the first such record.
    unanswered: Vec<(PartId, Mark)>,
    /// Parts that hold lines of it shipped ahead of its files and are not answered for.
    ahead: Vec<Ahead>,
    /// Stream position behind the last line that was shipped ahead, 0 where that is not certain.
    ahead_to: u64,
}

/// Lines in one part that were shipped ahead.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    part: PartId,
    /// The part into which the lines were put, of which this one is left.
    origin: PartId,
    /// Stream position of the first of them.
    first: u64,
}

impl Tracked {
    fn is_settled(&self) -> bool {
        self.unanswered.is_empty() && self.ahead.is_empty()
    }
}

/// The positions of all std streams.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    streams: Vec<Option<Tracked>>,
    free: Vec<StreamKey>,
}

impl Tracker {
    /// Begins to follow a std stream, of which everything before `start` is answered for.
    pub fn open(&mut self, start: Mark) -> StreamKey {
        let tracked =
            Some(Tracked { read_to: start, unanswered: Vec::new(), ahead: Vec::new(), ahead_to: start.ahead });
        if let Some(key) = self.free.pop()
            && let Some(slot) = self.streams.get_mut(key.0 as usize)
        {
            *slot = tracked;
            return key;
        }
        self.streams.push(tracked);
        StreamKey(u32::try_from(self.streams.len() - 1).unwrap_or(u32::MAX))
    }

    /// Everything before `mark` was handed out or needs no answer. Going back, as for a finished file that has grown
    /// after all, changes nothing.
    pub fn read_to(&mut self, key: StreamKey, mark: Mark) {
        if let Some(tracked) = self.get(key)
            && mark.at >= tracked.read_to.at
        {
            tracked.read_to = mark;
        }
    }

    /// A part holds records of this std stream, `first` the oldest. Call before `read_to` goes past it.
    pub fn hold(&mut self, part: PartId, stream: StreamKey, first: Mark) {
        if let Some(tracked) = self.get(stream)
            && !tracked.unanswered.iter().any(|(held, _)| *held == part)
        {
            tracked.unanswered.push((part, first));
        }
    }

    /// A part holds lines of this std stream that are ahead of its files, the first at this stream position.
    pub fn expect(&mut self, part: PartId, stream: StreamKey, first: u64) {
        if let Some(tracked) = self.get(stream) {
            tracked.ahead.push(Ahead { part, origin: part, first });
        }
    }

    /// Lines up to this stream position were shipped ahead; 0: it is not certain any more at which positions.
    pub fn ahead_to(&mut self, stream: StreamKey, position: u64) {
        if let Some(tracked) = self.get(stream) {
            tracked.ahead_to = position;
        }
    }

    /// A line that was shipped ahead in `origin` stands at `mark` in the files. Call before `read_to` goes past it.
    pub fn confirm(&mut self, origin: PartId, stream: StreamKey, mark: Mark) {
        let Some(tracked) = self.get(stream) else { return };
        for ahead in tracked.ahead.iter().filter(|ahead| ahead.origin == origin) {
            if !tracked.unanswered.iter().any(|(held, _)| *held == ahead.part) {
                tracked.unanswered.push((ahead.part, mark));
            }
        }
    }

    /// A part was split: what it held is held by both halves, from the same first records on.
    pub fn split(&mut self, from: PartId, into: [PartId; 2], shares: &[Share]) {
        for share in shares {
            if let Some(tracked) = self.get(share.stream)
                && let Some(place) = tracked.unanswered.iter().position(|(held, _)| *held == from)
            {
                let (_, first) = tracked.unanswered.swap_remove(place);
                tracked.unanswered.extend(into.map(|half| (half, first)));
            }
            if let Some(tracked) = self.get(share.stream)
                && let Some(place) = tracked.ahead.iter().position(|ahead| ahead.part == from)
            {
                let whole = tracked.ahead.swap_remove(place);
                tracked.ahead.extend(into.map(|part| Ahead { part, ..whole }));
            }
        }
    }

    /// Loki has answered for all of a part.
    pub fn answered(&mut self, part: PartId, shares: &[Share]) {
        for share in shares {
            if let Some(tracked) = self.get(share.stream) {
                tracked.unanswered.retain(|(held, _)| *held != part);
                tracked.ahead.retain(|ahead| ahead.part != part);
            }
        }
    }

    /// The first record that is not answered for.
    #[must_use]
    pub fn answered_to(&self, key: StreamKey) -> Mark {
        let Some(Some(tracked)) = self.streams.get(key.0 as usize) else { return Mark::default() };
        let held = tracked.unanswered.iter().map(|(_, first)| *first).min_by_key(|first| first.at);
        let in_files = tracked.unanswered.iter().map(|(_, first)| first.stream_position);
        let ahead = tracked.ahead.iter().map(|ahead| ahead.first).chain(in_files).fold(tracked.ahead_to, u64::min);
        Mark { ahead, ..held.unwrap_or(tracked.read_to) }
    }

    /// Whether nothing of it waits for an answer.
    #[must_use]
    pub fn is_settled(&self, key: StreamKey) -> bool {
        self.streams.get(key.0 as usize).and_then(Option::as_ref).is_none_or(Tracked::is_settled)
    }

    /// Forgets a settled std stream; its key may be given to another.
    pub fn close(&mut self, key: StreamKey) {
        if let Some(slot) = self.streams.get_mut(key.0 as usize)
            && slot.take().is_some()
        {
            self.free.push(key);
        }
    }

    fn get(&mut self, key: StreamKey) -> Option<&mut Tracked> {
        self.streams.get_mut(key.0 as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::position::FilePosition;
    use proptest::prelude::*;

    fn mark(offset: u64) -> Mark {
        Mark { at: FilePosition { file: 0, offset }, stream_position: offset, last_time_ns: 0, ahead: 0 }
    }

    fn share(stream: StreamKey, first: u64) -> Share {
        Share { stream, records: Some([mark(first); 2]), has_ahead: false }
    }

    proptest! {
        #[test]
        fn answers_out_of_order_never_pass_a_hole(
            records in prop::collection::vec(0_usize..5, 1..60),
            answers in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            // Record n is at offset n and travels in the open part of the label set it was drawn for; a part is
            // sealed when its label set has an answer pending in between.
            let mut tracker = Tracker::default();
            let key = tracker.open(mark(0));
            let mut parts: Vec<(PartId, Share, Vec<u64>)> = Vec::new();
            for (offset, label_set) in records.iter().enumerate() {
                let id = PartId((*label_set + 5 * (offset / 7)) as u64);
                let offset = offset as u64;
                match parts.iter_mut().find(|(part, ..)| *part == id) {
                    Some((_, _, held)) => held.push(offset),
                    None => {
                        parts.push((id, share(key, offset), vec![offset]));
                        tracker.hold(id, key, mark(offset));
                    }
                }
                tracker.read_to(key, mark(offset + 1));
            }
            let total = records.len() as u64;
            let mut open = parts;
            for answer in answers {
                if open.is_empty() { break }
                let (id, share, _) = open.remove(answer.index(open.len()));
                tracker.answered(id, &[share]);
                let first_unanswered = open.iter().flat_map(|(_, _, held)| held.iter().copied()).min().unwrap_or(total);
                let saved = tracker.answered_to(key).at.offset;
                prop_assert!(saved <= first_unanswered, "{saved} passes {first_unanswered}");
            }
            for (id, share, _) in &open {
                tracker.answered(*id, &[*share]);
            }
            prop_assert_eq!(tracker.answered_to(key).at.offset, total);
            prop_assert!(tracker.is_settled(key));
        }
    }

    #[test]
    fn the_halves_of_a_split_part_both_hold_the_position() {
        let mut tracker = Tracker::default();
        let key = tracker.open(mark(0));
        tracker.hold(PartId(1), key, mark(3));
        tracker.read_to(key, mark(9));
        tracker.split(PartId(1), [PartId(2), PartId(3)], &[share(key, 3)]);
        tracker.answered(PartId(3), &[share(key, 3)]);
        assert_eq!(tracker.answered_to(key), mark(3));
        tracker.answered(PartId(2), &[share(key, 3)]);
        assert_eq!(tracker.answered_to(key), mark(9));
    }

    #[test]
    fn a_line_shipped_ahead_holds_the_position_once_the_file_shows_it_until_it_is_answered() {
        let mut tracker = Tracker::default();
        let key = tracker.open(mark(0));
        let ahead = Share { stream: key, records: None, has_ahead: true };
        tracker.expect(PartId(1), key, 0);
        tracker.expect(PartId(2), key, 5);
        tracker.ahead_to(key, 9);
        assert_eq!(tracker.answered_to(key), Mark { ahead: 0, ..mark(0) });
        tracker.answered(PartId(1), &[ahead]);
        assert_eq!(tracker.answered_to(key), Mark { ahead: 5, ..mark(0) }, "beyond the file");
        tracker.hold(PartId(9), key, Mark { stream_position: 2, ..mark(0) });
        assert_eq!(
            tracker.answered_to(key).ahead,
            2,
            "what was read from the file and is not answered for bounds it too"
        );
        tracker.answered(PartId(9), &[share(key, 0)]);
        tracker.confirm(PartId(1), key, mark(0));
        tracker.read_to(key, mark(5));
        assert_eq!(tracker.answered_to(key).at, mark(5).at, "what is answered for holds nothing");
        tracker.split(PartId(2), [PartId(3), PartId(4)], &[ahead]);
        tracker.confirm(PartId(2), key, mark(5));
        tracker.read_to(key, mark(9));
        tracker.answered(PartId(3), &[ahead]);
        assert_eq!(tracker.answered_to(key), Mark { ahead: 5, ..mark(5) }, "it may be in the other half");
        assert!(!tracker.is_settled(key));
        tracker.answered(PartId(4), &[ahead]);
        assert_eq!(tracker.answered_to(key), Mark { ahead: 9, ..mark(9) });
        assert!(tracker.is_settled(key));
    }

    #[test]
    fn a_key_is_given_again_only_after_it_was_closed() {
        let mut tracker = Tracker::default();
        let (a, b) = (tracker.open(mark(0)), tracker.open(mark(0)));
        assert_ne!(a, b);
        tracker.close(a);
        assert_eq!(tracker.open(mark(5)), a);
        assert_eq!(tracker.answered_to(a), mark(5));
    }
}

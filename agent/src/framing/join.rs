//! Joins the parts of one std stream's line to a record. One per std stream; partial state belongs to the std
//! stream, not to the file, so a line may begin in one file and end in the next.
//!
//! Whoever takes the last part takes the joiner's place with a new one, so that no std stream keeps a buffer between its
//! lines. A line that came whole is not copied. Of one longer than can be sent only the beginning is kept. Carriage
//! returns directly before the end are no part of a line, wherever the parts were cut.

use crate::limits::LINE_KEPT_BYTES_MAX;
use crate::types::entry::Record;
use crate::types::position::Mark;

/// A joined line.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// The line.
    pub record: Record<'a>,
    /// Where it starts.
    pub start: Mark,
    /// Its bytes were let go: it has to be read again from `start`.
    pub was_let_go: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    start: Mark,
    time_ns: i64,
    is_let_go: bool,
}

/// The open line of one std stream.
#[derive(Debug, Default)]
pub struct Joiner {
    open: Option<Open>,
    kept: Vec<u8>,
    full_bytes: u64,
    trailing_returns: u64,
}

impl Joiner {
    /// Takes a part after which more follows. `start` and `time_ns` count for the first one.
    pub fn push(&mut self, content: &[u8], start: Mark, time_ns: i64) {
        if self.open.is_none() {
            self.kept.clear();
            (self.full_bytes, self.trailing_returns) = (0, 0);
            self.open = Some(Open { start, time_ns, is_let_go: false });
        }
        self.add(content);
    }

    /// Takes the last part and gives the line.
    pub fn finish<'a>(&'a mut self, content: &'a [u8], start: Mark, time_ns: i64) -> Joined<'a> {
        if self.open.is_some() {
            self.add(content);
            if let Some(joined) = Self::joined(self.open.take(), &self.kept, self.full_bytes, self.trailing_returns) {
                return joined;
            }
        }
        Self::whole(content, start, time_ns)
    }

    /// The line that came in one part, where none is open.
    #[must_use]
    pub fn whole(content: &[u8], start: Mark, time_ns: i64) -> Joined<'_> {
        let line = without_returns(content);
        let kept = line.get(..LINE_KEPT_BYTES_MAX).unwrap_or(line);
        let record = Record { content: kept, full_bytes: line.len() as u64, time_ns };
        Joined { record, start, was_let_go: false }
    }

    /// Gives the open line as it is, where there is one: nothing more will come.
    pub fn finish_open(&mut self) -> Option<Joined<'_>> {
        Self::joined(self.open.take(), &self.kept, self.full_bytes, self.trailing_returns)
    }

    /// Lets the kept bytes go; the line is still followed to its end.
    pub fn let_go(&mut self) {
        if let Some(open) = &mut self.open {
            open.is_let_go = true;
            self.kept = Vec::new();
        }
    }

    /// Where the open line starts and how long it is so far, where its bytes were let go.
    #[must_use]
    pub fn let_go_line(&self) -> Option<(Mark, u64)> {
        self.open.filter(|open| open.is_let_go).map(|open| (open.start, self.full_bytes))
    }

    /// Forgets the open line: it will be read again.
    pub fn forget(&mut self) {
        self.open = None;
        self.kept = Vec::new();
    }

    /// Where the open line starts.
    #[must_use]
    pub fn open_start(&self) -> Option<Mark> {
        self.open.map(|open| open.start)
    }

    /// Bytes kept of the open line.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        if self.open.is_some() { self.kept.len() } else { 0 }
    }

    /// Memory held: also what is reserved and, until the joiner is dropped, that of a line that is complete.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.kept.capacity()
    }

    fn add(&mut self, content: &[u8]) {
        self.full_bytes += content.len() as u64;
        let returns = (content.len() - without_returns(content).len()) as u64;
        let is_all_returns = returns == content.len() as u64;
        self.trailing_returns = if is_all_returns { self.trailing_returns + returns } else { returns };
        if self.open.is_some_and(|open| !open.is_let_go) {
            let room = LINE_KEPT_BYTES_MAX - self.kept.len().min(LINE_KEPT_BYTES_MAX);
            let content = content.get(..room).unwrap_or(content);
            let needed = self.kept.len() + content.len();
            if needed > self.kept.capacity() {
                let wanted = needed.max(2 * self.kept.capacity()).min(LINE_KEPT_BYTES_MAX);
                self.kept.reserve_exact(wanted.saturating_sub(self.kept.len()));
            }
            self.kept.extend_from_slice(content);
        }
    }

    fn joined(open: Option<Open>, kept: &[u8], full_bytes: u64, returns: u64) -> Option<Joined<'_>> {
        let open = open?;
        let full_bytes = full_bytes - returns;
        let length = usize::try_from(full_bytes).unwrap_or(usize::MAX);
        let content = kept.get(..length).unwrap_or(kept);
        let record = Record { content, full_bytes, time_ns: open.time_ns };
        Some(Joined { record, start: open.start, was_let_go: open.is_let_go })
    }
}

fn without_returns(content: &[u8]) -> &[u8] {
    let end = content.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    content.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(parts: &[&[u8]]) -> (Vec<u8>, u64, i64) {
        let mut joiner = Joiner::default();
        let (last, before) = parts.split_last().unwrap();
        for (time, part) in before.iter().enumerate() {
            joiner.push(part, Mark::default(), time as i64);
        }
        let joined = joiner.finish(last, Mark::default(), before.len() as i64);
        (joined.record.content.to_vec(), joined.record.full_bytes, joined.record.time_ns)
    }

    #[test]
    fn a_line_has_the_time_of_its_first_part() {
        assert_eq!(line(&[b"aaaa", b"", b"bb"]), (b"aaaabb".to_vec(), 6, 0));
    }

    #[test]
    fn of_a_long_line_the_beginning_is_kept_and_the_whole_is_counted() {
        let part = vec![b'x'; 100_000];
        let (kept, full, _) = line(&[&part, &part, &part, b"\r\r"]);
        assert_eq!((kept.len(), full), (LINE_KEPT_BYTES_MAX, 300_000));
        let (kept, full, _) = line(&[&vec![b'x'; LINE_KEPT_BYTES_MAX - 1], &[b'\r'; 70_000], &[b'\r'; 70_000]]);
        assert_eq!((kept.len(), full), (LINE_KEPT_BYTES_MAX - 1, LINE_KEPT_BYTES_MAX as u64 - 1));
    }

    #[test]
    fn a_long_line_holds_no_more_than_can_be_kept() {
        let mut joiner = Joiner::default();
        for _ in 0..17 {
            joiner.push(&[b'x'; 16_384], Mark::default(), 1);
        }
        assert_eq!(joiner.memory_bytes(), LINE_KEPT_BYTES_MAX);
    }

    #[test]
    fn a_line_let_go_is_followed_to_its_end() {
        let mut joiner = Joiner::default();
        joiner.push(b"aa", Mark { stream_position: 7, ..Mark::default() }, 1);
        joiner.let_go();
        assert_eq!(joiner.memory_bytes(), 0);
        let joined = joiner.finish(b"bb\r", Mark::default(), 2);
        assert!(joined.was_let_go);
        assert_eq!((joined.record.full_bytes, joined.start.stream_position), (4, 7));
    }

    proptest! {
        #[test]
        fn the_cuts_between_parts_do_not_matter(
            text in prop::collection::vec(prop::sample::select(vec![b'a', b'\r', b'b', 0xff]), 0..60),
            cuts in prop::collection::vec(0_usize..60, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let end = text.iter().rposition(|b| *b != b'\r').map_or(0, |i| i + 1);
            let (kept, full, _) = line(&parts);
            prop_assert_eq!(&kept, &text[..end]);
            prop_assert_eq!(full, end as u64);
        }
    }
}

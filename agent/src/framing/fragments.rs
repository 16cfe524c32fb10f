//! From the fragments of one pipe to lines. The counterpart of `split` for what was captured.
//!
//! In: fragments, in order. Out: whole lines, and where bytes are missing. Never: a line with a hole in it: what is open
//! at a gap is forgotten, and so is what comes after it up to the next newline.

use super::join::{Joined, Joiner};
use crate::types::capture::Fragment;
use crate::types::position::Mark;

/// What a fragment gives.
#[derive(Clone, Copy, Debug)]
pub enum Captured<'a> {
    /// What comes next is the first that ever left the pipe.
    First,
    /// Bytes are missing before what comes next.
    Gap,
    /// A whole line. Its record's time is that at which its first byte left the pipe.
    Line(Joined<'a>),
}

/// The lines of one pipe.
#[derive(Debug, Default)]
pub struct PipeLines {
    /// Sequence of the byte that is expected next; `None` before the first fragment.
    next: Option<u64>,
    /// What comes up to the next newline is the end of a line whose beginning is not known.
    is_torn: bool,
    joiner: Joiner,
}

impl PipeLines {
    /// Takes in a fragment and hands out what it completes.
    pub fn take(&mut self, fragment: &Fragment<'_>, out: &mut dyn FnMut(Captured<'_>)) {
        let is_first = self.next.is_none() && fragment.is_first;
        if is_first {
            // Whatever was told to be missing, it was not of this pipe.
            self.is_torn = false;
            out(Captured::First);
        }
        if !is_first && (fragment.is_gap_before || self.next != Some(fragment.sequence)) {
            self.tear(out);
        }
        self.next = Some(fragment.sequence.wrapping_add(fragment.bytes.len() as u64));
        let mut rest = fragment.bytes;
        let mut time_ns = fragment.read_ns;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if std::mem::take(&mut self.is_torn) {
                continue;
            }
            out(Captured::Line(std::mem::take(&mut self.joiner).finish(line, Mark::default(), time_ns)));
            // Lines of one fragment stay in order also where they are sorted by time.
            time_ns += 1;
        }
        if !rest.is_empty() && !self.is_torn {
            self.joiner.push(rest, Mark::default(), time_ns);
        }
    }

    /// Bytes are missing here.
    pub fn tear(&mut self, out: &mut dyn FnMut(Captured<'_>)) {
        self.joiner.forget();
        self.is_torn = true;
        out(Captured::Gap);
    }

    /// Lets the open line go, where it is longer than `bytes_max`. True where it was.
    pub fn let_go(&mut self, bytes_max: usize) -> bool {
        let is_long = self.joiner.kept_bytes() > bytes_max;
        if is_long {
            self.joiner.forget();
            self.is_torn = true;
        }
        is_long
    }

    /// Memory held by the open line.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.joiner.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::capture::Cookie;
    use proptest::prelude::*;

    fn fragment(sequence: u64, bytes: &[u8]) -> Fragment<'_> {
        let (is_first, is_gap_before) = (sequence == 0, false);
        Fragment { cookie: Cookie(1), sequence, is_first, is_gap_before, read_ns: 7, written_ns: None, bytes }
    }

    fn lines(of: &mut PipeLines, fragment: &Fragment<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        of.take(fragment, &mut |captured| {
            lines.push(match captured {
                Captured::First => return,
                Captured::Gap => "GAP".to_owned(),
                Captured::Line(joined) => String::from_utf8_lossy(joined.record.content).into_owned(),
            });
        });
        lines
    }

    #[test]
    fn nothing_is_joined_over_a_gap() {
        let mut pipe = PipeLines::default();
        assert_eq!(lines(&mut pipe, &fragment(0, b"one\r\nAAA")), ["one"]);
        let unseen = Fragment { is_gap_before: true, ..fragment(8, b"CCC\nnext\n") };
        assert_eq!(lines(&mut pipe, &unseen), ["GAP", "next"], "AAA, unseen BBB\\n, CCC must not become AAACCC");
        assert_eq!(lines(&mut pipe, &fragment(17, b"AAA")), [""; 0]);
        assert_eq!(lines(&mut pipe, &fragment(120, b"CCC\nlast\n")), ["GAP", "last"], "100 bytes are missing");
    }

    #[test]
    fn a_pipe_that_was_written_to_before_begins_with_a_torn_line() {
        let mut pipe = PipeLines::default();
        let not_first = Fragment { is_first: false, ..fragment(0, b"rest\nwhole\n") };
        assert_eq!(lines(&mut pipe, &not_first), ["GAP", "whole"]);
    }

    #[test]
    fn the_first_line_is_whole_whatever_was_missing_elsewhere() {
        let mut pipe = PipeLines::default();
        pipe.tear(&mut |_| {});
        assert_eq!(lines(&mut pipe, &fragment(0, b"first\n")), ["first"]);
    }

    proptest! {
        /// However a text is cut into fragments, and whichever of these are lost, only lines of the text come out, in
        /// order; all of them where none is lost.
        #[test]
        fn only_whole_lines_come_out(
            text in prop::collection::vec("[ab]{0,5}\r?", 0..30),
            cuts in prop::collection::vec((1_usize..9, any::<bool>()), 0..60),
        ) {
            let all: String = text.iter().map(|line| format!("{line}\n")).collect();
            let expected: Vec<&str> = all.lines().map(|line| line.trim_end_matches('\r')).collect();
            let (mut pipe, mut at, mut came) = (PipeLines::default(), 0, Vec::new());
            let mut is_lossless = true;
            for (length, is_lost) in cuts.into_iter().chain([(all.len().max(1), false)]) {
                let bytes = &all.as_bytes()[at..(at + length).min(all.len())];
                if !is_lost {
                    came.extend(lines(&mut pipe, &fragment(at as u64, bytes)));
                }
                is_lossless &= !is_lost || bytes.is_empty();
                at += bytes.len();
            }
            came.retain(|line| line != "GAP");
            if is_lossless {
                prop_assert_eq!(&came, &expected);
            }
            let mut rest = expected.iter();
            prop_assert!(came.iter().all(|line| rest.any(|other| other == line)), "{:?} of {:?}", came, expected);
        }
    }
}

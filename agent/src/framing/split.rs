//! The physical lines of a block. A line longer than a block comes in several pieces.
//!
//! Pure: what has to be remembered between blocks is [`MidLine`], and the caller keeps it. A line that no runtime
//! writes is not lost: it goes as a line of stdout without a time of its own. NULs before a line are a hole, however many.

use super::{cri, docker};
use crate::rfc3339;
use crate::types::position::StdStream;

/// A physical line whose newline has not come yet, though a whole block of it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MidLine {
    /// Whose line.
    pub std_stream: StdStream,
    /// Its prefix says that another part follows.
    pub is_partial: bool,
    /// The runtime's time; `None` where the line has no prefix that can be read.
    pub time_ns: Option<i64>,
}

/// Content of one std stream, and what it is a piece of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Whose, since when, and whether the runtime says that more follows.
    pub line: MidLine,
    /// The content, without prefix and newline.
    pub content: &'a [u8],
    /// The record is complete with this.
    pub is_end: bool,
    /// Bytes of the block that this used.
    pub consumed: usize,
    /// What the next call must be told.
    pub mid_line: Option<MidLine>,
    /// NUL bytes before the line: a hole that a crash of the node left in the file.
    pub hole_bytes: usize,
}

impl Piece<'_> {
    /// Nothing but NULs, and the newline where one follows directly: no line, and no part of one.
    #[must_use]
    pub fn is_hole(&self) -> bool {
        self.hole_bytes > 0 && !self.is_end && self.content.is_empty() && self.line.time_ns.is_none()
    }

    /// Whether the line has a prefix that could be read.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.line.time_ns.is_some()
    }
}

/// How a block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockEnd {
    /// More may be written.
    Open,
    /// The buffer was too small for more: a line without a newline is longer than a block.
    Full,
    /// The file ends there: a last line without a newline is complete.
    File,
}

impl BlockEnd {
    /// `is_full`: the buffer is full; `is_last`: the file ends there.
    #[must_use]
    pub fn of(is_full: bool, is_last: bool) -> Self {
        match (is_last, is_full) {
            (true, _) => Self::File,
            (false, true) => Self::Full,
            (false, false) => Self::Open,
        }
    }
}

/// What is used for one line after the other.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Unescaped content.
    text: String,
    times: rfc3339::Reader,
}

impl Scratch {
    /// Memory held.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.text.capacity()
    }
}

/// The first piece of `block`; `None` where a whole line is not there yet. `scratch` is kept from one call to the next.
#[must_use]
#[inline]
pub fn split<'a>(
    block: &'a [u8],
    end: BlockEnd,
    mid_line: Option<MidLine>,
    scratch: &'a mut Scratch,
) -> Option<Piece<'a>> {
    let newline = memchr::memchr(b'\n', block);
    let (line, consumed, is_whole) = match newline {
        Some(at) => (block.get(..at)?, at + 1, true),
        None if block.is_empty() => return None,
        None if end == BlockEnd::Open && mid_line.is_none() => return None,
        None => (block, block.len(), end == BlockEnd::File),
    };
    if let Some(line_before) = mid_line {
        let is_end = is_whole && !line_before.is_partial;
        let mid_line = (!is_whole).then_some(line_before);
        return Some(Piece { line: line_before, content: line, is_end, consumed, mid_line, hole_bytes: 0 });
    }
    let hole_bytes = line.iter().take_while(|byte| **byte == 0).count();
    if hole_bytes > 0 && (hole_bytes == line.len() || !is_whole) {
        // What follows it is read from its own beginning.
        let consumed = if newline.is_some() { consumed } else { hole_bytes };
        return Some(hole(hole_bytes, consumed));
    }
    if newline.is_none() && end == BlockEnd::Full && consumed < crate::limits::BLOCK_BYTES {
        // The rest of a block: it is read again together with what follows.
        return None;
    }
    let line = line.get(hole_bytes..)?;
    let (head, content) = read_prefix(line, is_whole, scratch);
    let mid_line = (!is_whole).then_some(head);
    Some(Piece { line: head, content, is_end: is_whole && !head.is_partial, consumed, mid_line, hole_bytes })
}

fn hole(hole_bytes: usize, consumed: usize) -> Piece<'static> {
    let line = MidLine { std_stream: StdStream::Stdout, is_partial: true, time_ns: None };
    Piece { line, content: &[], is_end: false, consumed, mid_line: None, hole_bytes }
}

fn read_prefix<'a>(line: &'a [u8], is_whole: bool, scratch: &'a mut Scratch) -> (MidLine, &'a [u8]) {
    if is_whole
        && line.first() == Some(&b'{')
        && let Some(docker) = docker::parse_line(line, &mut scratch.text)
    {
        let head =
            MidLine { std_stream: docker.std_stream, is_partial: docker.is_partial, time_ns: Some(docker.time_ns) };
        return (head, scratch.text.as_bytes());
    }
    match cri::parse_prefix(line, &mut scratch.times) {
        Some(prefix) => {
            let head =
                MidLine { std_stream: prefix.std_stream, is_partial: prefix.is_partial, time_ns: Some(prefix.time_ns) };
            (head, line.get(prefix.content_start..).unwrap_or_default())
        }
        None => (MidLine { std_stream: StdStream::Stdout, is_partial: false, time_ns: None }, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BLOCK_BYTES;
    use proptest::prelude::*;

    type Whole = (StdStream, Option<i64>, Vec<u8>, bool);

    /// Splits `file` as the source hands it out: blocks of at most `block` bytes, each read from where the last
    /// piece ended, growing by the given steps.
    fn pieces(file: &[u8], steps: &[usize]) -> Vec<Whole> {
        pieces_and_holes(file, steps).0
    }

    /// The same, with the bytes of holes.
    fn pieces_and_holes(file: &[u8], steps: &[usize]) -> (Vec<Whole>, usize) {
        let mut holes = 0;
        let (mut out, mut at, mut seen, mut mid_line) = (Vec::<Whole>::new(), 0, 0, None);
        let mut steps = steps.iter().copied().chain([file.len()]);
        let mut continues = false;
        loop {
            let is_last = seen == file.len();
            let block = &file[at..seen.min(at + BLOCK_BYTES)];
            let is_full = block.len() == BLOCK_BYTES;
            let end = if is_full {
                BlockEnd::Full
            } else if is_last {
                BlockEnd::File
            } else {
                BlockEnd::Open
            };
            let mut scratch = Scratch::default();
            match split(block, end, mid_line, &mut scratch) {
                Some(piece) => {
                    holes += piece.hole_bytes;
                    if piece.is_hole() {
                        assert!(mid_line.is_none() && piece.mid_line.is_none() && !continues);
                    } else if continues {
                        let last = out.last_mut().unwrap();
                        last.2.extend_from_slice(piece.content);
                        last.3 = piece.is_end;
                    } else {
                        out.push((piece.line.std_stream, piece.line.time_ns, piece.content.to_vec(), piece.is_end));
                    }
                    at += piece.consumed;
                    mid_line = piece.mid_line;
                    continues = mid_line.is_some();
                }
                None if is_last => return (out, holes),
                None => seen = (seen + steps.next().unwrap_or(file.len()).max(1)).min(file.len()),
            }
        }
    }

    #[test]
    fn every_kind_of_line_is_read() {
        let file = b"2026-08-22T10:00:00.5Z stderr P ab\n\0\0\x002026-08-22T10:00:00Z stdout F c d\nwhat is this\n\
            {\"log\":\"x\\ny\\n\",\"stream\":\"stderr\",\"time\":\"2026-08-22T10:00:00Z\"}\n2026-08-22T10:00:00Z stdout F torn";
        let second = 1_787_392_800_000_000_000;
        let wanted = vec![
            (StdStream::Stderr, Some(second + 500_000_000), b"ab".to_vec(), false),
            (StdStream::Stdout, Some(second), b"c d".to_vec(), true),
            (StdStream::Stdout, None, b"what is this".to_vec(), true),
            (StdStream::Stderr, Some(second), b"x\ny".to_vec(), true),
            (StdStream::Stdout, Some(second), b"torn".to_vec(), true),
        ];
        assert_eq!(pieces(file, &[]), wanted);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_cuts_between_blocks_do_not_matter(
            lines in prop::collection::vec((any::<bool>(), any::<bool>(), 0_usize..80_000, any::<u8>()), 1..12),
            long in prop::option::of(BLOCK_BYTES - 100..BLOCK_BYTES * 3),
            steps in prop::collection::vec(1_usize..300_000, 0..20),
        ) {
            let mut file = Vec::new();
            let mut wanted = Vec::new();
            for (number, (is_err, is_partial, length, byte)) in lines.into_iter().enumerate() {
                let length = if number == 3 { long.unwrap_or(length) } else { length };
                let byte = if byte == b'\n' { b'x' } else { byte };
                let (name, std_stream) = if is_err { ("stderr", StdStream::Stderr) } else { ("stdout", StdStream::Stdout) };
                let tag = if is_partial { 'P' } else { 'F' };
                let head = format!("2026-08-22T10:00:00.{:09}Z {name} {tag} ", number + 1);
                let content = vec![byte; length];
                file.extend_from_slice(head.as_bytes());
                file.extend_from_slice(&content);
                file.push(b'\n');
                wanted.push((std_stream, Some(1_787_392_800_000_000_001 + number as i64), content, !is_partial));
            }
            prop_assert!(pieces(&file, &steps) == wanted);
        }

        /// Holes of any length, before lines and before newlines, are counted and nothing else.
        #[test]
        fn a_hole_however_long_costs_no_line(
            parts in prop::collection::vec((0_usize..3, 0_usize..5_000, any::<bool>()), 1..10),
            long in BLOCK_BYTES - 60..BLOCK_BYTES * 3,
            long_line in prop::option::of(BLOCK_BYTES - 100..BLOCK_BYTES * 2),
            steps in prop::collection::vec(1_usize..300_000, 0..20),
        ) {
            let (mut file, mut wanted, mut hole_bytes) = (Vec::new(), Vec::new(), 0);
            for (number, (kind, nuls, is_partial)) in parts.into_iter().enumerate() {
                let nuls = if number % 4 == 1 { long } else { nuls };
                if kind > 0 {
                    file.resize(file.len() + nuls, 0);
                    hole_bytes += nuls;
                }
                if kind == 2 && nuls > 0 {
                    file.push(b'\n');
                }
                let content = vec![b'x'; long_line.filter(|_| number == 2).unwrap_or(number)];
                let tag = if is_partial { 'P' } else { 'F' };
                file.extend_from_slice(format!("2026-08-22T10:00:00.{:09}Z stderr {tag} ", number + 1).as_bytes());
                file.extend_from_slice(&content);
                file.push(b'\n');
                wanted.push((StdStream::Stderr, Some(1_787_392_800_000_000_001 + number as i64), content, !is_partial));
            }
            file.resize(file.len() + long, 0);
            prop_assert!(pieces_and_holes(&file, &steps) == (wanted, hole_bytes + long));
        }

        #[test]
        fn outside_bytes_are_kept_and_never_panic(file in prop::collection::vec(any::<u8>(), 0..400), steps in prop::collection::vec(1_usize..50, 0..20)) {
            let all = pieces(&file, &steps);
            let is_hole = |line: &&[u8]| !line.is_empty() && line.iter().all(|byte| *byte == 0);
            let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
            let holes = lines.iter().map(|line| line.strip_suffix(b"\n").unwrap_or(line)).filter(is_hole).count();
            prop_assert_eq!(all.len(), lines.len() - holes);
        }
    }
}

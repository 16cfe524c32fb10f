//! The newest lines of one pipe that were captured and not shipped: for finding their place in the file, and, as far as
//! their bytes are kept, for going on from there.
//!
//! In: captured lines. Out: the same, oldest first. Bounded: what does not fit is forgotten, oldest first.

use super::fingerprint::Fingerprint;
use super::forgotten::Forgotten;
use std::collections::VecDeque;

/// Lines that are remembered at most, whatever their bytes: the search for their place looks at each.
const LINES_MAX: usize = 4_096;
/// Memory of one remembered line, bytes.
const LINE_COST: usize = size_of::<Seen>();

/// A captured line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is recognised by.
    pub print: Fingerprint,
    /// When its first byte left the pipe, nanoseconds since the Unix epoch: the runtime cannot have noted it earlier.
    pub read_ns: i64,
    /// When the pipe was last written to before that, where it is known.
    pub written_ns: Option<i64>,
}

#[derive(Debug)]
struct Kept {
    seen: Seen,
    /// Where its bytes begin and how many there are; `None` where they are not kept.
    content: Option<(u64, usize)>,
}

/// Captured lines that wait.
#[derive(Debug, Default)]
pub struct Window {
    lines: VecDeque<Kept>,
    /// The bytes of the newest lines, one after the other.
    contents: Vec<u8>,
    /// What the first byte of `contents` is called.
    base: u64,
    /// Bytes at the beginning of `contents` that are of no line any more.
    stale: usize,
    /// The first line held is the first that ever left the pipe, and none is missing since.
    is_from_start: bool,
    /// When the first line left the pipe since which none is missing, held or shipped; nanoseconds since the Unix epoch.
    whole_since_ns: Option<i64>,
    forgotten: Forgotten,
}

impl Window {
    /// The next line is the first that ever left the pipe.
    pub fn begin(&mut self) {
        self.is_from_start = self.lines.is_empty();
    }

    /// Whether every line that ever left the pipe is held.
    #[must_use]
    pub fn is_from_start(&self) -> bool {
        self.is_from_start
    }

    /// Whether every line that left the pipe since this time was captured, nanoseconds since the Unix epoch.
    #[must_use]
    pub fn is_whole_since(&self, time_ns: i64) -> bool {
        self.is_from_start || self.whole_since_ns.is_some_and(|since_ns| since_ns <= time_ns)
    }

    /// Appends a line; `bytes_max` is what the window may take, lines and bytes together.
    pub fn push(&mut self, seen: Seen, content: &[u8], bytes_max: usize) {
        let is_whole = content.len() as u64 == seen.print.bytes || content.len() > crate::limits::LINE_BYTES_MAX;
        let fits = is_whole && content.len() + LINE_COST <= bytes_max;
        let at = self.base + self.contents.len() as u64;
        self.whole_since_ns.get_or_insert(seen.read_ns);
        if fits {
            self.contents.extend_from_slice(content);
        }
        self.lines.push_back(Kept { seen, content: fits.then_some((at, content.len())) });
        while self.lines.len() > LINES_MAX || (self.bytes() > bytes_max && !self.lines.is_empty()) {
            if let Some(seen) = self.first() {
                self.forgotten.add(seen.read_ns, seen.print.bytes);
            }
            self.drop_first();
        }
    }

    /// Takes out how many bytes were forgotten for want of room that left the pipe after `time_ns`.
    pub fn take_forgotten_after(&mut self, time_ns: i64) -> u64 {
        self.forgotten.take_after(time_ns)
    }

    /// The oldest line.
    #[must_use]
    pub fn first(&self) -> Option<Seen> {
        self.lines.front().map(|kept| kept.seen)
    }

    /// The line at this place, the oldest at 0.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<Seen> {
        self.lines.get(place).map(|kept| kept.seen)
    }

    /// The bytes of the oldest line, where they are kept.
    #[must_use]
    pub fn first_content(&self) -> Option<&[u8]> {
        let (at, length) = self.lines.front()?.content?;
        let start = usize::try_from(at.checked_sub(self.base)?).ok()?;
        self.contents.get(start..start.checked_add(length)?)
    }

    /// Whether the bytes of all lines from this place on are kept.
    #[must_use]
    pub fn is_whole_from(&self, place: usize) -> bool {
        self.lines.iter().skip(place).all(|kept| kept.content.is_some())
    }

    /// Forgets the oldest line.
    pub fn drop_first(&mut self) {
        self.is_from_start = false;
        if let Some((_, length)) = self.lines.pop_front().and_then(|kept| kept.content) {
            self.stale += length;
        }
        if self.lines.is_empty() {
            self.let_go();
        } else if self.stale > self.contents.len() / 2 {
            self.contents.drain(..self.stale.min(self.contents.len()));
            self.base += self.stale as u64;
            self.stale = 0;
        }
    }

    /// Lines are missing: forgets everything.
    pub fn clear(&mut self) {
        self.whole_since_ns = None;
        self.let_go();
    }

    fn let_go(&mut self) {
        self.is_from_start = false;
        self.lines.clear();
        self.base += self.contents.len() as u64;
        self.contents.clear();
        // A quiet pipe keeps no memory.
        self.contents.shrink_to(4_096);
        self.stale = 0;
    }

    /// Lines held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether no line is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Memory used, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.contents.len() - self.stale + self.lines.len() * LINE_COST
    }

    /// Memory held, bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.contents.capacity() + self.lines.capacity() * size_of::<Kept>() + self.forgotten.memory_bytes()
    }
}

//! Lines that were shipped ahead and that the file has not shown yet, oldest first; what a file line may be.

use super::fingerprint::Fingerprint;
use crate::types::part::{LabelSetId, PartId};
use std::collections::VecDeque;

/// A line shipped from the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What it is recognised by.
    pub print: Fingerprint,
    /// When its first byte left the pipe, nanoseconds since the Unix epoch.
    pub read_ns: i64,
    /// Stream position of its first byte.
    pub position: u64,
    /// That was certain.
    pub is_placed: bool,
    /// The time that it was given, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The label set in which it went out.
    pub label_set: LabelSetId,
    /// The part in which it travels.
    pub part: PartId,
}

/// What becomes of a line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileLine {
    /// It is to be shipped.
    Ship,
    /// It was shipped ahead.
    Confirmed(Sent),
}

/// Shipped and not yet seen in the file.
#[derive(Debug, Default)]
pub struct Pending {
    lines: VecDeque<Sent>,
}

impl Pending {
    /// Appends the newest.
    pub fn push(&mut self, sent: Sent) {
        self.lines.push_back(sent);
    }

    /// The oldest.
    #[must_use]
    pub fn first(&self) -> Option<&Sent> {
        self.lines.front()
    }

    /// The newest.
    #[must_use]
    pub fn last(&self) -> Option<&Sent> {
        self.lines.back()
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Sent> {
        self.lines.iter()
    }

    /// Bytes by which all of them move the stream position.
    #[must_use]
    pub fn advance(&self) -> u64 {
        self.lines.iter().map(|sent| sent.print.advance()).sum()
    }

    /// Takes the oldest where it is this line.
    pub fn take_first(&mut self, print: Fingerprint) -> Option<Sent> {
        self.lines.pop_front_if(|sent| sent.print == print)
    }

    /// How many lines stand before the first that is this one.
    #[must_use]
    pub fn find(&self, print: Fingerprint) -> Option<usize> {
        self.lines.iter().position(|sent| sent.print == print)
    }

    /// Forgets the oldest `lines`; how many that were.
    pub fn forget(&mut self, lines: usize) -> u64 {
        let lines = lines.min(self.lines.len());
        self.lines.drain(..lines);
        if self.lines.is_empty() {
            self.lines.shrink_to(64);
        }
        lines as u64
    }

    /// Lines held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Memory held, bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Sent>()
    }
}

//! Writing one entry into an open part.

use crate::encode;
use crate::types::part::{Moved, Part, Share};
use crate::types::position::{Mark, StreamKey};

/// An entry to append, with where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct OpenEntry<'a> {
    /// The text.
    pub line: &'a [u8],
    /// The time that it should have, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The time that its record alone gives, whatever came before it; `None` where it has none.
    pub alone_ns: Option<i64>,
    /// The time with which it went out before a restart; it keeps that.
    pub sent_at_ns: Option<i64>,
    /// Encoded structured metadata.
    pub metadata: &'a [u8],
    /// Bytes of the metadata as Loki counts them.
    pub metadata_counted_bytes: usize,
    /// The runtime's time of the record.
    pub runtime_ns: i64,
    /// Whose record.
    pub stream: StreamKey,
    /// Where the record starts.
    pub start: Mark,
}

impl OpenEntry<'_> {
    /// Bytes of the encoded entry.
    #[must_use]
    pub fn encoded_bytes(&self, time_ns: i64) -> usize {
        encode::entry_bytes(time_ns, self.line.len(), self.metadata.len())
    }

    /// Appends it; true where the part had nothing of this std stream before.
    pub(super) fn append_to(&self, part: &mut Part, time_ns: i64, fingerprint: u64) -> bool {
        encode::entry(&mut part.entries, time_ns, self.line, self.metadata);
        part.oldest_ns = if part.count == 0 { self.runtime_ns } else { part.oldest_ns.min(self.runtime_ns) };
        part.count += 1;
        part.line_bytes += self.line.len() as u64;
        part.counted_bytes += (self.line.len() + self.metadata_counted_bytes) as u64;
        part.fingerprints.push(fingerprint);
        part.resent += u32::from(self.sent_at_ns.is_some());
        if Some(time_ns) != self.alone_ns {
            part.moved.push(Moved { stream: self.stream, start: self.start, time_ns });
        }
        // Lines mostly come in runs of one std stream, the newest share first in line.
        match part.shares.iter_mut().rev().find(|share| share.stream == self.stream) {
            Some(share) => {
                share.last = self.start;
                false
            }
            None => {
                part.shares.push(Share { stream: self.stream, first: self.start, last: self.start });
                true
            }
        }
    }
}

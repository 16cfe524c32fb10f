//! Writing one entry into an open part.

use crate::encode;
use crate::types::part::{Ahead, Moved, Part, Share};
use crate::types::position::{Mark, StreamKey};

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A record of a log file, which starts here.
    File(Mark),
    /// A captured line, shipped ahead of its file.
    Ahead {
        /// Stream position of its first byte.
        position: u64,
        /// Hash of its content as the pipe had it.
        hash: u64,
    },
}

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
    /// When the record was written, as far as that is known.
    pub written_ns: i64,
    /// Whose record.
    pub stream: StreamKey,
    /// Where the record comes from.
    pub place: Place,
}

impl OpenEntry<'_> {
    /// Bytes of the encoded entry.
    #[must_use]
    pub fn encoded_bytes(&self, time_ns: i64) -> usize {
        encode::entry_bytes(time_ns, self.line.len(), self.metadata.len())
    }

    /// Appends it; true where the part had nothing of this std stream from this witness before.
    pub(super) fn append_to(&self, part: &mut Part, time_ns: i64, fingerprint: u64) -> bool {
        encode::entry(&mut part.entries, time_ns, self.line, self.metadata);
        part.oldest_ns = if part.count == 0 { self.written_ns } else { part.oldest_ns.min(self.written_ns) };
        part.count += 1;
        part.line_bytes += self.line.len() as u64;
        part.counted_bytes += (self.line.len() + self.metadata_counted_bytes) as u64;
        part.fingerprints.push(fingerprint);
        part.resent.extend(self.sent_at_ns.map(|_| fingerprint));
        match self.place {
            Place::File(start) => {
                if Some(time_ns) != self.alone_ns {
                    part.moved.push(Moved { stream: self.stream, start, time_ns });
                }
                update_share(part, self.stream, |share| match &mut share.records {
                    Some([_, last]) => {
                        *last = start;
                        false
                    }
                    none => {
                        *none = Some([start, start]);
                        true
                    }
                })
            }
            Place::Ahead { position, hash } => {
                part.ahead.push(Ahead { stream: self.stream, position, hash, time_ns });
                update_share(part, self.stream, |share| !std::mem::replace(&mut share.has_ahead, true))
            }
        }
    }
}

fn update_share(part: &mut Part, stream: StreamKey, update: impl FnOnce(&mut Share) -> bool) -> bool {
    // Lines mostly come in runs of one std stream, the newest share first in line.
    if let Some(share) = part.shares.iter_mut().rev().find(|share| share.stream == stream) {
        return update(share);
    }
    let mut share = Share { stream, records: None, has_ahead: false };
    let is_new = update(&mut share);
    part.shares.push(share);
    is_new
}

//! Walks encoded entries, so that a part of a request can be split, or one entry be found in it.
//!
//! In: a run of entries as `encode::entry` wrote them. Out: where each stands, and its time, line and metadata.
//! Never: a panic on other bytes; the walk then ends.

use prost::encoding::{WireType, decode_key, decode_varint};
use std::ops::Range;

/// Where an entry stands in a run. All ranges are of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPlace {
    /// The whole entry with its key and length.
    pub range: Range<usize>,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The line.
    pub line: Range<usize>,
    /// The encoded metadata.
    pub metadata: Range<usize>,
}

/// Walks the entries of `run`. Ends before the first byte that does not belong to an entry.
#[must_use]
pub fn entries(run: &[u8]) -> Entries<'_> {
    Entries { run, at: 0 }
}

/// Iterator of [`entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    run: &'a [u8],
    at: usize,
}

impl Iterator for Entries<'_> {
    type Item = EntryPlace;

    fn next(&mut self) -> Option<EntryPlace> {
        let body = field(self.run, self.at..self.run.len(), 2)?;
        let timestamp = field(self.run, body.clone(), 1)?;
        let time_ns = time_ns(&self.run[timestamp.clone()])?;
        let after_time = timestamp.end..body.end;
        let line = field(self.run, after_time.clone(), 2).unwrap_or(after_time.start..after_time.start);
        let place = EntryPlace { range: self.at..body.end, time_ns, metadata: line.end..body.end, line };
        self.at = place.range.end;
        Some(place)
    }
}

/// The bytes of a length-delimited field that stands at the start of `within`, if it has this tag.
fn field(run: &[u8], within: Range<usize>, tag: u32) -> Option<Range<usize>> {
    let mut rest = run.get(within.clone())?;
    if decode_key(&mut rest).ok()? != (tag, WireType::LengthDelimited) {
        return None;
    }
    let bytes = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    let start = within.end - rest.len();
    let end = start.checked_add(bytes).filter(|end| *end <= within.end)?;
    Some(start..end)
}

fn time_ns(mut timestamp: &[u8]) -> Option<i64> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    while !timestamp.is_empty() {
        let value = match decode_key(&mut timestamp).ok()? {
            (1, WireType::Varint) => &mut seconds,
            (2, WireType::Varint) => &mut nanos,
            _ => return None,
        };
        *value = decode_varint(&mut timestamp).ok()?.cast_signed();
    }
    i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanos)).ok()
}

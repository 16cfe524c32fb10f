//! A capture record, from the bytes that the kernel put into the ring.
//!
//! In: one record. Out: its head and its bytes, or what is wrong with it. Never: a panic, or a byte beyond the length
//! that the record says.

use crate::types::capture::{Cookie, Fragment};
use penstock_ebpf::{FLAG_BYTES_LOST, FLAG_FIRST, FLAG_GAP_BEFORE, FLAGS_KNOWN, PIECE_BYTES_MAX, RecordHead};

/// Why a record is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Shorter than a head.
    #[error("shorter than a record's head")]
    Short,
    /// Flags that this agent does not know.
    #[error("unknown flags {0:#x}")]
    Flags(u32),
    /// It says that it carries nothing, more than a record can, or more than its std stream can have.
    #[error("a length of {0}")]
    Length(u32),
}

/// Head and bytes of a record; no bytes where they were lost.
///
/// # Errors
/// It is not of the agreed form.
pub fn decode(record: &[u8]) -> Result<(RecordHead, &[u8]), BadRecord> {
    let head = RecordHead::read(record).ok_or(BadRecord::Short)?;
    if head.flags & !FLAGS_KNOWN != 0 {
        return Err(BadRecord::Flags(head.flags));
    }
    let bad = BadRecord::Length(head.length);
    if head.length == 0 || head.sequence.checked_add(head.length.into()).is_none() {
        return Err(bad);
    }
    if head.flags & FLAG_BYTES_LOST != 0 {
        return Ok((head, &[]));
    }
    let end = usize::try_from(head.length).ok().filter(|_| head.length <= PIECE_BYTES_MAX);
    let bytes = end.and_then(|length| record.get(RecordHead::BYTES..RecordHead::BYTES + length));
    Ok((head, bytes.ok_or(bad)?))
}

/// The record as a fragment. `wall_offset_ns` is added to the kernel's times.
///
/// Of bytes that were lost an empty fragment is left, at the place after them.
#[must_use]
pub fn fragment(head: RecordHead, bytes: &[u8], wall_offset_ns: i64) -> Fragment<'_> {
    let is_lost = head.flags & FLAG_BYTES_LOST != 0;
    let wall = |kernel_ns: u64| i64::try_from(kernel_ns).unwrap_or(i64::MAX).saturating_add(wall_offset_ns);
    Fragment {
        cookie: Cookie(head.cookie),
        sequence: if is_lost { head.sequence.saturating_add(head.length.into()) } else { head.sequence },
        is_first: head.flags & FLAG_FIRST != 0 && !is_lost,
        is_gap_before: head.flags & FLAG_GAP_BEFORE != 0,
        read_ns: wall(head.read_ns),
        written_ns: (head.written_ns != 0).then(|| wall(head.written_ns)),
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(length: u32, flags: u32) -> RecordHead {
        RecordHead { cookie: 7, sequence: 100, read_ns: 20, written_ns: 10, length, flags }
    }

    fn record(head: RecordHead, bytes: &[u8]) -> Vec<u8> {
        [&head.to_bytes()[..], bytes].concat()
    }

    #[test]
    fn bytes_end_where_the_record_says_not_where_its_room_ends() {
        let record = record(head(3, FLAG_GAP_BEFORE), b"abcLEFT OVER");
        let (head, bytes) = decode(&record).unwrap();
        let fragment = fragment(head, bytes, 1_000);
        assert_eq!(fragment.bytes, b"abc");
        assert_eq!((fragment.cookie, fragment.sequence, fragment.is_gap_before), (Cookie(7), 100, true));
        assert_eq!((fragment.read_ns, fragment.written_ns), (1_020, Some(1_010)));
    }

    #[test]
    fn lost_bytes_leave_an_empty_fragment_after_them() {
        let record = record(head(1_000_000, FLAG_BYTES_LOST), b"whatever was in the ring before");
        let (head, bytes) = decode(&record).unwrap();
        let fragment = fragment(RecordHead { written_ns: 0, ..head }, bytes, 0);
        assert_eq!((fragment.sequence, fragment.bytes, fragment.written_ns), (1_000_100, &b""[..], None));
        assert!(!fragment.is_gap_before, "how many is known");
    }

    #[test]
    fn what_is_not_of_the_agreed_form_is_refused() {
        assert_eq!(decode(&head(1, 0).to_bytes()[..39]), Err(BadRecord::Short));
        assert_eq!(decode(&record(head(4, 8), b"abcd")), Err(BadRecord::Flags(8)));
        assert_eq!(decode(&record(head(4, 0), b"abc")), Err(BadRecord::Length(4)));
        assert_eq!(decode(&record(head(0, 0), b"")), Err(BadRecord::Length(0)));
        assert_eq!(decode(&record(head(32_769, 0), &[0; 40_000])), Err(BadRecord::Length(32_769)));
        let overflowing = RecordHead { sequence: u64::MAX, ..head(1, FLAG_BYTES_LOST) };
        assert_eq!(decode(&record(overflowing, b"a")), Err(BadRecord::Length(1)));
    }
}

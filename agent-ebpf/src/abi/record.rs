//! A capture record: what the programs put into the ring, and what the agent reads there.

/// Bytes left the pipe before this record of which the program saw nothing: an open line must not be joined over it.
pub const FLAG_GAP_BEFORE: u32 = 1;
/// The bytes themselves could not be read; `length` still counts them.
pub const FLAG_BYTES_LOST: u32 = 1 << 1;
/// Nothing had ever left the pipe before these bytes: its first line begins with them.
pub const FLAG_FIRST: u32 = 1 << 2;
/// Every flag that there is.
pub const FLAGS_KNOWN: u32 = FLAG_GAP_BEFORE | FLAG_BYTES_LOST | FLAG_FIRST;
/// Bytes of a pipe that one record carries at the most; more are carried by several records.
pub const PIECE_BYTES_MAX: u32 = 32_768;

/// The head of a record. `length` bytes follow it unless [`FLAG_BYTES_LOST`] is set; what follows those is not to be
/// looked at, as records come in a few fixed sizes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Which following of which pipe this is: a record of an earlier follower of the same inode has another.
    pub cookie: u64,
    /// Bytes that had left that pipe before these.
    pub sequence: u64,
    /// `CLOCK_MONOTONIC` at which the first of these bytes left the pipe, nanoseconds.
    pub read_ns: u64,
    /// `CLOCK_MONOTONIC` of the last write into the pipe, nanoseconds; 0 where that is not known.
    pub written_ns: u64,
    /// Bytes of this record.
    pub length: u32,
    /// `FLAG_…`
    pub flags: u32,
}

const _: () = assert!(size_of::<RecordHead>() == RecordHead::BYTES);

impl RecordHead {
    /// Size in the ring.
    pub const BYTES: usize = 40;

    /// Reads a head from the first bytes of a record, in this machine's byte order. `None` where they are too few.
    #[must_use]
    pub fn read(record: &[u8]) -> Option<Self> {
        let (head, _) = record.split_first_chunk::<{ Self::BYTES }>()?;
        let word = |at: usize| Some(u64::from_ne_bytes(head.get(at..at + 8)?.try_into().ok()?));
        let half = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let [cookie, sequence, read_ns, written_ns] = [word(0)?, word(8)?, word(16)?, word(24)?];
        Some(Self { cookie, sequence, read_ns, written_ns, length: half(32)?, flags: half(36)? })
    }

    /// The bytes of the head, in this machine's byte order.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let fields = [self.cookie, self.sequence, self.read_ns, self.written_ns];
        let fields = fields.iter().flat_map(|field| field.to_ne_bytes());
        let halves = [self.length, self.flags];
        let halves = halves.iter().flat_map(|field| field.to_ne_bytes());
        for (byte, value) in out.iter_mut().zip(fields.chain(halves)) {
            *byte = value;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: RecordHead =
        RecordHead { cookie: 1 << 60, sequence: 77, read_ns: 4, written_ns: 3, length: 65_536, flags: FLAG_GAP_BEFORE };

    #[test]
    fn a_head_comes_back_as_it_was_written() {
        let mut record = HEAD.to_bytes().to_vec();
        record.extend_from_slice(b"content");
        assert_eq!(RecordHead::read(&record), Some(HEAD));
    }

    #[test]
    fn a_short_record_is_no_record() {
        let record = HEAD.to_bytes();
        for length in 0..RecordHead::BYTES {
            assert_eq!(RecordHead::read(&record[..length]), None);
        }
    }
}

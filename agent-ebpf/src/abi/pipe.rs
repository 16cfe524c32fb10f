//! What the map `PIPES` holds: the pipes that are followed.

/// Which pipe.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PipeKey {
    /// Inode number.
    pub inode: u64,
    /// Device of the inode's file system in the kernel's own encoding: major << 20 | minor.
    pub device: u64,
}

const _: () = assert!(size_of::<PipeKey>() == 8 * PipeKey::WORDS);

impl PipeKey {
    /// Size in 64-bit words.
    pub const WORDS: usize = 2;

    /// As the map holds it.
    #[must_use]
    pub const fn words(self) -> [u64; Self::WORDS] {
        [self.inode, self.device]
    }
}

/// How far a followed pipe was read. The agent writes the first state, the programs change it.
///
/// The counts are added to by programs on several processors at once; the other fields are written by the one reader.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipeState {
    /// Which following this is; goes into every record.
    pub cookie: u64,
    /// The process (thread group) that reads this pipe. What others read is bytes that left unseen.
    pub reader: u64,
    /// Bytes that left the pipe while it is followed, read by that process.
    pub sequence: u64,
    /// Where the pipe was read up to when its reader last left it: index of the slot (32 bits) and `CURSOR_…`
    /// or the offset in it.
    pub cursor: u64,
    /// How often bytes left unseen, or may have.
    pub unseen: u64,
    /// `unseen` as the last record told it.
    pub told: u64,
    /// Reads that began.
    pub entries: u64,
    /// Reads that ended.
    pub exits: u64,
    /// Bytes that are in no record: no room in the ring, or not readable. They are in `sequence`.
    pub lost_bytes: u64,
    /// Bytes that were written, where the hook sees writes.
    pub written_bytes: u64,
    /// `CLOCK_MONOTONIC` at which the last write began, nanoseconds; 0 where the hook does not see writes.
    pub written_ns: u64,
}

const _: () = assert!(size_of::<PipeState>() == 8 * PipeState::WORDS);

impl PipeState {
    /// Size in 64-bit words.
    pub const WORDS: usize = 11;
    /// The low half of `cursor` where nothing is known yet.
    pub const CURSOR_UNKNOWN: u32 = u32::MAX;
    /// The low half of `cursor` where the pipe was empty.
    pub const CURSOR_EMPTY: u32 = u32::MAX - 1;

    /// The state with which a following begins.
    #[must_use]
    pub fn new(cookie: u64, reader: u32) -> Self {
        Self { cookie, reader: reader.into(), cursor: Self::CURSOR_UNKNOWN.into(), ..Self::default() }
    }

    /// As the map holds it.
    #[must_use]
    pub const fn words(self) -> [u64; Self::WORDS] {
        [
            self.cookie,
            self.reader,
            self.sequence,
            self.cursor,
            self.unseen,
            self.told,
            self.entries,
            self.exits,
            self.lost_bytes,
            self.written_bytes,
            self.written_ns,
        ]
    }

    /// From what the map holds.
    #[must_use]
    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [cookie, reader, sequence, cursor, unseen, told, entries, exits, lost_bytes, written_bytes, written_ns] =
            words;
        Self { cookie, reader, sequence, cursor, unseen, told, entries, exits, lost_bytes, written_bytes, written_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was_written() {
        let words = core::array::from_fn(|index| index as u64 + 1);
        assert_eq!(PipeState::from_words(words).words(), words);
        let state = PipeState::from_words(words);
        assert_eq!((state.cookie, state.told, state.written_ns), (1, 6, 11), "in the order of the fields");
    }
}

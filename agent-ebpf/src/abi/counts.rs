//! What each processor counts; the agent adds them up.

/// Counts of one processor since the programs were loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that found no room in the ring.
    pub ring_full_records: u64,
    /// Bytes that left a followed pipe and are in no record.
    pub lost_bytes: u64,
}

const _: () = assert!(size_of::<Counts>() == 8 * Counts::WORDS);

impl Counts {
    /// Size in 64-bit words.
    pub const WORDS: usize = 2;

    /// From what the map holds.
    #[must_use]
    pub const fn from_words([ring_full_records, lost_bytes]: [u64; Self::WORDS]) -> Self {
        Self { ring_full_records, lost_bytes }
    }
}

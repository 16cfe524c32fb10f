//! How many captured bytes were forgotten for want of room, and when they had left the pipe: where the file turns out not
//! to hold them, they are lost.
//!
//! In: lines that a window lets go, oldest first. Out: bytes since a time. Bounded: what lies far back is not known any more.

use std::collections::VecDeque;

/// Bytes are summed up that left the pipe within so long, nanoseconds.
const SLOT_NS: i64 = 100_000_000;
/// Slots that are kept, above the time that a file must be at rest.
const SLOTS_MAX: usize = 64;

/// What a window forgot.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// When the first line of each slot left the pipe, nanoseconds since the Unix epoch, and the slot's bytes.
    slots: VecDeque<(i64, u64)>,
}

impl Forgotten {
    /// A line of so many bytes that left the pipe then.
    pub fn add(&mut self, read_ns: i64, bytes: u64) {
        match self.slots.back_mut() {
            Some((first_ns, sum)) if read_ns.saturating_sub(*first_ns) < SLOT_NS => *sum += bytes,
            _ => self.slots.push_back((read_ns, bytes)),
        }
        if self.slots.len() > SLOTS_MAX {
            self.slots.pop_front();
        }
    }

    /// Memory held, bytes.
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<(i64, u64)>()
    }

    /// Takes out the bytes that left the pipe after `time_ns`, to a slot, and forgets the others.
    pub fn take_after(&mut self, time_ns: i64) -> u64 {
        self.slots.drain(..).filter(|(first_ns, _)| *first_ns > time_ns).map(|(_, bytes)| bytes).sum()
    }
}

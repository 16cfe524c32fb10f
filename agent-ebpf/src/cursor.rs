//! How far a pipe was read: the index of the slot and the offset in it, and whether what moved since is what was read.
//!
//! `pipe_inode_info` is a ring of slots (`pipe_buffer`), `tail` the first that holds bytes, `head` the next free one. A
//! reader raises `offset` of a slot by what it takes, and passes over the slot when it is used up. A slot that `write`
//! filled begins at offset 0 (it has `PIPE_BUF_FLAG_CAN_MERGE`, since 5.8); of one that was spliced in the beginning is
//! not known.

use crate::kernel::{offset, probe, word};
use penstock_ebpf::{
    PipeState, RING_SLOTS_AFTER_HEAD, RING_TAIL_AFTER_HEAD, RING_WORDS, SLOT_FLAGS_AFTER_OFFSET,
    SLOT_LENGTH_AFTER_OFFSET,
};

const CAN_MERGE: u32 = 0x10;
/// Slots that are added up at the most; the usual pipe has 16.
const SLOTS_MAX: u32 = 17;
const FLAGS: usize = SLOT_FLAGS_AFTER_OFFSET as usize / 4;
const LENGTH: usize = SLOT_LENGTH_AFTER_OFFSET as usize / 4;

/// A slot, from its offset to its flags.
type Slot = [u32; FLAGS + 1];

/// A pipe's ring of slots at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    pub(crate) head: u32,
    pub(crate) tail: u32,
    pub(crate) slots: u32,
    pub(crate) buffers: u64,
}

impl Ring {
    /// Looks at a pipe through any pointer, once.
    #[inline(always)]
    pub(crate) fn probe(pipe: u64) -> Option<Self> {
        let words: [u64; RING_WORDS] = probe(pipe, offset!(pipe_head))?;
        let half = |after_head: u32| (words[after_head as usize / 8] >> (after_head % 8 * 8)) as u32;
        Some(Self {
            head: half(0),
            tail: half(RING_TAIL_AFTER_HEAD),
            slots: half(RING_SLOTS_AFTER_HEAD),
            buffers: word(&words, offset!(pipe_buffers) - offset!(pipe_head)),
        })
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<Slot> {
        let place = (index & self.slots.wrapping_sub(1)) as u64;
        probe(self.buffers.wrapping_add(place * offset!(buffer_bytes)), offset!(buffer_offset))
    }

    /// The offset in the slot at the tail. A writer raises `head` before it fills the slot: until then the slot says what an
    /// earlier filling left, and holds nothing.
    #[inline(always)]
    fn place(&self) -> Option<u32> {
        let slot = self.slot(self.tail)?;
        Some(if slot[LENGTH] == 0 { PipeState::CURSOR_EMPTY } else { slot[0] })
    }

    /// Where it is read up to now.
    #[inline(always)]
    pub(crate) fn cursor(&self) -> u64 {
        let place = match self.head == self.tail {
            true => PipeState::CURSOR_EMPTY,
            false => match self.place() {
                // What an earlier filling left may still stand there for an instruction or two.
                Some(place) if place != 0 && place != PipeState::CURSOR_EMPTY => self.place(),
                place => place,
            }
            .unwrap_or(PipeState::CURSOR_UNKNOWN),
        };
        (self.tail as u64) << 32 | place as u64
    }

    /// Whether bytes left since the reader left it at `cursor`.
    #[inline(always)]
    pub(crate) fn has_moved(&self, cursor: u64, now: u64) -> bool {
        let place = cursor as u32;
        if place == PipeState::CURSOR_UNKNOWN || cursor == now {
            return false;
        }
        if place != PipeState::CURSOR_EMPTY || (cursor >> 32) as u32 != self.tail {
            return true;
        }
        // It was empty: a new slot begins where it likes, unless `write` made it.
        now as u32 != 0 && self.slot(self.tail).is_none_or(|slot| slot[FLAGS] & CAN_MERGE != 0)
    }
}

/// How many bytes left between two cursors. `None` where slots were filled again or spliced in: nobody can say.
#[inline(always)]
pub(crate) fn between(ring: &Ring, pipe: u64, from: u64, to: u64) -> Option<u64> {
    let first = (from >> 32) as u32;
    let mut start = from as u32;
    if start == PipeState::CURSOR_UNKNOWN || to as u32 == PipeState::CURSOR_UNKNOWN {
        return None;
    }
    let mut is_start_known = true;
    if start == PipeState::CURSOR_EMPTY {
        start = 0;
    }
    let last = (to >> 32) as u32;
    let mut sum = 0_u64;
    let mut index = 0;
    while index < SLOTS_MAX {
        let at = first.wrapping_add(index);
        if at == last {
            break;
        }
        let slot = ring.slot(at)?;
        is_start_known &= slot[FLAGS] & CAN_MERGE != 0;
        sum += slot[0].wrapping_sub(start) as u64;
        start = 0;
        index += 1;
    }
    if to as u32 != PipeState::CURSOR_EMPTY {
        let slot = ring.slot(last)?;
        is_start_known &= slot[FLAGS] & CAN_MERGE != 0;
        sum += (to as u32).wrapping_sub(start) as u64;
    }
    let is_whole = index < SLOTS_MAX || first.wrapping_add(index) == last;
    // Looked at after the slots.
    let is_filled_again =
        probe::<u32>(pipe, offset!(pipe_head)).is_none_or(|head| head.wrapping_sub(first) >= ring.slots);
    if is_whole && is_start_known && !is_filled_again { Some(sum) } else { None }
}

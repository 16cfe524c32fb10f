//! Copies what a reader received, out of its own buffers, into records.

use crate::kernel::probe;
use crate::maps::{add, count_lost};
use crate::ring::{Outcome, put};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use core::mem::MaybeUninit;
use penstock_ebpf::{FLAG_BYTES_LOST, FLAG_GAP_BEFORE, PIECE_BYTES_MAX, PipeState, RecordHead};

/// Steps at the most, each a segment or a piece: a read of 1 MiB is 32 pieces. What is left then is lost, and counted.
const STEPS_MAX: u32 = 80;

/// The buffers that a read filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buffers {
    /// One.
    One,
    /// An array of `iovec` in the kernel's memory.
    KernelArray,
    /// An array of `iovec` in the process's memory.
    UserArray,
    /// Pages, the kernel's own memory: not to be read here.
    Others,
}

/// Where the bytes of a read are.
#[derive(Clone, Copy)]
pub(crate) struct Received {
    pub(crate) buffers: Buffers,
    /// To the buffer, or the array.
    pub(crate) pointer: u64,
    /// Length of the array.
    pub(crate) segments: u64,
    /// Bytes to skip in the first buffer.
    pub(crate) skip: u64,
    /// Bytes that were read.
    pub(crate) bytes: u64,
}

#[inline(always)]
fn segment(buffers: Buffers, pointer: u64) -> Option<[u64; 2]> {
    if buffers == Buffers::KernelArray {
        return probe(pointer, 0);
    }
    let mut segment = MaybeUninit::<[u64; 2]>::uninit();
    // SAFETY: the helper checks the source, and the destination is of the size told.
    let result = unsafe { bpf_probe_read_user(segment.as_mut_ptr().cast(), 16, pointer as *const _) };
    // SAFETY: the helper has written all of it.
    (result == 0).then(|| unsafe { segment.assume_init() })
}

/// Puts all of it into the ring, at the pipe's sequence, and moves that on by as many bytes, carried or not.
#[inline(always)]
pub(crate) fn copy(state: *mut PipeState, cookie: u64, read_ns: u64, received: &Received) {
    // SAFETY: `state` is a value of `PIPES`, here and below.
    let (sequence, unseen) = unsafe { ((*state).sequence, (*state).unseen) };
    // SAFETY: as above.
    let (written_ns, told) = unsafe { ((*state).written_ns, (*state).told) };
    // SAFETY: as above.
    add(unsafe { &raw mut (*state).sequence }, received.bytes);
    let flags = if unseen == told { 0 } else { FLAG_GAP_BEFORE };
    let mut head = RecordHead { cookie, sequence, read_ns, written_ns, length: 0, flags };
    let Received { buffers, mut pointer, mut segments, mut skip, bytes: mut left } = *received;
    let mut here = pointer.wrapping_add(skip);
    let mut room = if buffers == Buffers::One { left } else { 0 };
    let mut step = 0;
    while step < STEPS_MAX && left > 0 && buffers != Buffers::Others {
        step += 1;
        if room == 0 {
            if segments == 0 {
                break;
            }
            let Some([base, length]) = segment(buffers, pointer) else { break };
            pointer += 16;
            segments -= 1;
            here = base.wrapping_add(skip);
            room = length.saturating_sub(skip);
            skip = 0;
            continue;
        }
        let piece = room.min(left).min(PIECE_BYTES_MAX as u64);
        head.length = piece as u32;
        put_counted(state, &mut head, here, unseen);
        head.sequence += piece;
        here += piece;
        room -= piece;
        left -= piece;
    }
    if left > 0 {
        head.length = left as u32;
        head.flags |= FLAG_BYTES_LOST;
        put_counted(state, &mut head, 0, unseen);
    }
}

/// Puts one record, and counts what is in none. Once one was in the ring, the gap before it has been told.
#[inline(always)]
fn put_counted(state: *mut PipeState, head: &mut RecordHead, from: u64, unseen: u64) {
    let outcome = put(head, from);
    if outcome != Outcome::Whole {
        count_lost(state, head.length as u64, outcome == Outcome::NoRoom);
    }
    if outcome != Outcome::NoRoom {
        head.flags &= !FLAG_GAP_BEFORE;
        // SAFETY: `state` is a value of `PIPES`.
        unsafe { (*state).told = unseen };
    }
}

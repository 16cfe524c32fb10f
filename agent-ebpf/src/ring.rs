//! Puts one record into the ring: reserved in one of a few sizes, as the verifier wants constants, and filled in place.

use crate::maps::RING;
use aya_ebpf::helpers::generated::{bpf_probe_read_user, bpf_ringbuf_reserve, bpf_ringbuf_submit};
use core::arch::asm;
use penstock_ebpf::{FLAG_BYTES_LOST, PIECE_BYTES_MAX, RecordHead};

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in the ring, with its bytes.
    Whole,
    /// It is in the ring, but its bytes could not be read.
    Unreadable,
    /// There was no room.
    NoRoom,
}

/// Puts `head` and its bytes, which are at `from` in the current process, into the ring.
#[inline(always)]
pub(crate) fn put(head: &RecordHead, from: u64) -> Outcome {
    // The whole record (head and bytes) takes 256 B, 1 KiB, or the sizes in which runtimes read and a head.
    match head.length {
        _ if head.flags & FLAG_BYTES_LOST != 0 => sized::<0>(head, from),
        0..=216 => sized::<216>(head, from),
        217..=984 => sized::<984>(head, from),
        985..=4_096 => sized::<4_096>(head, from),
        4_097..=16_384 => sized::<16_384>(head, from),
        _ => sized::<{ PIECE_BYTES_MAX as u64 }>(head, from),
    }
}

#[inline(always)]
fn sized<const ROOM: u64>(head: &RecordHead, from: u64) -> Outcome {
    // SAFETY: a map of the right type and a constant size.
    let record =
        unsafe { bpf_ringbuf_reserve((&raw const RING).cast_mut().cast(), RecordHead::BYTES as u64 + ROOM, 0) };
    if record.is_null() {
        return Outcome::NoRoom;
    }
    let mut flags = head.flags;
    if ROOM > 0 {
        let mut length = head.length as u64;
        // SAFETY: no instruction; the compiler must not know the length, or it would drop the bound below, which the
        // verifier needs.
        unsafe { asm!("/* {0} */", inout(reg) length) };
        if length > ROOM {
            length = ROOM;
        }
        // SAFETY: the record has room for a head and ROOM bytes.
        let result =
            unsafe { bpf_probe_read_user(record.byte_add(RecordHead::BYTES), length as u32, from as *const _) };
        if result != 0 {
            flags |= FLAG_BYTES_LOST;
        }
    }
    // SAFETY: the record begins with room for a head, aligned to 8 bytes.
    unsafe { record.cast::<RecordHead>().write(RecordHead { flags, ..*head }) };
    // SAFETY: reserved above, submitted once. Flags 0: a reader that has caught up is woken.
    unsafe { bpf_ringbuf_submit(record, 0) };
    if flags & FLAG_BYTES_LOST == 0 { Outcome::Whole } else { Outcome::Unreadable }
}

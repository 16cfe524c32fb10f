//! Copies what a reader received, out of its own buffers, into records.

use crate::kernel::probe;
use crate::maps::{Job, add, count_lost};
use crate::ring::{Outcome, put};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use core::mem::MaybeUninit;
use penstock_ebpf::{FLAG_BYTES_LOST, FLAG_FIRST, FLAG_GAP_BEFORE, PIECE_BYTES_MAX, PipeState, RecordHead};

/// Steps at the most, each a segment or a piece: a read of 1 MiB is 32 pieces. What is left then is lost, and counted.
const STEPS_MAX: u32 = 80;

/// `Job::buffers`: one buffer.
pub(crate) const ONE: u64 = 0;
/// `Job::buffers`: an array of `iovec` in the kernel's memory.
pub(crate) const KERNEL_ARRAY: u64 = 1;
/// `Job::buffers`: an array of `iovec` in the process's memory.
pub(crate) const USER_ARRAY: u64 = 2;
/// `Job::buffers`: pages, the kernel's own memory: not to be read here.
pub(crate) const OTHERS: u64 = 3;

/// A field of the job, read anew each time: what the verifier knows of it then does not depend on how it came there. Else
/// it would follow every way through every step of the loop.
macro_rules! get {
    ($job:ident.$($field:ident).+) => {
        // SAFETY: `$job` is a map value, which lives as long as the program runs.
        unsafe { core::ptr::read_volatile(&raw const (*$job).$($field).+) }
    };
}
macro_rules! set {
    ($job:ident.$($field:ident).+, $value:expr) => {{
        let value = $value;
        // SAFETY: as for `get`.
        unsafe { core::ptr::write_volatile(&raw mut (*$job).$($field).+, value) }
    }};
}

#[inline(always)]
fn segment(buffers: u64, pointer: u64) -> Option<[u64; 2]> {
    if buffers == KERNEL_ARRAY {
        return probe(pointer, 0);
    }
    let mut segment = MaybeUninit::<[u64; 2]>::uninit();
    // SAFETY: the helper checks the source, and the destination is of the size told.
    let result = unsafe { bpf_probe_read_user(segment.as_mut_ptr().cast(), 16, pointer as *const _) };
    // SAFETY: the helper has written all of it.
    (result == 0).then(|| unsafe { segment.assume_init() })
}

/// Puts all of what a job describes into the ring, at the pipe's sequence, and moves that on by as many bytes, carried or
/// not. Cookie, time, `FLAG_FIRST`, buffers, pointer, segments, bytes to skip in the first and `left` are the caller's to set.
/// Gives how many bytes were left out, as they are in too many pieces or their place is not known.
#[inline(always)]
pub(crate) fn copy(state: *mut PipeState, job: *mut Job) -> u64 {
    // SAFETY: `state` is a value of `PIPES`, here and below.
    let (sequence, written_ns) = unsafe { ((*state).sequence, (*state).written_ns) };
    set!(job.head.sequence, sequence);
    set!(job.head.written_ns, written_ns);
    // SAFETY: as above.
    let (unseen, told) = unsafe { ((*state).unseen, (*state).told) };
    set!(job.unseen, unseen);
    set!(job.head.flags, if unseen == told { get!(job.head.flags) } else { FLAG_GAP_BEFORE });
    let bytes = get!(job.left);
    // SAFETY: as above.
    add(unsafe { &raw mut (*state).sequence }, bytes);
    let skip = get!(job.skip);
    set!(job.here, get!(job.pointer).wrapping_add(skip));
    set!(job.room, if get!(job.buffers) == ONE { bytes } else { 0 });
    let mut step = 0;
    while step < STEPS_MAX && advance(state, job) {
        step += 1;
    }
    let left = get!(job.left);
    if left > 0 {
        set!(job.head.length, left as u32);
        set!(job.head.flags, get!(job.head.flags) | FLAG_BYTES_LOST);
        put_counted(state, job, 0);
    }
    left
}

/// Takes the next segment, or puts the next piece. False: there is nothing more to do.
#[inline(always)]
fn advance(state: *mut PipeState, job: *mut Job) -> bool {
    let (left, room, buffers) = (get!(job.left), get!(job.room), get!(job.buffers));
    if left == 0 || buffers == OTHERS {
        return false;
    }
    if room == 0 {
        let (segments, pointer, skip) = (get!(job.segments), get!(job.pointer), get!(job.skip));
        if segments == 0 {
            return false;
        }
        let Some([base, length]) = segment(buffers, pointer) else { return false };
        set!(job.segments, segments - 1);
        set!(job.pointer, pointer + 16);
        set!(job.here, base.wrapping_add(skip));
        set!(job.room, length.saturating_sub(skip));
        set!(job.skip, 0);
        return true;
    }
    let piece = room.min(left).min(PIECE_BYTES_MAX as u64);
    let here = get!(job.here);
    set!(job.head.length, piece as u32);
    set!(job.here, here.wrapping_add(piece));
    set!(job.room, room - piece);
    set!(job.left, left - piece);
    put_counted(state, job, here);
    set!(job.head.sequence, get!(job.head.sequence).wrapping_add(get!(job.head.length) as u64));
    true
}

/// Puts one record, and counts what is in none. Once one was in the ring, the gap before it has been told.
#[inline(always)]
fn put_counted(state: *mut PipeState, job: *mut Job, from: u64) {
    let head = RecordHead {
        cookie: get!(job.head.cookie),
        sequence: get!(job.head.sequence),
        read_ns: get!(job.head.read_ns),
        written_ns: get!(job.head.written_ns),
        length: get!(job.head.length),
        flags: get!(job.head.flags),
    };
    let outcome = put(&head, from);
    if outcome != Outcome::Whole {
        count_lost(state, get!(job.head.length) as u64, outcome == Outcome::NoRoom);
    }
    if outcome != Outcome::NoRoom {
        set!(job.head.flags, get!(job.head.flags) & !(FLAG_GAP_BEFORE | FLAG_FIRST));
        let unseen = get!(job.unseen);
        // SAFETY: `state` is a value of `PIPES`.
        unsafe { (*state).told = unseen };
    }
}

//! `fexit` of the pipe's read function: copies what the reader has just received.
//!
//! Two reads of one pipe at once: which of them took its bytes first, nobody can say. Neither is copied, and a gap is
//! told.

use crate::copy::{OTHERS, copy};
use crate::cursor::{Ring, between};
use crate::kernel::{load, offset};
use crate::maps::{PIPES, READS, Read, add};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use aya_log_ebpf::warn;
use penstock_ebpf::{FLAG_FIRST, PipeState};

/// `ssize_t pipe_read(struct kiocb *, struct iov_iter *)`
#[fexit]
fn pipe_read_exit(context: FExitContext) -> i32 {
    let task = bpf_get_current_pid_tgid();
    let Some(read) = READS.get_ptr_mut(&task) else { return 0 };
    // SAFETY: a value of `READS`, which this task alone writes.
    let (key, cookie, file) = unsafe { ((*read).key, (*read).cookie, (*read).file) };
    // Before the comparison below: what is known to equal a number from a map is a mere number for the compiler, and the
    // verifier takes no load through it.
    // SAFETY: typed loads from the arguments on.
    let (file_now, pipe, room) = unsafe {
        let file: u64 = load(context.arg(0), offset!(kiocb_file));
        let inode = load(file, offset!(file_inode));
        (file, load(inode, offset!(inode_pipe)), load(context.arg(1), offset!(iter_count)))
    };
    let count: i64 = context.arg(2);
    if let Some(state) = PIPES.get_ptr_mut(&key) {
        // Another following, or another file: what was saved is not of this read.
        // SAFETY: `state` is a value of `PIPES`, here and below.
        if file_now == file && unsafe { (*state).cookie } == cookie {
            if count > 0 && received(state, read, pipe, count as u64, room) > 0 {
                warn!(&context, "bytes left a followed pipe, and cannot be copied; process {} took them", task >> 32);
            }
            // SAFETY: as above.
            add(unsafe { &raw mut (*state).exits }, 1);
        }
    }
    let _gone = READS.remove(&task);
    0
}

/// The reader got `bytes`, at least one; its iterator has room for `room` more. Gives how many were not found, as [`copy`].
#[inline(always)]
fn received(state: *mut PipeState, read: *mut Read, pipe: u64, bytes: u64, room: u64) -> u64 {
    // SAFETY: `state` is a value of `PIPES` and `read` one of `READS`, here and below.
    let (entries, saved) = unsafe { (core::ptr::read_volatile(&raw const (*state).entries), &mut *read) };
    let is_mixed = saved.is_mixed != 0 || entries != saved.entry;
    let Some(ring) = Ring::probe(pipe) else { return 0 };
    let cursor = ring.cursor();
    // Who found the pipe empty may have waited for long, while others took bytes out in other ways than `read`.
    let was_empty = saved.cursor as u32 == PipeState::CURSOR_EMPTY;
    let is_other = was_empty && between(&ring, pipe, saved.cursor, cursor).is_some_and(|moved| moved != bytes);
    if is_mixed || is_other {
        // SAFETY: as above.
        add(unsafe { &raw mut (*state).unseen }, 1);
    }
    if is_mixed {
        return 0;
    }
    // SAFETY: as above.
    unsafe { (*state).cursor = cursor };
    // After a fault the iterator has moved further than what was received: then it is not known where the bytes are.
    if room.wrapping_add(bytes) != saved.count {
        saved.job.buffers = OTHERS;
    }
    // A pipe begins at slot 0, offset 0, and is empty there until it is written to.
    let is_at_start = saved.cursor == 0 || saved.cursor == PipeState::CURSOR_EMPTY as u64;
    // SAFETY: as above.
    let is_first = is_at_start && !is_other && unsafe { (*state).sequence } == 0;
    saved.job.head.flags = if is_first { FLAG_FIRST } else { 0 };
    saved.job.left = bytes;
    // SAFETY: the helper takes nothing.
    saved.job.head.read_ns = unsafe { bpf_ktime_get_ns() };
    copy(state, &raw mut saved.job)
}

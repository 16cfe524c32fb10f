//! `fexit` of the pipe's read function: copies what the reader has just received.
//!
//! Two reads of one pipe at once: which of them took its bytes first, nobody can say. Neither is copied, and a gap is
//! told.

use crate::copy::{Buffers, Received, copy};
use crate::cursor::{Ring, is_certainly_other};
use crate::hooks::pipe_read_entry::iterator;
use crate::kernel::{load, offset, probe};
use crate::maps::{PIPES, READS, Read, add};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use penstock_ebpf::PipeState;

/// `ssize_t pipe_read(struct kiocb *, struct iov_iter *)`
#[fexit]
fn pipe_read_exit(context: FExitContext) -> i32 {
    let task = bpf_get_current_pid_tgid();
    let Some(saved) = READS.get_ptr(&task) else { return 0 };
    // SAFETY: a value of `READS`, which this task alone writes.
    let saved = unsafe { *saved };
    // SAFETY: the first argument of a program with BTF.
    let file: u64 = unsafe { load(context.arg(0), offset!(kiocb_file)) };
    let count: i64 = context.arg(2);
    if let Some(state) = PIPES.get_ptr_mut(&saved.key) {
        // SAFETY: `state` is a value of `PIPES`. Another following, or another file: what was saved is not of this read.
        if file == saved.file && unsafe { (*state).cookie } == saved.cookie {
            // SAFETY: arguments of a program with BTF.
            let (iter, file) = unsafe { (iterator(context.arg(1)), file) };
            if count > 0 {
                // SAFETY: typed loads from the argument on.
                let pipe: u64 = unsafe { load(load(file, offset!(file_inode)), offset!(inode_pipe)) };
                received(state, &saved, pipe, count as u64, iter.4);
            }
            // SAFETY: as above.
            add(unsafe { &raw mut (*state).exits }, 1);
        }
    }
    let _gone = READS.remove(&task);
    0
}

/// The reader got `bytes`, at least one; its iterator has room for `room` more.
#[inline(always)]
fn received(state: *mut PipeState, saved: &Read, pipe: u64, bytes: u64, room: u64) {
    // SAFETY: `state` is a value of `PIPES`, here and below.
    let is_mixed =
        saved.is_mixed != 0 || unsafe { core::ptr::read_volatile(&raw const (*state).entries) } != saved.entry;
    let Some(ring) = Ring::probe(pipe) else { return };
    let cursor = ring.cursor();
    // Who found the pipe empty may have waited for long, while others took bytes out in other ways than `read`.
    let is_other = saved.cursor as u32 == PipeState::CURSOR_EMPTY
        && is_certainly_other(&ring, saved.cursor, cursor, bytes, || {
            probe(pipe, offset!(pipe_head)).unwrap_or(ring.tail.wrapping_add(ring.slots))
        });
    if is_mixed || is_other {
        // SAFETY: as above.
        add(unsafe { &raw mut (*state).unseen }, 1);
    }
    if is_mixed {
        return;
    }
    // SAFETY: as above.
    unsafe { (*state).cursor = cursor };
    let buffers = match saved.kind {
        // After a fault it has moved further than what was received: then it is not known where the bytes are.
        _ if room.wrapping_add(bytes) != saved.count => Buffers::Others,
        kind if kind == offset!(kind_one) => Buffers::One,
        kind if kind == offset!(kind_array) => Buffers::KernelArray,
        _ => Buffers::Others,
    };
    let received = Received { buffers, pointer: saved.pointer, segments: saved.segments, skip: saved.skip, bytes };
    copy(state, saved.cookie, bpf_ktime_get_ns_now(), &received);
}

#[inline(always)]
fn bpf_ktime_get_ns_now() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_ns() }
}

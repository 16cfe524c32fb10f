//! `fentry` of the pipe's read function (`anon_pipe_read`, before 6.15 `pipe_read`): whether bytes left since the last
//! read, and where this one will put what it gets. At exit the iterator has moved on.

use crate::copy::{KERNEL_ARRAY, ONE, OTHERS};
use crate::cursor::Ring;
use crate::kernel::{load, offset, pipe_of, probe};
use crate::maps::{Job, PIPES, READS, Read, add};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;
use aya_log_ebpf::warn;
use penstock_ebpf::{PipeState, RecordHead};

/// `ssize_t pipe_read(struct kiocb *, struct iov_iter *)`
#[fentry]
fn pipe_read_entry(context: FEntryContext) -> i32 {
    // SAFETY: the first argument of a program with BTF.
    let (file, inode, key) = unsafe { pipe_of(context.arg(0)) };
    let Some(state) = PIPES.get_ptr_mut(&key) else { return 0 };
    let task = bpf_get_current_pid_tgid();
    // SAFETY: `state` is a value of `PIPES`, here and below.
    let (cookie, before, reader) = unsafe { ((*state).cookie, (*state).cursor, (*state).reader) };
    if let Some(left_over) = READS.get_ptr(&task) {
        // The end of this task's last read was not seen: the kernel skipped the program.
        // SAFETY: a value of `READS`.
        if unsafe { (*left_over).cookie } == cookie {
            // SAFETY: as above.
            add(unsafe { &raw mut (*state).exits }, 1);
        }
        // SAFETY: as above.
        add(unsafe { &raw mut (*state).unseen }, 1);
    }
    // On x86-64 this is a full barrier: of two reads that begin at once, each finds itself alone only if the other one
    // then finds a number that has changed.
    // SAFETY: as above.
    add(unsafe { &raw mut (*state).entries }, 1);
    // SAFETY: as above.
    let (entry, exits) = unsafe { (read(&raw const (*state).entries), read(&raw const (*state).exits)) };
    let is_mixed = entry.wrapping_sub(exits) != 1 || task >> 32 != reader;
    let cursor = look(state, inode, before, is_mixed);
    // SAFETY: the second argument of a program with BTF.
    let (job, count) = unsafe { iterator(context.arg(1), cookie) };
    let is_mixed = is_mixed.into();
    let saved = Read { key, cookie, file, entry, cursor, count, is_mixed, job };
    if READS.insert(&task, &saved, 0).is_err() {
        // SAFETY: as above.
        add(unsafe { &raw mut (*state).exits }, 1);
        // SAFETY: as above.
        add(unsafe { &raw mut (*state).unseen }, 1);
        warn!(
            &context,
            "more reads of followed pipes at once than there is room for; one by process {} is left out",
            task >> 32
        );
    }
    0
}

/// Where the pipe is read up to now. Notes that bytes left unseen, or may leave so.
#[inline(always)]
fn look(state: *mut PipeState, inode: u64, before: u64, is_mixed: bool) -> u64 {
    // SAFETY: typed loads from the argument on.
    let ring = unsafe {
        let pipe: u64 = load(inode, offset!(inode_pipe));
        Ring {
            tail: load(pipe, offset!(pipe_tail)),
            head: load(pipe, offset!(pipe_head)),
            slots: load(pipe, offset!(pipe_slots)),
            // Not a typed load: the verifier lets no variable be added to such a pointer.
            buffers: probe(pipe, offset!(pipe_buffers)).unwrap_or(0),
        }
    };
    let cursor = ring.cursor();
    if is_mixed || ring.has_moved(before, cursor) {
        // SAFETY: `state` is a value of `PIPES`.
        add(unsafe { &raw mut (*state).unseen }, 1);
    }
    cursor
}

/// A load that is not moved before the addition above it.
///
/// # Safety
/// `count` must be a field of a map value.
#[inline(always)]
unsafe fn read(count: *const u64) -> u64 {
    // SAFETY: the caller says so.
    unsafe { core::ptr::read_volatile(count) }
}

/// What the iterator says of the buffers, and for how many bytes they have room.
///
/// # Safety
/// `iter` must be an argument of a program with BTF.
#[inline(always)]
unsafe fn iterator(iter: u64, cookie: u64) -> (Job, u64) {
    // SAFETY: typed loads from the argument on.
    let (kind, pointer, segments, skip) = unsafe {
        let kind = match offset!(iter_kind_bytes) {
            // The lowest bit is the direction.
            4 => load::<u32>(iter, offset!(iter_kind)) as u64 & !1,
            _ => load::<u8>(iter, offset!(iter_kind)) as u64,
        };
        (kind, load(iter, offset!(iter_pointer)), load(iter, offset!(iter_segments)), load(iter, offset!(iter_skip)))
    };
    let buffers = match kind {
        kind if kind == offset!(kind_one) => ONE,
        kind if kind == offset!(kind_array) => KERNEL_ARRAY,
        _ => OTHERS,
    };
    let head = RecordHead { cookie, sequence: 0, read_ns: 0, written_ns: 0, length: 0, flags: 0 };
    let job = Job { head, unseen: 0, buffers, pointer, segments, skip, left: 0, here: 0, room: 0 };
    // SAFETY: as above.
    (job, unsafe { load(iter, offset!(iter_count)) })
}

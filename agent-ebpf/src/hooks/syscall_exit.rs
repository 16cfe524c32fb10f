//! `tp_btf` or `raw_tp` on `sys_exit`: the reads of the runtime's processes, where the pipe's own functions cannot be
//! hooked. Every other call leaves by its number, every other process after one look-up; but the tracepoint itself is a tax
//! on every system call of the node.
//!
//! At exit the registers still hold descriptor and buffer. What this cannot see: which pipe the descriptor named when
//! the read began, if another thread has given the number away meanwhile; bytes that left the pipe unseen, where a writer
//! has already filled the slots again from which they came; reads through io_uring, until the next read.

use crate::copy::{ONE, OTHERS, USER_ARRAY, copy};
use crate::cursor::{Ring, between};
use crate::kernel::{load, offset, probe, word};
use crate::maps::{JOBS, Job, PIPES, READERS, add};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_ns};
use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};
use aya_log_ebpf::warn;
use penstock_ebpf::{FLAG_FIRST, INODE_WORDS, PipeKey, PipeState, RecordHead};

/// `sys_exit(struct pt_regs *, long)`
#[btf_tracepoint(function = "sys_exit")]
fn syscall_exit_btf(context: BtfTracePointContext) -> i32 {
    let (regs, result): (u64, i64) = (context.arg(0), context.arg(1));
    // SAFETY: the first argument of a program with BTF.
    let number: u32 = unsafe { load(regs, offset!(regs_number)) };
    if result > 0
        && let Some(buffers) = buffers(number)
        && is_reader()
    {
        // SAFETY: as above.
        let arguments = unsafe {
            [load(regs, offset!(regs_first)), load(regs, offset!(regs_second)), load(regs, offset!(regs_third))]
        };
        if returned(arguments, buffers, result as u64).is_some_and(|left_out| left_out > 0) {
            let reader = bpf_get_current_pid_tgid() >> 32;
            warn!(&context, "bytes left a followed pipe, and cannot be copied; process {} took them", reader);
        }
    }
    0
}

/// `sys_exit(struct pt_regs *, long)`
#[raw_tracepoint(tracepoint = "sys_exit")]
fn syscall_exit_raw(context: RawTracePointContext) -> i32 {
    let context_words = context.as_ptr().cast::<u64>();
    // SAFETY: a raw tracepoint's context is an array of its arguments.
    let (regs, result) = unsafe { (*context_words, *context_words.add(1) as i64) };
    if result > 0
        && let Some(buffers) = probe(regs, offset!(regs_number)).and_then(buffers)
        && is_reader()
        && let Some(arguments) = arguments(regs)
    {
        if returned(arguments, buffers, result as u64).is_some_and(|left_out| left_out > 0) {
            let reader = bpf_get_current_pid_tgid() >> 32;
            warn!(&context, "bytes left a followed pipe, and cannot be copied; process {} took them", reader);
        }
    }
    0
}

/// Of a system call, where its registers are mere bytes.
#[inline(always)]
fn arguments(regs: u64) -> Option<[u64; 3]> {
    Some([probe(regs, offset!(regs_first))?, probe(regs, offset!(regs_second))?, probe(regs, offset!(regs_third))?])
}

#[inline(always)]
fn is_reader() -> bool {
    READERS.get_ptr(&((bpf_get_current_pid_tgid() >> 32) as u32)).is_some()
}

/// Where a system call of this number puts what it reads; `None` where it reads nothing from a pipe.
#[inline(always)]
fn buffers(number: u32) -> Option<u64> {
    match number as u64 {
        number if number == offset!(call_read) => Some(ONE),
        number if number == offset!(call_readv) => Some(USER_ARRAY),
        number if number == offset!(call_preadv2) => Some(USER_ARRAY),
        number if number == offset!(call_splice) || number == offset!(call_vmsplice) => Some(OTHERS),
        _ => None,
    }
}

/// A system call of a reader gave back `result`, which is positive. Gives how many bytes left a followed pipe and could not
/// be copied.
#[inline(always)]
fn returned([descriptor, pointer, segments]: [u64; 3], buffers: u64, result: u64) -> Option<u64> {
    let (pipe, key) = pipe_at(descriptor)?;
    let state = PIPES.get_ptr_mut(&key)?;
    // SAFETY: `state` is a value of `PIPES`, here and below.
    let (cookie, before, reader) = unsafe { ((*state).cookie, (*state).cursor, (*state).reader) };
    if reader != bpf_get_current_pid_tgid() >> 32 {
        // The cursor shows it at the next read of the one who should.
        return None;
    }
    if buffers == OTHERS {
        // Bytes left to elsewhere.
        // SAFETY: as above.
        add(unsafe { &raw mut (*state).unseen }, 1);
        // SAFETY: as above.
        unsafe { (*state).cursor = PipeState::CURSOR_UNKNOWN as u64 };
        return Some(result);
    }
    let ring = Ring::probe(pipe)?;
    let cursor = ring.cursor();
    // A pipe begins at slot 0, offset 0.
    let is_new = before == PipeState::CURSOR_UNKNOWN as u64;
    let moved = between(&ring, pipe, if is_new { 0 } else { before }, cursor);
    let flags = if is_new && moved == Some(result) { FLAG_FIRST } else { 0 };
    if !is_new && moved.is_some_and(|moved| moved != result) {
        // SAFETY: as above.
        add(unsafe { &raw mut (*state).unseen }, 1);
    }
    // SAFETY: as above.
    unsafe { (*state).cursor = cursor };
    // SAFETY: the helper takes nothing.
    let read_ns = unsafe { bpf_ktime_get_ns() };
    let job = JOBS.get_ptr_mut(0)?;
    let head = RecordHead { cookie, sequence: 0, read_ns, written_ns: 0, length: 0, flags };
    // SAFETY: a value of `JOBS`, this processor's own.
    unsafe { job.write(Job { head, unseen: 0, buffers, pointer, segments, skip: 0, left: result, here: 0, room: 0 }) };
    Some(copy(state, job))
}

/// The pipe at a descriptor of the current process, if it is one.
#[inline(always)]
fn pipe_at(descriptor: u64) -> Option<(u64, PipeKey)> {
    let (length, place) = descriptors()?;
    let descriptor = descriptor & 0xffff_ffff;
    if descriptor >= length as u64 {
        return None;
    }
    let file: u64 = probe(place, descriptor * 8)?;
    let inode: u64 = probe(file, offset!(file_inode))?;
    let words: [u64; INODE_WORDS] = probe(inode, offset!(inode_super))?;
    let number = word(&words, offset!(inode_number) - offset!(inode_super));
    let device = probe::<u32>(words[0], offset!(super_device))? as u64;
    Some((probe(inode, offset!(inode_pipe))?, PipeKey { inode: number, device }))
}

/// The current process's table of descriptors: how many, and where.
#[inline(always)]
fn descriptors() -> Option<(u32, u64)> {
    if offset!(task_helper) != 0 {
        // SAFETY: the helper takes nothing, and what it gives has a type that the verifier knows; so have the next two.
        return Some(unsafe {
            let task = bpf_get_current_task_btf() as u64;
            let table: u64 = load(load(task, offset!(task_files)), offset!(files_table));
            (load(table, offset!(table_length)), load(table, offset!(table_files)))
        });
    }
    // SAFETY: the helper takes nothing.
    let task = unsafe { bpf_get_current_task() };
    let table: u64 = probe(probe(task, offset!(task_files))?, offset!(files_table))?;
    Some((probe(table, offset!(table_length))?, probe(table, offset!(table_files))?))
}

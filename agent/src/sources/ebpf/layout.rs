//! Where things are in the running kernel's structures, as its programs need it.
//!
//! In: the kernel's types. Out: the global that the programs read. Never: a guess; what is not found refuses the hook,
//! in words.

use super::btf::Types;
use penstock_ebpf::{
    INODE_WORDS, Offsets, RING_SLOTS_AFTER_HEAD, RING_TAIL_AFTER_HEAD, RING_WORDS, SLOT_FLAGS_AFTER_OFFSET,
    SLOT_LENGTH_AFTER_OFFSET,
};

/// A member that this kernel does not have where it was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this kernel's BTF has no `{structure}.{member}` as expected")]
pub(super) struct Unknown {
    structure: &'static str,
    member: &'static str,
}

/// Registers and numbers of system calls: fixed by the architecture's ABI.
struct Calls {
    number: &'static str,
    arguments: [u32; 3],
    read: u32,
    readv: u32,
    preadv2: u32,
    splice: u32,
    vmsplice: u32,
}

/// `struct pt_regs` of x86-64: `orig_ax`, `di`, `si`, `dx`; it is part of the ABI of `ptrace`.
#[cfg(target_arch = "x86_64")]
const CALLS: Calls = Calls {
    number: "orig_ax",
    arguments: [112, 104, 96],
    read: 0,
    readv: 19,
    preadv2: 327,
    splice: 275,
    vmsplice: 278,
};

/// `struct pt_regs` of arm64: the first argument stays in `orig_x0` when `x0` holds the result.
#[cfg(not(target_arch = "x86_64"))]
const CALLS: Calls =
    Calls { number: "syscallno", arguments: [272, 8, 16], read: 63, readv: 65, preadv2: 286, splice: 76, vmsplice: 75 };

/// Everything that the programs need to know.
///
/// # Errors
/// A structure or member is missing.
pub(super) fn find(types: &Types<'_>) -> Result<Offsets, Unknown> {
    let at = |structure, member| types.offset(structure, member).ok_or(Unknown { structure, member });
    let either = |structure, [new, old]: [&'static str; 2]| at(structure, new).or_else(|_| at(structure, old));
    let (iter_kind, iter_kind_bytes) = match types.offset("iov_iter", "iter_type") {
        Some(offset) => (offset, 1),
        None => (at("iov_iter", "type")?, 4),
    };
    let kind_array = types.value("ITER_IOVEC").ok_or(Unknown { structure: "iter_type", member: "ITER_IOVEC" })?;
    check_distances(at)?;
    let [regs_first, regs_second, regs_third] = CALLS.arguments;
    Ok(Offsets {
        kiocb_file: at("kiocb", "ki_filp")?,
        file_inode: at("file", "f_inode")?,
        inode_number: at("inode", "i_ino")?,
        inode_super: at("inode", "i_sb")?,
        inode_pipe: at("inode", "i_pipe")?,
        super_device: at("super_block", "s_dev")?,
        pipe_head: at("pipe_inode_info", "head")?,
        pipe_tail: at("pipe_inode_info", "tail")?,
        pipe_slots: at("pipe_inode_info", "ring_size")?,
        pipe_buffers: at("pipe_inode_info", "bufs")?,
        task_helper: types.value("BPF_FUNC_get_current_task_btf").unwrap_or(0),
        buffer_bytes: types.size("pipe_buffer").ok_or(Unknown { structure: "pipe_buffer", member: "offset" })?,
        buffer_offset: at("pipe_buffer", "offset")?,
        iter_kind,
        iter_kind_bytes,
        iter_pointer: either("iov_iter", ["__iov", "iov"])?,
        iter_segments: at("iov_iter", "nr_segs")?,
        iter_skip: at("iov_iter", "iov_offset")?,
        iter_count: at("iov_iter", "count")?,
        kind_one: types.value("ITER_UBUF").unwrap_or(u32::MAX),
        kind_array,
        task_files: at("task_struct", "files")?,
        files_table: at("files_struct", "fdt")?,
        table_length: at("fdtable", "max_fds")?,
        table_files: at("fdtable", "fd")?,
        regs_number: at("pt_regs", CALLS.number)?,
        regs_first,
        regs_second,
        regs_third,
        call_read: CALLS.read,
        call_readv: CALLS.readv,
        call_preadv2: CALLS.preadv2,
        call_splice: CALLS.splice,
        call_vmsplice: CALLS.vmsplice,
    })
}

/// The programs get members that stand near each other at once.
fn check_distances(at: impl Fn(&'static str, &'static str) -> Result<u32, Unknown>) -> Result<(), Unknown> {
    let fixed = [
        ("pipe_buffer", "offset", "flags", SLOT_FLAGS_AFTER_OFFSET),
        ("pipe_buffer", "offset", "len", SLOT_LENGTH_AFTER_OFFSET),
        ("pipe_inode_info", "head", "tail", RING_TAIL_AFTER_HEAD),
        ("pipe_inode_info", "head", "ring_size", RING_SLOTS_AFTER_HEAD),
    ];
    for (structure, first, member, distance) in fixed {
        if at(structure, member)?.checked_sub(at(structure, first)?) != Some(distance) {
            return Err(Unknown { structure, member });
        }
    }
    for (structure, first, member, words) in
        [("pipe_inode_info", "head", "bufs", RING_WORDS), ("inode", "i_sb", "i_ino", INODE_WORDS)]
    {
        let distance = at(structure, member)?.checked_sub(at(structure, first)?);
        if !distance.is_some_and(|bytes| bytes % 8 == 0 && (bytes as usize) < words * 8) {
            return Err(Unknown { structure, member });
        }
    }
    Ok(())
}

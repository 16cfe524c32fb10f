//! How many runs of a program the kernel skipped: `recursion_misses` of `struct bpf_prog_info`, since 5.12.
//!
//! In: a program's descriptor. Out: the count; 0 where the kernel does not count (5.10 runs these programs with preemption
//! off). Never: a change.

use std::os::fd::{AsRawFd, BorrowedFd};

const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
/// `struct bpf_prog_info` up to `recursion_misses` (and its end, rounded up), in 64-bit words.
const INFO_WORDS: usize = 28;
const RECURSION_MISSES: usize = 26;

/// `union bpf_attr` for this command.
#[repr(C)]
struct Ask {
    descriptor: u32,
    info_bytes: u32,
    info: u64,
}

/// The count of one program.
///
/// # Errors
/// The kernel did not answer.
pub(super) fn count(program: BorrowedFd<'_>) -> std::io::Result<u64> {
    let mut info = [0_u64; INFO_WORDS];
    let descriptor = u32::try_from(program.as_raw_fd()).unwrap_or(u32::MAX);
    let info_bytes = u32::try_from(size_of_val(&info)).unwrap_or(0);
    let mut ask = Ask { descriptor, info_bytes, info: info.as_mut_ptr() as u64 };
    // SAFETY: the kernel writes at most `info_bytes` to `info`, which lives until after the call, and reads and writes
    // `ask`, whose size is told.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw mut ask, size_of::<Ask>()) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(info.get(RECURSION_MISSES).copied().unwrap_or(0)) }
}

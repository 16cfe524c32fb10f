//! `fentry` of the pipe's write function (`anon_pipe_write`, before 6.15 `pipe_write`): when a write began. Nothing else,
//! as the application pays for it.

use crate::kernel::pipe_of;
use crate::maps::PIPES;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;

/// `ssize_t pipe_write(struct kiocb *, struct iov_iter *)`
#[fentry]
fn pipe_write_entry(context: FEntryContext) -> i32 {
    // SAFETY: the first argument of a program with BTF.
    let (_, _, key) = unsafe { pipe_of(context.arg(0)) };
    if let Some(state) = PIPES.get_ptr_mut(&key) {
        // SAFETY: `state` is a value of `PIPES`.
        unsafe { (*state).written_ns = bpf_ktime_get_ns() };
    }
    0
}

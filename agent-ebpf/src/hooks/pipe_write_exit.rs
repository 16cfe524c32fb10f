//! `fexit` of the pipe's write function: how many bytes the pipe took. Nothing is copied here.

use crate::kernel::pipe_of;
use crate::maps::{PIPES, add};
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;

/// `ssize_t pipe_write(struct kiocb *, struct iov_iter *)`
#[fexit]
fn pipe_write_exit(context: FExitContext) -> i32 {
    let count: i64 = context.arg(2);
    if count <= 0 {
        return 0;
    }
    // SAFETY: the first argument of a program with BTF.
    let (_, _, key) = unsafe { pipe_of(context.arg(0)) };
    if let Some(state) = PIPES.get_ptr_mut(&key) {
        // SAFETY: `state` is a value of `PIPES`.
        add(unsafe { &raw mut (*state).written_bytes }, count as u64);
    }
    0
}

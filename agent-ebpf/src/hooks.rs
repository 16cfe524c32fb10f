//! The hooks, one a file.

mod pipe_read_entry;
mod pipe_read_exit;
mod pipe_write_entry;
mod pipe_write_exit;
mod syscall_exit;

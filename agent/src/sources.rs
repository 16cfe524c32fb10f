//! The witnesses: where bytes come from. The file source is the ledger; the kernel source is to stand beside it
//! and to give its fragments to the same rooms (see ARCHITECTURE.md, "The door for the kernel source").

pub mod ebpf;
pub mod file;

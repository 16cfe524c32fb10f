//! The witnesses: where bytes come from. The kernel source sees them first; the file source is the ledger that proves that
//! nothing was missed.

pub mod ebpf;
pub mod file;

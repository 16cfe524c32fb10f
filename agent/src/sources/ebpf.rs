//! The kernel source: what containers write to their pipes, seen where it leaves them.
//!
//! In: the kernel's ring of capture records. Out: fragments and pipe events, through [`tap::Tap`]. Never: a byte that
//! did not leave the pipe at that place, or back-pressure on who wrote it.

pub mod pipes;
pub mod tap;

//! The kernel source: what containers write to their pipes, seen where it leaves them.
//!
//! In: the kernel's ring of capture records. Out: fragments and pipe events, through [`tap::Tap`]. Never: a byte that
//! did not leave the pipe at that place, or back-pressure on who wrote it.

pub mod btf;
pub mod decode;
mod doubt;
pub mod kernel;
mod layout;
mod misses;
pub mod pipes;
mod refusal;
mod self_test;
pub mod shared;
mod source;
pub mod tap;

pub use kernel::Kernel;
pub use refusal::Refused;
pub use source::EbpfSource;

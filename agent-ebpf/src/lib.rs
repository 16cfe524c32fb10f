//! What the kernel side and the agent say to each other: capture records, and what the maps hold.
//!
//! A record says whose bytes it carries, where they belong in the std stream, and how many follow. The programs that
//! write such records are in the binary of this package (`main.rs`), which is built for the BPF target only (`cargo xtask
//! ebpf`); the agent's room `sources::ebpf` reads them. Fixed-size fields only, no padding, no pointers.
#![no_std]

mod abi;

pub use abi::counts::Counts;
pub use abi::offsets::{
    INODE_WORDS, Offsets, RING_SLOTS_AFTER_HEAD, RING_TAIL_AFTER_HEAD, RING_WORDS, SLOT_FLAGS_AFTER_OFFSET,
    SLOT_LENGTH_AFTER_OFFSET,
};
pub use abi::pipe::{PipeKey, PipeState};
pub use abi::record::{FLAG_BYTES_LOST, FLAG_FIRST, FLAG_GAP_BEFORE, FLAGS_KNOWN, PIECE_BYTES_MAX, RecordHead};

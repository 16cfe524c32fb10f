//! The maps, and the offsets that the agent sets before it loads the programs.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray, RingBuf};
use core::arch::asm;
use penstock_ebpf::{Counts, Offsets, PipeKey, PipeState, RecordHead};

/// Followed pipes at the most: 250 containers are usual, two pipes each.
const PIPES_MAX: u32 = 16_384;
/// Tasks that read followed pipes at one moment, and processes that read any, at the most.
const TASKS_MAX: u32 = 16_384;
/// The agent sets the size when it loads the programs.
const RING_BYTES: u32 = 1 << 20;

/// Where things are in this kernel's structures.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::NONE;

/// The pipes that are followed. Nothing is ever evicted.
#[map]
pub(crate) static PIPES: HashMap<PipeKey, PipeState> = HashMap::with_max_entries(PIPES_MAX, 0);

/// The reads of followed pipes that are under way, by task. From 6.1 such a program may be preempted, so nothing here is
/// kept per processor.
#[map]
pub(crate) static READS: HashMap<u64, Read> = HashMap::with_max_entries(TASKS_MAX, 0);

/// The processes (thread groups) that read followed pipes: the value is how many.
#[map]
pub(crate) static READERS: HashMap<u32, u32> = HashMap::with_max_entries(TASKS_MAX, 0);

/// The records.
#[map]
pub(crate) static RING: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// What each processor counted.
#[map]
pub(crate) static COUNTS: PerCpuArray<Counts> = PerCpuArray::with_max_entries(1, 0);

/// Room for the job of the program on `sys_exit`: it runs on a processor once at a time (where it can be preempted, the kernel
/// skips a second run). That of a read's end is in `READS`.
#[map]
pub(crate) static JOBS: PerCpuArray<Job> = PerCpuArray::with_max_entries(1, 0);

/// What is to be copied, and how far that is done.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Job {
    /// The head of the next record.
    pub(crate) head: RecordHead,
    /// `PipeState::unseen` as it is told by this job.
    pub(crate) unseen: u64,
    /// Which kind of buffers.
    pub(crate) buffers: u64,
    /// To the buffer, or to the rest of the array.
    pub(crate) pointer: u64,
    /// Length of the rest of the array.
    pub(crate) segments: u64,
    /// Bytes to skip in the next segment.
    pub(crate) skip: u64,
    /// Bytes that are not copied yet.
    pub(crate) left: u64,
    /// Where the next byte is, and how many are there.
    pub(crate) here: u64,
    pub(crate) room: u64,
}

/// What is remembered of a read from its beginning to its end.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Read {
    pub(crate) key: PipeKey,
    pub(crate) cookie: u64,
    /// The file it reads from.
    pub(crate) file: u64,
    /// `PipeState::entries` with this read.
    pub(crate) entry: u64,
    /// Where the pipe was read up to.
    pub(crate) cursor: u64,
    /// Bytes that the iterator has room for.
    pub(crate) count: u64,
    /// Another read was under way when it began, or another process reads: its bytes cannot be placed.
    pub(crate) is_mixed: u64,
    /// The iterator as it was; at exit, what is to be copied.
    pub(crate) job: Job,
}

/// Adds to a count that others may add to at the same time. The old value is not asked for: 5.10 refuses that. (Rust has
/// no atomic addition for a target without compare-and-swap.)
#[inline(always)]
pub(crate) fn add(count: *mut u64, value: u64) {
    // SAFETY: `count` is an aligned field of a map value, which lives as long as the program runs.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) count, in(reg) value, options(nostack)) };
}

/// Counts bytes that are in no record.
#[inline(always)]
pub(crate) fn count_lost(state: *mut PipeState, bytes: u64, is_ring_full: bool) {
    // SAFETY: `state` is a value of `PIPES`.
    add(unsafe { &raw mut (*state).lost_bytes }, bytes);
    if let Some(counts) = COUNTS.get_ptr_mut(0) {
        // SAFETY: `counts` is a value of `COUNTS`.
        add(unsafe { &raw mut (*counts).lost_bytes }, bytes);
        if is_ring_full {
            // SAFETY: as above.
            add(unsafe { &raw mut (*counts).ring_full_records }, 1);
        }
    }
}

//! Every check that is made with a hook, in one list.
//!
//! In: a kernel source with that hook. Out: what was found. Never: a check that leaves a pipe followed.

use super::Finding;
use anyhow::Result;
use penstock::sources::ebpf::Kernel;

mod pressure;
mod spliced;
mod unseen;
mod written;

/// In which machine a check is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// As the kernel preempts by default.
    Usual,
    /// In that one, and where it preempts whatever runs in the kernel (`preempt=full`).
    Both,
}

/// One check.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) machine: Machine,
    /// Size of the ring.
    pub(super) ring_bytes: u32,
    pub(super) run: fn(&mut Kernel) -> Result<Finding>,
}

const RING_BYTES: u32 = 4 << 20;
const SMALL_RING_BYTES: u32 = 128 * 1024;

const fn usual(name: &'static str, run: fn(&mut Kernel) -> Result<Finding>) -> Check {
    Check { name, machine: Machine::Usual, ring_bytes: RING_BYTES, run }
}

/// In this order; those with the same ring stand together.
pub(super) const CHECKS: &[Check] = &[
    usual("write-1B-1MiB", written::sizes),
    usual("writev-1-40", written::segments),
    usual("short-nonblocking", written::short_and_nonblocking),
    usual("slow-reader", written::slow_reader),
    usual("readv-reader", written::readv_reader),
    usual("blocking-reader", written::blocking_reader),
    usual("8-processes", written::eight_processes),
    usual("fork-exec", written::fork_and_exec),
    usual("io_uring", written::io_uring),
    usual("killed-writer", written::killed_writer),
    usual("sendfile", spliced::sendfile_into),
    usual("splice-in", spliced::splice_into),
    usual("vmsplice-in", spliced::vmsplice_into),
    usual("second-reader", unseen::second_reader),
    usual("second-reader-race", unseen::second_reader_race),
    usual("splice-out", unseen::splice_out),
    usual("splicing-reader", unseen::splicing_reader),
    usual("followed-late", unseen::followed_while_it_waits),
    usual("followed-again", pressure::followed_again),
    usual("64-blocked", pressure::blocked_elsewhere),
    Check { machine: Machine::Both, ..usual("crowd", pressure::crowd) },
    Check { ring_bytes: SMALL_RING_BYTES, ..usual("small-ring", pressure::small_ring) },
];

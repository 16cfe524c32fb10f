//! The door of the kernel source: what the pipeline asks it, and what a simulated kernel answers as well.
//!
//! In: nothing. Out: pipe events and fragments, in the order in which the bytes left each pipe. Never: a wait, or a
//! fragment of a pipe whose `Gone` was told.

use crate::types::capture::{Fragment, PipeEvent};

/// What the kernel side counted since it was attached. Each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Program runs that the kernel skipped: bytes of any pipe may be missing.
    pub skipped_runs: u64,
    /// Records that found no room in the ring. Their bytes are in `lost_bytes`.
    pub ring_full_records: u64,
    /// Bytes that left a followed pipe and could not be carried: no room in the ring, or not readable.
    pub lost_bytes: u64,
    /// Records that were not of the agreed form; nothing was taken from them.
    pub bad_records: u64,
    /// Records of a following that had ended.
    pub stale_records: u64,
}

/// No kernel source: the log files alone.
#[derive(Clone, Copy, Debug)]
pub enum Absent {}

impl Tap for Absent {
    fn events(&mut self, _: &mut Vec<PipeEvent>) {
        match *self {}
    }

    fn drain(&mut self, _: usize, _: &mut dyn FnMut(Fragment<'_>)) -> bool {
        match *self {}
    }

    fn counters(&self) -> Counters {
        match *self {}
    }

    fn take_words(&mut self) -> Vec<String> {
        match *self {}
    }

    fn nudge(&mut self) {
        match *self {}
    }

    fn memory_bytes(&self) -> usize {
        match *self {}
    }
}

/// A source of captured bytes, looked at by the data thread in every turn.
pub trait Tap {
    /// Appends what happened to the pipes since the last call, in order, and looks into the ring. To be called before
    /// [`Tap::drain`] in each turn: a [`PipeEvent::Skipped`] stands before the first fragment that may follow what it
    /// tells of.
    fn events(&mut self, out: &mut Vec<PipeEvent>);

    /// Hands over what was in the ring at the last [`Tap::events`] (1 MiB of it at the most), oldest first, until about
    /// `bytes_max` bytes were taken (one record more at the most, 32 KiB). The bytes are lent for the call of `take` only.
    ///
    /// A fragment may be empty: bytes that could not be carried end at its `sequence`, and `is_gap_before` says whether
    /// more than those are missing. True: there is more, come again at once.
    fn drain(&mut self, bytes_max: usize, take: &mut dyn FnMut(Fragment<'_>)) -> bool;

    /// The counts until now.
    fn counters(&self) -> Counters;

    /// What the kernel programs had to say since the last call: something that should not happen, a few lines at the most.
    fn take_words(&mut self) -> Vec<String>;

    /// There may be a new container, whose pipes are to be looked for.
    fn nudge(&mut self);

    /// Memory of the ring and of what is taken out of it at once. Does not change.
    fn memory_bytes(&self) -> usize;
}

//! A pipe that a shim drains and the kernel source follows.
//!
//! In: who writes, how the shim reads. Out: what the shim read, what was captured. Never: a wait without end, or a shim
//! that stays.

use super::Finding;
use super::captured::Captured;
use super::running::{Running, Shim, fresh};
use crate::clock;
use anyhow::{Context, Result, ensure};
use penstock::sources::ebpf::Kernel;
use penstock::types::capture::Cookie;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

/// A check that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the shims have ended is looked at so often at least.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Which pipe a descriptor is, as [`Kernel::follow`] wants it.
pub(super) fn pipe_id(pipe: &OwnedFd) -> Result<(u64, u64)> {
    let stat = rustix::fs::fstat(pipe)?;
    Ok((stat.st_ino, stat.st_dev))
}

/// A pipe under observation.
pub(super) struct Followed {
    id: (u64, u64),
    pub(super) cookie: Cookie,
    shims: Vec<Running>,
    skipped_before: u64,
    reader: Option<OwnedFd>,
    pub(super) writer: Option<OwnedFd>,
    pub(super) captured: Captured,
}

/// What a run gave.
pub(super) struct Seen {
    /// What each shim read; the first is the one that is followed.
    pub(super) read: Vec<Vec<u8>>,
    /// What was captured.
    pub(super) captured: Captured,
    /// Program runs that the kernel skipped meanwhile.
    pub(super) skipped_runs: u64,
}

impl Seen {
    /// What the followed shim read.
    pub(super) fn read(&self) -> &[u8] {
        self.read.first().map_or(&[], Vec::as_slice)
    }

    /// Everything that was read was captured. Where the kernel skipped runs meanwhile: nothing wrong was.
    pub(super) fn whole(&self) -> Result<Finding> {
        self.whole_of(self.read())
    }

    /// As [`Self::whole`], where only a part of what was read was to be captured.
    pub(super) fn whole_of(&self, read: &[u8]) -> Result<Finding> {
        if self.skipped_runs == 0 {
            self.captured.same(read)?;
            return Ok(Finding::ok(format!("{} bytes", read.len())));
        }
        let skipped = format!("{} runs skipped", self.skipped_runs);
        let pieces = self.captured.within(read).with_context(|| skipped.clone())?;
        let missing = read.len() as u64 - self.captured.bytes();
        Ok(Finding::ok(format!("{skipped}: {missing} of {} bytes not carried, {pieces} pieces", read.len())))
    }
}

impl Followed {
    /// A pipe with as many shims at its end as are told; the first is followed. None: this process reads.
    pub(super) fn begin(kernel: &mut Kernel, shims: &[Shim]) -> Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let id = pipe_id(&reader)?;
        let shims = shims.iter().map(|shim| shim.start(reader.try_clone()?)).collect::<Result<Vec<_>>>()?;
        let cookie = Cookie(fresh());
        let pid = shims.first().map_or_else(std::process::id, |shim| shim.pid());
        kernel.follow(id, pid, cookie)?;
        let reader = shims.is_empty().then_some(reader);
        let skipped_before = kernel.counters().skipped_runs;
        Ok(Self { id, cookie, shims, skipped_before, reader, writer: Some(writer), captured: Captured::default() })
    }

    /// Follows it again, under a new cookie.
    pub(super) fn again(&mut self, kernel: &mut Kernel) -> Result<()> {
        self.cookie = Cookie(fresh());
        let pid = self.shims.first().map_or_else(std::process::id, |shim| shim.pid());
        Ok(kernel.follow(self.id, pid, self.cookie)?)
    }

    /// Bytes that have left the pipe, as the programs count.
    pub(super) fn sequence(&self, kernel: &Kernel) -> u64 {
        kernel.state(self.id).map_or(0, |state| state.sequence)
    }

    /// Waits until so many bytes have left the pipe.
    pub(super) fn wait_for(&self, kernel: &Kernel, sequence: u64) -> Result<()> {
        let begun = clock::monotonic();
        while self.sequence(kernel) < sequence {
            ensure!(clock::monotonic() - begun < PATIENCE, "the kernel counts {}", self.sequence(kernel));
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Takes out of the ring what is there.
    pub(super) fn drain(&mut self, kernel: &mut Kernel) {
        drain(kernel, &mut [self]);
    }

    /// The end that this process reads, where there is no shim.
    pub(super) fn reader(&self) -> Result<&OwnedFd> {
        self.reader.as_ref().context("a shim reads this pipe")
    }

    /// The end that is written to.
    pub(super) fn writer(&self) -> Result<&OwnedFd> {
        self.writer.as_ref().context("the writer was given away")
    }

    /// Drains until the shims have read everything. All writers must have been given away.
    pub(super) fn finish(mut self, kernel: &mut Kernel) -> Result<Seen> {
        drop(self.writer.take());
        finish(kernel, &mut [&mut self])?;
        self.seen(kernel)
    }

    fn seen(self, kernel: &mut Kernel) -> Result<Seen> {
        kernel.unfollow(self.id);
        let read = self.shims.iter().map(Running::read).collect::<Result<_>>()?;
        let skipped_runs = kernel.counters().skipped_runs - self.skipped_before;
        Ok(Seen { read, captured: self.captured, skipped_runs })
    }
}

/// Takes out of the ring what is there, for all pipes that are followed. True: there was something.
fn drain(kernel: &mut Kernel, pipes: &mut [&mut Followed]) -> bool {
    let mut has_some = false;
    loop {
        kernel.collect(usize::MAX);
        let has_more = kernel.drain(usize::MAX, &mut |fragment| {
            has_some = true;
            if let [one] = pipes {
                one.captured.take(one.cookie, fragment);
            } else if let Some(pipe) = pipes.iter_mut().find(|pipe| pipe.cookie == fragment.cookie) {
                pipe.captured.take(fragment.cookie, fragment);
            }
        });
        if !has_more {
            return has_some;
        }
    }
}

/// Drains until all shims have ended. Where that fails they are killed, so that no writer waits for them.
fn finish(kernel: &mut Kernel, pipes: &mut [&mut Followed]) -> Result<()> {
    let result = drain_to_the_end(kernel, pipes);
    if result.is_err() {
        pipes.iter_mut().for_each(|pipe| pipe.shims.clear());
    }
    result
}

fn drain_to_the_end(kernel: &mut Kernel, pipes: &mut [&mut Followed]) -> Result<()> {
    let begun = clock::monotonic();
    loop {
        let mut has_ended = true;
        for shim in pipes.iter_mut().flat_map(|pipe| &mut pipe.shims) {
            has_ended &= shim.has_ended()?;
        }
        let has_some = drain(kernel, pipes);
        if has_ended {
            drain(kernel, pipes);
            return Ok(());
        }
        ensure!(clock::monotonic() - begun < PATIENCE, "the shim did not come to its end");
        if !has_some {
            // As the agent does: the kernel wakes it when there is something.
            poll(&mut [PollFd::new(&kernel.ring_fd(), PollFlags::IN)], Some(&LOOK_AGAIN))?;
        }
    }
}

/// Lets `write` fill a pipe, from a thread of its own, that shims drain.
pub(super) fn through<W: FnOnce(OwnedFd) -> Result<()> + Send>(
    kernel: &mut Kernel,
    shims: &[Shim],
    write: W,
) -> Result<Seen> {
    through_each(kernel, shims, vec![write])?.pop().context("one pipe")
}

/// As [`through`], with a pipe and shims for each of the writers, all at once.
pub(super) fn through_each<W: FnOnce(OwnedFd) -> Result<()> + Send>(
    kernel: &mut Kernel,
    shims: &[Shim],
    writers: Vec<W>,
) -> Result<Vec<Seen>> {
    let mut all = writers.iter().map(|_| Followed::begin(kernel, shims)).collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (pipe, write) in all.iter_mut().zip(writers) {
            let writer = pipe.writer.take().context("the pipe has a writer")?;
            threads.push(scope.spawn(move || write(writer)));
        }
        let mut borrowed: Vec<_> = all.iter_mut().collect();
        finish(kernel, &mut borrowed)?;
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        }
        anyhow::Ok(())
    })?;
    all.into_iter().map(|pipe| pipe.seen(kernel)).collect()
}

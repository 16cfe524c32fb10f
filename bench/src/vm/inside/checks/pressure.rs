//! Many at once, a ring without room, a following that is renewed.
//!
//! In: a kernel source. Out: whether every byte is right and every gap is told. Never: a verdict on speed.

use crate::vm::inside::Finding;
use crate::vm::inside::followed::{Followed, pipe_id, through, through_each};
use crate::vm::inside::running::{Shim, fresh};
use crate::vm::inside::writer::{bytes, lines, write_all};
use anyhow::{Result, ensure};
use penstock::sources::ebpf::Kernel;
use penstock::types::capture::Cookie;
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

/// Nothing is taken out of the ring until the writer is done.
pub(super) fn small_ring(kernel: &mut Kernel) -> Result<Finding> {
    let before = kernel.counters();
    let all = lines("ring", 0..20_000);
    let mut pipe = Followed::begin(kernel, &[Shim::USUAL])?;
    let (first, second) = all.split_at(all.len() / 2);
    write_all(pipe.writer()?, first)?;
    pipe.wait_for(kernel, first.len() as u64)?;
    pipe.drain(kernel);
    write_all(pipe.writer()?, second)?;
    pipe.wait_for(kernel, all.len() as u64)?;
    pipe.drain(kernel);
    write_all(pipe.writer()?, b"after\n")?;
    let seen = pipe.finish(kernel)?;
    if seen.skipped_runs > 0 {
        return seen.whole();
    }
    let lost = seen.captured.known_gaps(seen.read())?;
    let counters = kernel.counters();
    ensure!(lost > 0, "the ring was not too small");
    ensure!(lost == counters.lost_bytes - before.lost_bytes, "{lost} bytes are missing, {:?}", counters);
    ensure!(counters.ring_full_records > before.ring_full_records, "no full ring was counted");
    Ok(Finding::ok(format!("{lost} of {} bytes lost, known to the byte", seen.read().len())))
}

/// Records of the old following are in the ring when the new one begins.
pub(super) fn followed_again(kernel: &mut Kernel) -> Result<Finding> {
    let stale_before = kernel.counters().stale_records;
    let mut pipe = Followed::begin(kernel, &[Shim::USUAL])?;
    let (old, new) = (lines("old", 0..500), lines("new", 0..500));
    write_all(pipe.writer()?, &old)?;
    pipe.wait_for(kernel, old.len() as u64)?;
    pipe.again(kernel)?;
    write_all(pipe.writer()?, &new)?;
    let seen = pipe.finish(kernel)?;
    ensure!(seen.read() == [old, new.clone()].concat(), "the shim read something else");
    seen.whole_of(&new)?;
    let stale = kernel.counters().stale_records - stale_before;
    ensure!(stale > 0, "nothing of the old following was in the ring");
    Ok(Finding::ok(format!("{stale} records of the old following passed over")))
}

/// 32 readers wait at empty pipes, half of these followed, and 32 writers at full ones.
pub(super) fn blocked_elsewhere(kernel: &mut Kernel) -> Result<Finding> {
    let all = lines("beside", 0..2_000);
    let pipes = (0..64).map(|_| Ok(pipe_with(PipeFlags::CLOEXEC)?)).collect::<Result<Vec<_>>>()?;
    let mut followed = Vec::new();
    let mut kept = Vec::new();
    let mut threads = Vec::new();
    for (index, (reader, writer)) in pipes.into_iter().enumerate() {
        if index % 4 == 0 {
            let id = pipe_id(&reader)?;
            kernel.follow(id, std::process::id(), Cookie(fresh()))?;
            followed.push(id);
        }
        let (mine, theirs) = if index % 2 == 0 { (writer, reader) } else { (reader, writer) };
        threads.push(thread::spawn(move || wait_at(&theirs, index % 2 == 0)));
        kept.push(mine);
    }
    thread::sleep(Duration::from_millis(300));
    let are_blocked = threads.iter().all(|thread| !thread.is_finished());
    let seen = through(kernel, &[Shim::USUAL], |pipe| {
        (0..2_000).try_for_each(|number| write_all(&pipe, &lines("beside", number..number + 1)))
    });
    drop(kept);
    threads.into_iter().for_each(|thread| drop(thread.join()));
    followed.into_iter().for_each(|id| kernel.unfollow(id));
    let seen = seen?;
    ensure!(are_blocked, "not all of them were blocked");
    ensure!(seen.read() == all, "the shim itself read something else");
    seen.whole()
}

/// Until the other end is closed.
fn wait_at(pipe: &OwnedFd, is_reader: bool) {
    let _closed = match is_reader {
        true => rustix::io::read(pipe, &mut [0; 16]).map_err(Into::into).map(drop),
        false => write_all(pipe, &bytes("never read", 200_000)),
    };
}

/// Six pipes with a shim and a writer each, on two processors. Where the kernel skips runs, it must be noticed.
pub(super) fn crowd(kernel: &mut Kernel) -> Result<Finding> {
    let write = |pipe: OwnedFd| (0..3_000).try_for_each(|number| write_all(&pipe, &lines("crowd", number..number + 1)));
    let shim = Shim { step: 512, ..Shim::USUAL };
    let all = through_each(kernel, &[shim], vec![write; 6])?;
    let skipped_runs = all.iter().map(|seen| seen.skipped_runs).max().unwrap_or(0);
    let mut missing = 0;
    for seen in &all {
        seen.whole()?;
        missing += seen.read().len() as u64 - seen.captured.bytes();
    }
    let read: usize = all.iter().map(|seen| seen.read().len()).sum();
    Ok(Finding::ok(format!("{skipped_runs} runs skipped; {missing} of {read} bytes not carried")))
}

//! What the capture costs whom: the application its writes, the runtime's shim its reads, everybody every system call.
//!
//! In: the hooks that this kernel allows, attached and detached in turn, so that each figure has its bare one beside it.
//! Out: medians, and a verdict on the best hook. Never: the agent (a pipe is followed here as it follows one), or the time in which the ring is emptied.

use super::stage::{Stage, median};
use super::{HOOKS, Size};
use crate::clock;
use anyhow::{Context, Result};
use penstock::metrics::label::{Hook, Label as _};
use penstock::sources::ebpf::Kernel;
use penstock::types::capture::Cookie;
use rustix::fs::fstat;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::getppid;
use std::os::fd::OwnedFd;

const RING_BYTES: u32 = 8 << 20;
const WRITE_BYTES: usize = 200;
const READ_BYTES: usize = 4096;
/// What a pipe holds, in pages: each of them is one read here.
const READS_A_FILL: usize = 16;
/// As a page of the pipe holds 20 of these writes.
const WRITES_A_FILL: usize = 300;
/// Nanoseconds more than bare, on a machine that does nothing else. The small form is played where others work beside it: twice
/// as much is allowed there.
const WRITE_MAX_NS: f64 = 150.0;
/// See [`WRITE_MAX_NS`].
const READ_MAX_NS: f64 = 1_500.0;

/// The calls that are timed.
const CALLS: [&str; 3] = ["write of 200 bytes", "read of 4 KiB", "getppid"];

/// Of each of [`CALLS`] the times in one state in one round, nanoseconds.
type Times = [Vec<u32>; 3];

/// Medians of a round: for each of [`CALLS`] bare, with the hook but not followed, followed.
type Round = [[f64; 3]; 3];

/// Plays it.
///
/// # Errors
/// A pipe cannot be made.
pub fn play(_stage: &mut Stage, size: Size) -> Result<bool> {
    let (rounds, fills, leeway) = if size == Size::Small { (8, 30, 2.0) } else { (20, 170, 1.0) };
    println!("   {rounds} rounds of {} writes and {} reads", fills * WRITES_A_FILL, fills * READS_A_FILL);
    let costs = measure(rounds, fills)?;
    for cost in &costs {
        println!(
            "   {}: {}: {:.0} ns bare; not followed {:+.0} ns, followed {:+.0} ns",
            cost.hook.value(),
            cost.call,
            cost.bare_ns,
            cost.attached_ns,
            cost.followed_ns
        );
    }
    // The others are not taken here.
    let [write, read, _] = CALLS.map(|call| costs.iter().find(|cost| cost.call == call).map(|cost| cost.followed_ns));
    let is_within = |more: Option<f64>, max_ns: f64| more.is_some_and(|more_ns| more_ns < max_ns * leeway);
    Ok(is_within(write, WRITE_MAX_NS) && is_within(read, READ_MAX_NS))
}

/// What a hook costs who makes a call.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Attached.
    pub hook: Hook,
    /// One of those that are timed.
    pub call: &'static str,
    /// Without a hook, nanoseconds, the median.
    pub bare_ns: f64,
    /// What it takes more on a pipe that is not followed.
    pub attached_ns: f64,
    /// What it takes more on a pipe that is.
    pub followed_ns: f64,
}

/// Measures every hook that this machine allows, the best first.
///
/// # Errors
/// A pipe cannot be made.
pub fn measure(rounds: usize, fills: usize) -> Result<Vec<Cost>> {
    let mut costs = Vec::new();
    for hook in HOOKS {
        if let Err(refused) = Kernel::attach(&[hook], RING_BYTES) {
            println!("   {refused}");
            continue;
        }
        let rounds = (0..rounds).map(|_| round(hook, fills)).collect::<Result<Vec<_>>>()?;
        costs.extend(CALLS.iter().enumerate().map(|(call, name)| {
            let over = |of: fn(&[f64; 3]) -> f64| median(rounds.iter().map(|round| of(&round[call])).collect());
            Cost {
                hook,
                call: name,
                bare_ns: over(|[bare, ..]| *bare),
                attached_ns: over(|[bare, attached, _]| attached - bare),
                followed_ns: over(|[bare, _, followed]| followed - bare),
            }
        }));
    }
    Ok(costs)
}

fn round(hook: Hook, fills: usize) -> Result<Round> {
    let bare = time_calls(None, false, fills)?;
    let mut kernel = Kernel::attach(&[hook], RING_BYTES).context("attached a moment ago")?;
    let attached = time_calls(Some(&mut kernel), false, fills)?;
    let followed = time_calls(Some(&mut kernel), true, fills)?;
    let [bare, attached, followed] =
        [bare, attached, followed].map(|times| times.map(|times| median(times.into_iter().map(f64::from).collect())));
    Ok([0, 1, 2].map(|call| [bare[call], attached[call], followed[call]]))
}

/// A fill of the pipe is written and then read, once for the writes' times and once for the reads'.
fn time_calls(mut kernel: Option<&mut Kernel>, follow: bool, fills: usize) -> Result<Times> {
    let mut times = Times::default();
    let [writes, reads, others] = &mut times;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let (bytes, mut buffer) = ([b'x'; READ_BYTES], vec![0; READ_BYTES]);
    // For the writes another process counts as the reader, as in life: this one is not a shim then.
    let another = getppid().map_or(1, |parent| parent.as_raw_pid().unsigned_abs());
    self::follow(&mut kernel, &reader, follow.then_some(another))?;
    for _ in 0..fills {
        for _ in 0..WRITES_A_FILL {
            writes.push(timed(|| rustix::io::write(&writer, &bytes[..WRITE_BYTES]))?);
        }
        for _ in 0..WRITES_A_FILL * WRITE_BYTES / READ_BYTES + 1 {
            rustix::io::read(&reader, &mut *buffer)?;
        }
        empty(&mut kernel);
    }
    self::follow(&mut kernel, &reader, follow.then_some(std::process::id()))?;
    for _ in 0..fills {
        for _ in 0..READS_A_FILL {
            rustix::io::write(&writer, &bytes)?;
        }
        for _ in 0..READS_A_FILL {
            reads.push(timed(|| rustix::io::read(&reader, &mut *buffer))?);
            others.push(timed(|| Ok(getppid()))?);
        }
        empty(&mut kernel);
    }
    Ok(times)
}

fn follow(kernel: &mut Option<&mut Kernel>, pipe: &OwnedFd, reader: Option<u32>) -> Result<()> {
    let stat = fstat(pipe)?;
    if let (Some(kernel), Some(reader)) = (kernel, reader) {
        kernel.follow((stat.st_ino, stat.st_dev), reader, Cookie(u64::from(reader)))?;
    }
    Ok(())
}

/// Nanoseconds.
fn timed<T>(call: impl FnOnce() -> rustix::io::Result<T>) -> Result<u32> {
    let begun = clock::monotonic();
    call()?;
    Ok(u32::try_from((clock::monotonic() - begun).as_nanos()).unwrap_or(u32::MAX))
}

fn empty(kernel: &mut Option<&mut Kernel>) {
    if let Some(kernel) = kernel {
        loop {
            kernel.collect(usize::MAX);
            if !kernel.drain(usize::MAX, &mut |_| ()) {
                break;
            }
        }
    }
}

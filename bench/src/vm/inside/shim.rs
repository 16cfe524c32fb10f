//! A process that drains a pipe, as a runtime's shim does: it waits until there is something, and reads.
//!
//! In: a pipe, as its standard input. Out: what it read, in a file. Never: a byte of it anywhere else.

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, readv};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::fs::File;
use std::io::{IoSliceMut, Write};
use std::path::PathBuf;
use std::time::Duration;

/// How a shim takes bytes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Way {
    /// `read`
    Read,
    /// `readv` into 40 segments.
    Readv,
    /// `read` and `splice` by turns.
    Splice,
}

/// What it is told.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ShimArgs {
    /// Where to write what was read.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// How.
    #[arg(long, value_enum)]
    pub(super) way: Way,
    /// Bytes to ask for at once.
    #[arg(long)]
    pub(super) step: usize,
    /// Microseconds to wait between two reads.
    #[arg(long)]
    pub(super) pause_us: u64,
    /// Wait in the read itself, not before it.
    #[arg(long)]
    pub(super) blocking: bool,
}

/// Reads until the end.
pub(super) fn run(args: &ShimArgs) -> Result<()> {
    let stdin = rustix::stdio::stdin();
    if !args.blocking {
        rustix::io::ioctl_fionbio(stdin, true).context("making the pipe non-blocking")?;
    }
    let mut out = File::create(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    let mut buffer = vec![0; args.step];
    let (elsewhere, into) = pipe_with(PipeFlags::CLOEXEC)?;
    for turn in 0_u64.. {
        if !args.blocking {
            poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None)?;
        }
        let length = match args.way {
            Way::Splice if turn % 2 == 1 => {
                splice(stdin, None, &into, None, args.step, SpliceFlags::empty()).and_then(|length| {
                    let mut left = length;
                    while left > 0 {
                        left -= read(&elsewhere, &mut buffer)?;
                    }
                    Ok(if length == 0 { None } else { Some(0) })
                })
            }
            Way::Readv => in_segments(&mut buffer, args.step).map(|length| (length > 0).then_some(length)),
            _ => read(stdin, &mut buffer).map(|length| (length > 0).then_some(length)),
        };
        match length {
            Ok(None) => break,
            Ok(Some(length)) => out.write_all(buffer.get(..length).unwrap_or_default())?,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error).context("reading the pipe"),
        }
        if args.pause_us > 0 {
            std::thread::sleep(Duration::from_micros(args.pause_us));
        }
    }
    Ok(())
}

/// Segments of all lengths, one of them empty; what came stands together in `buffer` afterwards.
fn in_segments(buffer: &mut [u8], step: usize) -> Result<usize, Errno> {
    let mut rest = buffer;
    let mut segments = Vec::new();
    for index in 0..39 {
        let length = (step * index / 780).min(rest.len());
        let (one, more) = rest.split_at_mut(length);
        segments.push(IoSliceMut::new(one));
        rest = more;
    }
    segments.push(IoSliceMut::new(rest));
    readv(rustix::stdio::stdin(), &mut segments)
}

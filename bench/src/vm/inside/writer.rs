//! What is written: lines that tell where they belong, by this process or by one of its own.
//!
//! In: a tag, a count. Out: lines, each of which is there once. Never: bytes that could stand in two places.

use anyhow::{Context, Result};
use rustix::io::{Errno, write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

/// What a writing process is told.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct WriterArgs {
    /// Begins each line.
    #[arg(long)]
    tag: String,
    /// How many lines; each is a `write`. 0: without end, 1 MiB at once.
    #[arg(long)]
    lines: usize,
}

/// Numbered lines of lengths that differ.
pub(super) fn lines(tag: &str, numbers: std::ops::Range<usize>) -> Vec<u8> {
    let line = |number: usize| format!("{tag} {number:07} {}\n", "abcdefg".repeat(number % 13));
    numbers.flat_map(|number| line(number).into_bytes()).collect()
}

/// Just so many bytes of such lines.
pub(super) fn bytes(tag: &str, length: usize) -> Vec<u8> {
    let mut bytes = lines(tag, 0..length / 10 + 1);
    bytes.truncate(length);
    bytes
}

/// Writes to standard output.
pub(super) fn run(args: &WriterArgs) -> Result<()> {
    let stdout = rustix::stdio::stdout();
    if args.lines == 0 {
        let block = bytes(&args.tag, 1 << 20);
        loop {
            write_all(stdout, &block)?;
        }
    }
    (0..args.lines).try_for_each(|number| write_all(stdout, &lines(&args.tag, number..number + 1)))
}

/// Writes all of it; where the pipe is full and does not wait, tries again.
pub(super) fn write_all(pipe: impl AsFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(&pipe, bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::AGAIN) => std::thread::yield_now(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("writing to the pipe"),
        }
    }
    Ok(())
}

/// A process that writes so many lines to a pipe.
pub(super) fn process(tag: &str, lines: usize, pipe: &OwnedFd) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["writer", "--tag", tag, "--lines"]).arg(lines.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::from(pipe.try_clone()?));
    Ok(command)
}

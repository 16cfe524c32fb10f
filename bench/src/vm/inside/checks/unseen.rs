//! Bytes that leave the pipe in another way than through the reads of the reader that is followed: it must be told.
//!
//! In: a kernel source. Out: whether the capture joins anything that never was one. Never: a claim that a gap's length is
//! known.

use crate::vm::inside::Finding;
use crate::vm::inside::followed::{Followed, through};
use crate::vm::inside::running::Shim;
use crate::vm::inside::shim::Way;
use crate::vm::inside::writer::{lines, write_all};
use anyhow::{Result, ensure};
use penstock::metrics::label::Hook;
use penstock::sources::ebpf::Kernel;
use rustix::io::read;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Lines, of which somebody else takes every third or a piece of it, in the given way.
fn taken_by(kernel: &mut Kernel, take: impl Fn(&Followed, usize) -> Result<()>) -> Result<Finding> {
    let mut pipe = Followed::begin(kernel, &[])?;
    let mut buffer = [0; 4_096];
    let mut all = Vec::new();
    let mut taken = 0;
    for number in 0..36 {
        let line = lines("line", number..number + 1);
        all.extend_from_slice(&line);
        write_all(pipe.writer()?, &line)?;
        if number % 3 == 1 {
            // Once the whole line, once three bytes of it.
            take(&pipe, if number % 2 == 0 { 4_096 } else { 3 })?;
            taken += 1;
        }
        if number % 3 != 1 || number % 2 == 1 {
            ensure!(read(pipe.reader()?, &mut buffer)? > 0, "nothing was left to read");
        }
    }
    pipe.drain(kernel);
    let captured = std::mem::take(&mut pipe.captured);
    pipe.finish(kernel)?;
    let pieces = captured.within(&all)?;
    ensure!(pieces > taken, "{taken} gaps, {pieces} pieces");
    Ok(Finding::ok(format!("{taken} gaps told")))
}

pub(super) fn second_reader(kernel: &mut Kernel) -> Result<Finding> {
    taken_by(kernel, |pipe, bytes| {
        let mut thief = Command::new("/bin/busybox");
        thief.args(["dd", "count=1", "of=/dev/null"]).arg(format!("bs={bytes}"));
        let status = thief.stdin(Stdio::from(pipe.reader()?.try_clone()?)).stderr(Stdio::null()).status()?;
        ensure!(status.success(), "the second reader failed");
        Ok(())
    })
}

pub(super) fn splice_out(kernel: &mut Kernel) -> Result<Finding> {
    taken_by(kernel, |pipe, bytes| {
        let (_elsewhere, into) = pipe_with(PipeFlags::CLOEXEC)?;
        splice(pipe.reader()?, None, into, None, bytes, SpliceFlags::empty())?;
        Ok(())
    })
}

/// Two shims at one pipe, and the writer at its own pace.
pub(super) fn second_reader_race(kernel: &mut Kernel) -> Result<Finding> {
    let all = lines("race", 0..1_500);
    let seen = through(kernel, &[Shim::USUAL, Shim { step: 100, ..Shim::USUAL }], |pipe| {
        (0..1_500).try_for_each(|number| {
            std::thread::sleep(Duration::from_micros(100));
            write_all(&pipe, &lines("race", number..number + 1))
        })
    })?;
    let other = seen.read.get(1).map_or(0, Vec::len);
    ensure!(other > 0 && !seen.read().is_empty(), "only one of the two read anything");
    judge(kernel, &all, &seen.captured, &format!("{other} of {} bytes read by the other", all.len()))
}

/// The shim itself splices every second time, and the pipe is kept full.
pub(super) fn splicing_reader(kernel: &mut Kernel) -> Result<Finding> {
    let all = lines("splicing", 0..4_000);
    let shim = Shim { way: Way::Splice, step: 1_000, ..Shim::USUAL };
    let seen = through(kernel, &[shim], |pipe| all.chunks(200).try_for_each(|one| write_all(&pipe, one)))?;
    let pieces = seen.captured.within(&all)?;
    Ok(Finding::ok(format!("{pieces} pieces")))
}

/// The hooks on `sys_exit` cannot tell what left unseen where a writer has filled the slots again meanwhile.
fn judge(kernel: &Kernel, all: &[u8], captured: &super::super::captured::Captured, words: &str) -> Result<Finding> {
    match captured.within(all) {
        Ok(pieces) => Ok(Finding::ok(format!("{words}: {pieces} pieces"))),
        Err(error) if kernel.hook() != Hook::Fentry => Ok(Finding::limit(format!("{words}: {error:#}"))),
        Err(error) => Err(error),
    }
}

/// Followed while its reader waits in `read`, and while bytes are on their way.
pub(super) fn followed_while_it_waits(kernel: &mut Kernel) -> Result<Finding> {
    let all = lines("late", 0..6_000);
    let shim = Shim { blocking: true, ..Shim::USUAL };
    let mut pipe = Followed::begin(kernel, &[shim])?;
    let writer = pipe.writer()?.try_clone()?;
    drop(pipe.writer.take());
    let mut followings = 0;
    let mut result = Ok(());
    std::thread::scope(|scope| {
        let write = scope.spawn(move || all_of(&writer));
        while !write.is_finished() && result.is_ok() {
            std::thread::sleep(Duration::from_millis(20));
            pipe.drain(kernel);
            result = pipe.captured.within(&all).map(drop);
            pipe.captured = Default::default();
            let again = pipe.again(kernel);
            result = std::mem::replace(&mut result, Ok(())).and(again);
            followings += 1;
        }
    });
    result?;
    pipe.finish(kernel)?.captured.within(&all)?;
    ensure!(followings > 3, "it was over too soon");
    Ok(Finding::ok(format!("followed {followings} times")))
}

fn all_of(writer: &std::os::fd::OwnedFd) -> Result<()> {
    (0..6_000).try_for_each(|number| write_all(writer, &lines("late", number..number + 1)))
}

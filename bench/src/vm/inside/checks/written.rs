//! Bytes that come into the pipe by writing.
//!
//! In: a kernel source. Out: whether what the shim read is what was captured. Never: a check of the order between
//! writers; the pipe has one, and the shim saw it.

use crate::vm::inside::Finding;
use crate::vm::inside::followed::{Followed, Seen, through};
use crate::vm::inside::running::Shim;
use crate::vm::inside::shim::Way;
use crate::vm::inside::uring::Uring;
use crate::vm::inside::writer::{bytes, lines, process, write_all};
use anyhow::{Context, Result, ensure};
use penstock::sources::ebpf::Kernel;
use rustix::io::{Errno, writev};
use rustix::pipe::fcntl_setpipe_size;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

/// The shim read what was written, and that was captured.
fn exactly(seen: &Seen, written: &[u8]) -> Result<Finding> {
    ensure!(seen.read() == written, "the shim itself read something else");
    seen.whole()
}

/// As much as the capture claims: what was read, whatever that was.
fn whatever(seen: &Seen) -> Result<Finding> {
    ensure!(!seen.read().is_empty(), "the shim read nothing");
    seen.whole()
}

pub(super) fn sizes(kernel: &mut Kernel) -> Result<Finding> {
    let sizes = [1, 2, 200, 4_095, 4_096, 4_097, 16_384, 65_535, 65_536, 65_537, 300_000, 1 << 20];
    let all: Vec<_> = sizes.iter().map(|size| bytes(&format!("size {size}"), *size)).collect();
    for step in [4_096, 1 << 20] {
        let shim = Shim { step, ..Shim::USUAL };
        let all = &all;
        let seen = through(kernel, &[shim], move |pipe| {
            if step > 65_536 {
                fcntl_setpipe_size(&pipe, 1 << 20)?;
            }
            all.iter().try_for_each(|one| write_all(&pipe, one))
        })?;
        exactly(&seen, &all.concat())?;
    }
    Ok(Finding::ok("12 sizes, read in 4 KiB and in 1 MiB"))
}

pub(super) fn segments(kernel: &mut Kernel) -> Result<Finding> {
    let all: Vec<Vec<Vec<u8>>> = (1..=40)
        .map(|count| (0..count).map(|index| bytes(&format!("{count}.{index}"), index * 37 % 500)).collect())
        .collect();
    let seen = through(kernel, &[Shim::USUAL], |pipe| {
        for one in &all {
            let slices: Vec<_> = one.iter().map(|segment| IoSlice::new(segment)).collect();
            ensure!(writev(&pipe, &slices)? == one.concat().len(), "a short writev");
        }
        Ok(())
    })?;
    exactly(&seen, &all.concat().concat())
}

pub(super) fn short_and_nonblocking(kernel: &mut Kernel) -> Result<Finding> {
    let all = bytes("short", 700_000);
    let mut short = 0;
    let shim = Shim { step: 10_000, pause_us: 300, ..Shim::USUAL };
    let seen = through(kernel, &[shim], |pipe| {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let mut rest = &all[..];
        while !rest.is_empty() {
            let once = rest.len().min(100_000);
            match rustix::io::write(&pipe, rest.get(..once).unwrap_or_default()) {
                Ok(length) => {
                    short += u32::from(length < once);
                    rest = rest.get(length..).unwrap_or_default();
                }
                Err(Errno::AGAIN) => std::thread::sleep(std::time::Duration::from_micros(100)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })?;
    exactly(&seen, &all)?;
    ensure!(short > 0, "no write was short");
    Ok(Finding::ok(format!("{short} short writes")))
}

pub(super) fn slow_reader(kernel: &mut Kernel) -> Result<Finding> {
    let all = bytes("slow", 300_000);
    let shim = Shim { step: 777, pause_us: 500, ..Shim::USUAL };
    let seen = through(kernel, &[shim], |pipe| write_all(pipe, &all))?;
    exactly(&seen, &all)
}

pub(super) fn readv_reader(kernel: &mut Kernel) -> Result<Finding> {
    let all = bytes("segments", 500_000);
    let shim = Shim { way: Way::Readv, step: 20_000, ..Shim::USUAL };
    let seen = through(kernel, &[shim], |pipe| all.chunks(1_111).try_for_each(|one| write_all(&pipe, one)))?;
    exactly(&seen, &all)
}

/// A reader that waits in `read`: the bytes come in the middle of it.
pub(super) fn blocking_reader(kernel: &mut Kernel) -> Result<Finding> {
    let all = lines("blocking", 0..400);
    let shim = Shim { blocking: true, ..Shim::USUAL };
    let mut pipe = Followed::begin(kernel, &[shim])?;
    // What came into the read that had begun before it was followed is not of this check.
    let first = lines("first", 0..1);
    write_all(pipe.writer()?, &first)?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    pipe.drain(kernel);
    pipe.again(kernel)?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    pipe.captured = Default::default();
    for one in all.chunks(100) {
        write_all(pipe.writer()?, one)?;
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
    let seen = pipe.finish(kernel)?;
    let read = seen.read().get(first.len()..).context("the shim read less than the first line")?;
    let carried = usize::try_from(seen.captured.bytes())?;
    let missing = read.len().checked_sub(carried).context("more was captured than read")?;
    seen.whole_of(read.get(missing..).unwrap_or_default())?;
    ensure!(
        seen.skipped_runs > 0 || missing <= 4_096,
        "{missing} bytes are missing at the beginning, more than one read"
    );
    Ok(Finding::ok(format!("all but the first {missing} bytes: of a read that had begun before")))
}

pub(super) fn eight_processes(kernel: &mut Kernel) -> Result<Finding> {
    let seen = through(kernel, &[Shim::USUAL], |pipe| {
        let tags = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let children = tags.iter().map(|tag| Ok(process(tag, 500, &pipe)?.spawn()?)).collect::<Result<Vec<_>>>()?;
        drop(pipe);
        for mut child in children {
            ensure!(child.wait()?.success(), "a writer failed");
        }
        Ok(())
    })?;
    ensure!(seen.read().iter().filter(|byte| **byte == b'\n').count() == 4_000, "4000 lines");
    whatever(&seen)
}

pub(super) fn fork_and_exec(kernel: &mut Kernel) -> Result<Finding> {
    let script = "echo one; (echo two; (echo three >&2) 2>&1); printf 'ha'; /bin/busybox echo lf; \
        echo piped | /bin/busybox cat; exec /bin/busybox cat /init";
    let seen = through(kernel, &[Shim::USUAL], |pipe| {
        let mut shell = Command::new("/bin/busybox");
        shell.args(["sh", "-c", script]).stdin(Stdio::null()).stderr(Stdio::inherit());
        ensure!(shell.stdout(Stdio::from(pipe)).status()?.success(), "the shell failed");
        Ok(())
    })?;
    let expected = [&b"one\ntwo\nthree\nhalf\npiped\n"[..], &std::fs::read("/init")?].concat();
    exactly(&seen, &expected)
}

pub(super) fn io_uring(kernel: &mut Kernel) -> Result<Finding> {
    if let Err(error) = Uring::new() {
        return Ok(Finding::lacks(format!("this kernel has no io_uring: {error}")));
    }
    let all = bytes("uring", 400_000);
    let seen = through(kernel, &[Shim::USUAL], |pipe| submit(&pipe, &all))?;
    exactly(&seen, &all)
}

/// A ring is used by the thread that made it.
fn submit(pipe: &OwnedFd, all: &[u8]) -> Result<()> {
    let mut ring = Uring::new()?;
    let mut rest = all;
    let mut turn = 0_usize;
    while !rest.is_empty() {
        let once = rest.len().min([1, 100, 5_000, 70_000][turn % 4]);
        let bytes = rest.get(..once).unwrap_or_default();
        let (head, tail) = bytes.split_at(once / 3);
        let length = match turn % 8 {
            0..4 => ring.write(pipe.as_fd(), bytes)?,
            _ => ring.writev(pipe.as_fd(), &[IoSlice::new(head), IoSlice::new(tail)])?,
        };
        rest = rest.get(length..).unwrap_or_default();
        turn += 1;
    }
    Ok(())
}

pub(super) fn killed_writer(kernel: &mut Kernel) -> Result<Finding> {
    let shim = Shim { pause_us: 200, ..Shim::USUAL };
    let seen = through(kernel, &[shim], |pipe| {
        for tag in ["x", "y", "z"] {
            let mut child = process(tag, 0, &pipe)?.spawn()?;
            while rustix::io::ioctl_fionread(&pipe)? == 0 {
                ensure!(child.try_wait()?.is_none(), "the writer ended by itself");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    })?;
    whatever(&seen)
}

//! The kernel source on this machine's kernel: what was read from a pipe is what was captured, byte for byte.
//!
//! Where the kernel or the rights allow no hook, the tests say so and are left out.

#![allow(clippy::unwrap_used, reason = "a test: what fails here is to fail")]

use penstock::metrics::label::Hook;
use penstock::sources::ebpf::Kernel;
use penstock::types::capture::Cookie;
use rustix::fs::fstat;
use rustix::io::{read, readv, write};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

static COOKIES: AtomicU64 = AtomicU64::new(1);

/// A followed pipe, read by this process.
struct Followed {
    reader: OwnedFd,
    writer: Option<OwnedFd>,
    id: (u64, u64),
    cookie: Cookie,
}

/// What was captured of one following.
#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    /// Where bytes are missing: sequence and how many; 0: not known.
    gaps: Vec<(u64, u64)>,
    end: u64,
}

/// A kernel source with every hook that this machine allows.
fn kernels(ring_bytes: u32) -> Vec<Kernel> {
    let mut all = Vec::new();
    for hook in [Hook::Fentry, Hook::TpBtf, Hook::RawTp] {
        match Kernel::attach(&[hook], ring_bytes) {
            Ok(kernel) => all.push(kernel),
            Err(refused) => eprintln!("left out: {refused}"),
        }
    }
    all
}

fn follow(kernel: &mut Kernel) -> Followed {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let stat = fstat(&reader).unwrap();
    let cookie = Cookie(COOKIES.fetch_add(1, Ordering::Relaxed));
    let id = (stat.st_ino, stat.st_dev);
    kernel.follow(id, std::process::id(), cookie).unwrap();
    Followed { reader, writer: Some(writer), id, cookie }
}

impl Captured {
    fn take(&mut self, kernel: &mut Kernel, cookie: Cookie) {
        loop {
            kernel.collect(usize::MAX);
            let has_more = kernel.drain(usize::MAX, &mut |fragment| {
                assert_eq!(fragment.cookie, cookie);
                assert!(fragment.read_ns > 1_700_000_000_000_000_000, "wall clock: {}", fragment.read_ns);
                if fragment.is_gap_before {
                    self.gaps.push((self.end, 0));
                } else if fragment.sequence != self.end {
                    self.gaps.push((self.end, fragment.sequence - self.end));
                }
                self.bytes.extend_from_slice(fragment.bytes);
                self.end = fragment.sequence + fragment.bytes.len() as u64;
            });
            if !has_more {
                break;
            }
        }
    }

    fn expect(&self, bytes: &[u8], what: &str) {
        assert_eq!(self.gaps, [], "{what}: nothing is missing");
        assert_eq!(self.bytes.len(), bytes.len(), "{what}");
        assert!(self.bytes == bytes, "{what}: byte for byte");
    }
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| random.u8(..)).collect()
}

/// Writes `bytes` from a thread, and reads in steps of `step` until the end; after each read the ring is emptied.
fn pass_through(kernel: &mut Kernel, pipe: &mut Followed, bytes: &[u8], step: usize) -> (Vec<u8>, Captured) {
    let writer = pipe.writer.take().unwrap();
    let mut received = Vec::new();
    let mut captured = Captured::default();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut rest = bytes;
            while !rest.is_empty() {
                rest = &rest[write(&writer, rest).unwrap()..];
            }
        });
        let mut buffer = vec![0; step];
        loop {
            let length = read(&pipe.reader, &mut buffer).unwrap();
            received.extend_from_slice(&buffer[..length]);
            captured.take(kernel, pipe.cookie);
            if length == 0 {
                break;
            }
        }
    });
    (received, captured)
}

#[test]
fn what_was_read_is_what_was_captured_for_any_length() {
    for mut kernel in kernels(4 << 20) {
        for (length, step) in
            [(1, 1), (200, 4_096), (4_096, 512), (65_536, 32_768), (100_000, 7_777), (1 << 20, 1 << 20)]
        {
            let mut pipe = follow(&mut kernel);
            fcntl_setpipe_size(&pipe.reader, 1 << 20).unwrap();
            kernel.follow(pipe.id, std::process::id(), pipe.cookie).unwrap();
            let bytes = noise(length, 7);
            let (received, captured) = pass_through(&mut kernel, &mut pipe, &bytes, step);
            assert!(received == bytes);
            captured.expect(&bytes, &format!("{:?}: {length} bytes in steps of {step}", kernel.hook()));
            kernel.unfollow(pipe.id);
        }
        assert_eq!(kernel.counters(), penstock::sources::ebpf::tap::Counters::default(), "{:?}", kernel.hook());
    }
}

#[test]
fn readv_gives_the_bytes_of_every_segment_in_order() {
    for mut kernel in kernels(1 << 20) {
        let pipe = follow(&mut kernel);
        let bytes = noise(5_000, 1);
        write(pipe.writer.as_ref().unwrap(), &bytes).unwrap();
        let mut buffers: Vec<Vec<u8>> = (0..40).map(|index| vec![0; index * 7]).collect();
        let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        let length = readv(&pipe.reader, &mut slices).unwrap();
        let mut captured = Captured::default();
        captured.take(&mut kernel, pipe.cookie);
        captured.expect(&bytes[..length], &format!("{:?}", kernel.hook()));
    }
}

#[test]
fn a_ring_that_is_full_leaves_a_gap_that_is_known_to_the_byte() {
    for mut kernel in kernels(128 * 1024) {
        let pipe = follow(&mut kernel);
        let writer = pipe.writer.as_ref().unwrap();
        let mut buffer = vec![0; 4_096];
        for round in 0..100_u64 {
            write(writer, &noise(4_096, round)).unwrap();
            assert_eq!(read(&pipe.reader, &mut buffer).unwrap(), 4_096);
        }
        let mut captured = Captured::default();
        captured.take(&mut kernel, pipe.cookie);
        write(writer, b"after").unwrap();
        read(&pipe.reader, &mut buffer).unwrap();
        captured.take(&mut kernel, pipe.cookie);
        let carried = captured.bytes.len() as u64 - 5;
        assert!(carried > 0 && carried < 409_600, "{carried}");
        assert_eq!(captured.gaps, [(carried, 409_600 - carried)], "{:?}", kernel.hook());
        assert!(captured.bytes.ends_with(b"after"));
        assert_eq!(kernel.counters().lost_bytes, 409_600 - carried);
        assert_eq!(kernel.counters().ring_full_records, (409_600 - carried) / 4_096);
        assert_eq!(kernel.state(pipe.id).unwrap().lost_bytes, 409_600 - carried);
    }
}

#[test]
fn what_an_earlier_following_left_in_the_ring_is_passed_over() {
    for mut kernel in kernels(1 << 20) {
        let mut pipe = follow(&mut kernel);
        let mut buffer = [0; 100];
        write(pipe.writer.as_ref().unwrap(), b"of the first following").unwrap();
        read(&pipe.reader, &mut buffer).unwrap();
        pipe.cookie = Cookie(COOKIES.fetch_add(1, Ordering::Relaxed));
        kernel.follow(pipe.id, std::process::id(), pipe.cookie).unwrap();
        write(pipe.writer.as_ref().unwrap(), b"of the second").unwrap();
        read(&pipe.reader, &mut buffer).unwrap();
        let mut captured = Captured::default();
        captured.take(&mut kernel, pipe.cookie);
        captured.expect(b"of the second", &format!("{:?}", kernel.hook()));
        assert_eq!(kernel.counters().stale_records, 1);
    }
}

#[test]
fn a_pipe_that_is_not_followed_any_more_gives_nothing() {
    for mut kernel in kernels(1 << 20) {
        let pipe = follow(&mut kernel);
        let other = follow(&mut kernel);
        kernel.unfollow(pipe.id);
        let mut buffer = [0; 100];
        for one in [&pipe, &other] {
            write(one.writer.as_ref().unwrap(), b"bytes").unwrap();
            read(&one.reader, &mut buffer).unwrap();
        }
        let mut captured = Captured::default();
        captured.take(&mut kernel, other.cookie);
        captured.expect(b"bytes", "the other pipe alone");
        assert_eq!(kernel.counters().stale_records, 0, "nothing was even put into the ring");
    }
}

/// Rule: the last words of a container are in the ring when its pipe is closed.
#[test]
fn what_left_a_pipe_before_its_following_ended_is_handed_over_once() {
    for mut kernel in kernels(1 << 20) {
        let pipe = follow(&mut kernel);
        write(pipe.writer.as_ref().unwrap(), b"last words").unwrap();
        read(&pipe.reader, &mut [0; 100]).unwrap();
        kernel.unfollow(pipe.id);
        let mut captured = Captured::default();
        captured.take(&mut kernel, pipe.cookie);
        captured.expect(b"last words", &format!("{:?}", kernel.hook()));
        kernel.follow(pipe.id, std::process::id(), Cookie(pipe.cookie.0 + 1_000_000)).unwrap();
        kernel.unfollow(pipe.id);
    }
}

#[test]
fn bytes_that_were_spliced_out_leave_a_gap() {
    for mut kernel in kernels(1 << 20) {
        let pipe = follow(&mut kernel);
        let writer = pipe.writer.as_ref().unwrap();
        let (_elsewhere, into) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut buffer = [0; 100];
        write(writer, b"AAA").unwrap();
        read(&pipe.reader, &mut buffer).unwrap();
        write(writer, b"BBB\n").unwrap();
        splice(pipe.reader.as_fd(), None, into.as_fd(), None, 100, SpliceFlags::empty()).unwrap();
        write(writer, b"CCC\n").unwrap();
        read(&pipe.reader, &mut buffer).unwrap();
        let mut captured = Captured::default();
        captured.take(&mut kernel, pipe.cookie);
        assert_eq!(captured.bytes, b"AAACCC\n");
        assert_eq!(captured.gaps, [(3, 0)], "{:?}: `AAACCC` never was", kernel.hook());
        // fentry sees what a pipe is read by, not what is spliced out of it.
        if kernel.hook() != Hook::Fentry {
            let process = std::process::id();
            let words = format!("bytes left a followed pipe, and cannot be copied; process {process} took them");
            assert_eq!(kernel.take_words(), [words]);
        }
    }
}

#[test]
fn the_first_bytes_that_ever_left_a_pipe_are_told() {
    for mut kernel in kernels(1 << 20) {
        for (first, step) in [(5, 64), (30_000, 32_768), (9_000, 9_000)] {
            let mut pipe = follow(&mut kernel);
            let mut firsts = Vec::new();
            for (length, seed) in [(first, 1), (5, 2)] {
                let writer = pipe.writer.take().unwrap();
                let bytes = noise(length, seed);
                thread::scope(|scope| {
                    scope.spawn(|| write(&writer, &bytes).unwrap());
                    let mut left = length;
                    while left > 0 {
                        left -= read(&pipe.reader, &mut vec![0; step]).unwrap();
                    }
                });
                pipe.writer = Some(writer);
                kernel.collect(usize::MAX);
                kernel.drain(usize::MAX, &mut |fragment| firsts.push((fragment.sequence, fragment.is_first)));
            }
            let told: Vec<_> = firsts.iter().filter(|(_, is_first)| *is_first).collect();
            assert_eq!(told, [&(0, true)], "{} bytes read in steps of {step}: {firsts:?}", first);
            // Followed anew, it is a pipe that was read before.
            kernel.unfollow(pipe.id);
            let again = Cookie(COOKIES.fetch_add(1, Ordering::Relaxed));
            kernel.follow(pipe.id, std::process::id(), again).unwrap();
            write(pipe.writer.as_ref().unwrap(), b"later").unwrap();
            assert_eq!(read(&pipe.reader, &mut [0; 64]).unwrap(), 5);
            kernel.collect(usize::MAX);
            kernel.drain(usize::MAX, &mut |fragment| assert!(!fragment.is_first, "{fragment:?}"));
            kernel.unfollow(pipe.id);
        }
    }
}

//! Bytes that come into the pipe without `write`, also between two halves of a line.
//!
//! In: a kernel source. Out: whether what the shim read is what was captured. Never: a page that is changed while it is in
//! the pipe.

use crate::vm::inside::Finding;
use crate::vm::inside::followed::through;
use crate::vm::inside::running::{Shim, fresh};
use crate::vm::inside::writer::{bytes, write_all};
use anyhow::{Result, ensure};
use penstock::sources::ebpf::Kernel;
use rustix::fs::sendfile;
use rustix::pipe::{IoSliceRaw, PipeFlags, SpliceFlags, pipe_with, splice, vmsplice};
use std::fs::File;
use std::os::fd::OwnedFd;

/// Each of these is put in between two written halves.
const LENGTHS: [usize; 6] = [1, 17, 4_096, 4_097, 30_000, 200_000];

/// Writes `head `, lets `put` bring the middle, writes ` tail`, for each length.
fn between_halves(kernel: &mut Kernel, put: impl Fn(&OwnedFd, &[u8]) -> Result<()> + Sync) -> Result<Finding> {
    let middles: Vec<_> = LENGTHS.iter().map(|length| bytes(&format!("middle {length}"), *length)).collect();
    for step in [4_096, 50] {
        let middles = &middles;
        let put = &put;
        let few = if step < 100 { 4 } else { middles.len() };
        let seen = through(kernel, &[Shim { step, ..Shim::USUAL }], move |pipe| {
            middles.iter().take(few).try_for_each(|middle| {
                write_all(&pipe, b"head ")?;
                put(&pipe, middle)?;
                write_all(&pipe, b" tail\n")
            })
        })?;
        let all: Vec<_> = middles.iter().take(few).map(|middle| [b"head ", &middle[..], b" tail\n"].concat()).collect();
        ensure!(seen.read() == all.concat(), "the shim itself read something else");
        seen.whole()?;
    }
    Ok(Finding::ok("between two halves of a line, 1 B to 200 KB"))
}

/// A file that holds these bytes.
fn file_of(bytes: &[u8]) -> Result<File> {
    let path = std::env::temp_dir().join(format!("file-{}", fresh()));
    std::fs::write(&path, bytes)?;
    let file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

pub(super) fn sendfile_into(kernel: &mut Kernel) -> Result<Finding> {
    between_halves(kernel, |pipe, bytes| {
        let file = file_of(bytes)?;
        let mut left = bytes.len();
        while left > 0 {
            left -= sendfile(pipe, &file, None, left)?;
        }
        Ok(())
    })
}

pub(super) fn splice_into(kernel: &mut Kernel) -> Result<Finding> {
    between_halves(kernel, |pipe, bytes| {
        // One half out of a file, one out of another pipe.
        let (from_file, from_pipe) = bytes.split_at(bytes.len() / 2);
        let file = file_of(from_file)?;
        let mut left = from_file.len();
        while left > 0 {
            left -= splice(&file, None, pipe, None, left, SpliceFlags::empty())?;
        }
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        for piece in from_pipe.chunks(10_000) {
            write_all(&writer, piece)?;
            let mut left = piece.len();
            while left > 0 {
                left -= splice(&reader, None, pipe, None, left, SpliceFlags::empty())?;
            }
        }
        Ok(())
    })
}

pub(super) fn vmsplice_into(kernel: &mut Kernel) -> Result<Finding> {
    between_halves(kernel, |pipe, bytes| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let segment = [IoSliceRaw::from_slice(rest)];
            // SAFETY: the bytes are only read, and live until the shim has read them.
            let length = unsafe { vmsplice(pipe, &segment, SpliceFlags::empty()) }?;
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    })
}

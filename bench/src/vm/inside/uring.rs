//! Writes to a pipe through io_uring.
//!
//! In: bytes. Out: how many the kernel took. Never: more than one operation at a time.

use rustix::io::{Errno, Result};
use rustix::io_uring::{
    IORING_OFF_SQ_RING, IORING_OFF_SQES, IoringEnterFlags, IoringOp, addr_or_splice_off_in_union, io_uring_enter,
    io_uring_params, io_uring_ptr, io_uring_setup, io_uring_sqe, len_union, off_or_addr2_union,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Room for one operation is enough; the kernel takes a power of two.
const ENTRIES: u32 = 2;
/// Bytes of a completion: `user_data`, then the result.
const COMPLETION_BYTES: usize = 16;
const RESULT_AT: usize = 8;

/// A ring of its own.
pub(super) struct Uring {
    ring: OwnedFd,
    params: io_uring_params,
    queues: Mapping,
    operations: Mapping,
}

struct Mapping {
    start: *mut u8,
    bytes: usize,
}

impl Mapping {
    fn of(ring: &OwnedFd, offset: u64, bytes: usize) -> Result<Self> {
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let start = unsafe { mmap(std::ptr::null_mut(), bytes, rights, MapFlags::SHARED, ring, offset) }?;
        Ok(Self { start: start.cast(), bytes })
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the kernel's offsets are inside the mapping and aligned; it lives as long as `self`.
        unsafe { AtomicU32::from_ptr(self.start.add(offset).cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `of`, of that size, and nothing of it is used any more.
        let _gone = unsafe { munmap(self.start.cast(), self.bytes) };
    }
}

impl Uring {
    /// # Errors
    /// The kernel has no io_uring, or it is switched off.
    pub(super) fn new() -> Result<Self> {
        let mut params = io_uring_params::default();
        // SAFETY: no memory is passed but `params`.
        let ring = unsafe { io_uring_setup(ENTRIES, &mut params) }?;
        let submission = params.sq_off.array + params.sq_entries * 4;
        let completion = params.cq_off.cqes as usize + params.cq_entries as usize * COMPLETION_BYTES;
        // Since 5.4 both queues are in one mapping.
        let queues = Mapping::of(&ring, IORING_OFF_SQ_RING, completion.max(submission as usize))?;
        let bytes = params.sq_entries as usize * size_of::<io_uring_sqe>();
        let operations = Mapping::of(&ring, IORING_OFF_SQES, bytes)?;
        Ok(Self { ring, params, queues, operations })
    }

    /// One `write`, waited for.
    pub(super) fn write(&mut self, pipe: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
        self.submit(IoringOp::Write, pipe, bytes.as_ptr(), bytes.len())
    }

    /// One `writev`, waited for.
    pub(super) fn writev(&mut self, pipe: BorrowedFd<'_>, segments: &[IoSlice<'_>]) -> Result<usize> {
        self.submit(IoringOp::Writev, pipe, segments.as_ptr().cast(), segments.len())
    }

    fn submit(&mut self, opcode: IoringOp, pipe: BorrowedFd<'_>, from: *const u8, length: usize) -> Result<usize> {
        let operation = io_uring_sqe {
            opcode,
            fd: pipe.as_raw_fd(),
            off_or_addr2: off_or_addr2_union { off: u64::MAX },
            addr_or_splice_off_in: addr_or_splice_off_in_union { addr: io_uring_ptr::new(from.cast_mut().cast()) },
            len: len_union { len: u32::try_from(length).map_err(|_| Errno::INVAL)? },
            ..Default::default()
        };
        // SAFETY: slot 0 of the mapped operations; none is under way.
        unsafe { self.operations.start.cast::<io_uring_sqe>().write(operation) };
        let submission = self.params.sq_off;
        let tail = self.queues.word(submission.tail as usize);
        let at = tail.load(Ordering::Relaxed);
        let slot = at & self.queues.word(submission.ring_mask as usize).load(Ordering::Relaxed);
        self.queues.word(submission.array as usize + slot as usize * 4).store(0, Ordering::Relaxed);
        tail.store(at.wrapping_add(1), Ordering::Release);
        // SAFETY: what the operation points to is borrowed until it is complete.
        unsafe { io_uring_enter(&self.ring, 1, 1, IoringEnterFlags::GETEVENTS) }?;
        self.result()
    }

    fn result(&self) -> Result<usize> {
        let completion = self.params.cq_off;
        let head = self.queues.word(completion.head as usize);
        let at = head.load(Ordering::Relaxed);
        if self.queues.word(completion.tail as usize).load(Ordering::Acquire) == at {
            return Err(Errno::IO);
        }
        let slot = at & self.queues.word(completion.ring_mask as usize).load(Ordering::Relaxed);
        let place = completion.cqes as usize + slot as usize * COMPLETION_BYTES + RESULT_AT;
        let result = self.queues.word(place).load(Ordering::Relaxed).cast_signed();
        head.store(at.wrapping_add(1), Ordering::Release);
        usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-result))
    }
}

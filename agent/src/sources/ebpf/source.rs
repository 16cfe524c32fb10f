//! The kernel source as the data thread has it: the hook that is attached, and the finder that says what it follows.
//!
//! In: hooks to try, where to look for pipes. Out: fragments and pipe events, through [`Tap`]. Never: a lock held while
//! something is waited for.

use super::Kernel;
use super::pipes::{Finder, Follow, Places};
use super::tap::{Counters, Tap};
use crate::clock::Clock;
use crate::metrics::label::Hook;
use crate::types::capture::{Cookie, Fragment, PipeEvent};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Hook, ring and finder. Dropping it ends them all; nothing stays in the kernel.
pub struct EbpfSource {
    /// The finder's thread follows pipes, the data thread takes what came of them.
    kernel: Arc<Mutex<Kernel>>,
    finder: Finder,
    ring: OwnedFd,
    hook: Hook,
}

impl EbpfSource {
    /// Begins to look for pipes, and to follow them with `kernel`. `wake` is called, from another thread, when there is
    /// word of pipes.
    ///
    /// # Errors
    /// The system has no descriptor or thread left.
    pub fn start(kernel: Kernel, places: Places, clock: Clock, wake: Box<dyn Fn() + Send>) -> io::Result<Self> {
        let (ring, hook) = (kernel.ring_fd().try_clone_to_owned()?, kernel.hook());
        let kernel = Arc::new(Mutex::new(kernel));
        let finder = Finder::start(places, clock, Box::new(Following(Arc::clone(&kernel))), wake)?;
        Ok(Self { kernel, finder, ring, hook })
    }

    /// For `poll`: readable when something came to a ring that had been emptied.
    #[must_use]
    pub fn ring(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// The hook in use.
    #[must_use]
    pub fn hook(&self) -> Hook {
        self.hook
    }

    /// What keeps it from seeing every pipe, in words, once for each kind of trouble that begins.
    #[must_use]
    pub fn take_trouble(&self) -> Option<String> {
        self.finder.take_trouble()
    }
}

impl Tap for EbpfSource {
    fn events(&mut self, out: &mut Vec<PipeEvent>) {
        self.finder.events(out);
        if lock(&self.kernel).collect(usize::MAX).is_skipped {
            out.push(PipeEvent::Skipped);
        }
    }

    fn drain(&mut self, bytes_max: usize, take: &mut dyn FnMut(Fragment<'_>)) -> bool {
        lock(&self.kernel).drain(bytes_max, take)
    }

    fn counters(&self) -> Counters {
        lock(&self.kernel).counters()
    }

    fn take_words(&mut self) -> Vec<String> {
        lock(&self.kernel).take_words()
    }

    fn nudge(&mut self) {
        self.finder.nudge();
    }

    fn memory_bytes(&self) -> usize {
        lock(&self.kernel).memory_bytes()
    }
}

/// The finder's hold of the kernel.
struct Following(Arc<Mutex<Kernel>>);

impl Follow for Following {
    fn follow(&mut self, inode: u64, device: u32, reader: u32, cookie: Cookie) -> io::Result<()> {
        lock(&self.0).follow((inode, as_stat(device)), reader, cookie).map_err(io::Error::other)
    }

    fn unfollow(&mut self, inode: u64, device: u32, _: Cookie) {
        lock(&self.0).unfollow((inode, as_stat(device)));
    }
}

/// From the kernel's own packing of major and minor number to that of `stat`.
fn as_stat(device: u32) -> u64 {
    rustix::fs::makedev(device >> 20, device & 0xf_ffff)
}

fn lock(kernel: &Mutex<Kernel>) -> MutexGuard<'_, Kernel> {
    kernel.lock().unwrap_or_else(PoisonError::into_inner)
}

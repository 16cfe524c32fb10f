//! The kernel's side, attached: which pipes are followed, and what came out of them.
//!
//! In: pipes to follow. Out: fragments, counts, why better hooks were refused. Never: anything pinned, so that nothing
//! is left behind; a hook that was not seen to work.

use super::decode::{decode, fragment};
use super::doubt::{Doubt, Mark};
use super::misses;
use super::refusal::{Refused, chain};
use super::self_test;
use super::tap::Counters;
use crate::clock;
use crate::metrics::label::Hook;
use crate::types::capture::{Cookie, Fragment};
use aya::maps::{HashMap as KernelMap, MapData, MapError, PerCpuArray, RingBuf};
use aya::{Btf, Ebpf};
use penstock_ebpf::{Counts, PipeKey, PipeState, RecordHead};
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use words::Words;

mod object;
mod programs;
mod words;

/// Bytes that are taken out of the ring at once.
const COLLECT_BYTES_MAX: usize = 1 << 20;
/// The smallest ring: it must have room for two of the largest records.
const RING_BYTES_MIN: u32 = 128 * 1024;

/// How often the self-test is tried, where the kernel skips runs.
const SELF_TESTS_MAX: u32 = 5;

/// A pipe could not be followed.
#[derive(Debug, thiserror::Error)]
#[error("following a pipe: {}; the log file is used for it", chain(.0))]
pub struct NotFollowed(#[from] MapError);

/// A hook, attached and seen to work.
pub struct Kernel {
    hook: Hook,
    better_refused: Vec<(Hook, String)>,
    /// Holds programs and links: they go with it.
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    pipes: KernelMap<MapData, [u64; PipeKey::WORDS], [u64; PipeState::WORDS]>,
    readers: KernelMap<MapData, u32, u32>,
    counts: PerCpuArray<MapData, [u64; Counts::WORDS]>,
    followed: HashMap<[u64; PipeKey::WORDS], Followed>,
    /// How many pipes each process reads.
    reader_pipes: HashMap<u32, u32>,
    /// The followings that go on, by cookie.
    cookies: HashMap<u64, Mark>,
    /// Followings that ended, of which records may still be in the ring.
    ending: HashMap<u64, Ending>,
    doubt: Doubt,
    collected: Collected,
    ring_bytes: usize,
    counters: Counters,
    words: Words,
}

struct Followed {
    cookie: u64,
    reader: u32,
}

/// A following that ended.
struct Ending {
    mark: Mark,
    /// The ring was emptied since.
    is_emptied: bool,
}

/// Records taken out of the ring and not handed over yet.
#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    records: Vec<(RecordHead, Range<usize>)>,
    /// Records that were handed over.
    handed: usize,
    has_more: bool,
    wall_offset_ns: i64,
}

/// What a look into the ring found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The kernel skipped runs of a program since the last look: bytes of any pipe may be missing in what is handed over
    /// from now on. Each fragment that may be concerned says itself that a gap is before it.
    pub is_skipped: bool,
}

impl Kernel {
    /// Takes the first of `hooks` that can be loaded and attached, and sees what it should. `ring_bytes` is rounded up to
    /// what the kernel takes (a power of two, 128 KiB at least). Takes up to a second.
    ///
    /// # Errors
    /// None of them works; says why, for each.
    pub fn attach(hooks: &[Hook], ring_bytes: u32) -> Result<Self, Refused> {
        let mut refused = Vec::new();
        for hook in hooks {
            match Self::attach_one(*hook, ring_bytes) {
                Ok(mut kernel) => {
                    kernel.better_refused = refused;
                    return Ok(kernel);
                }
                Err(why) => refused.push((*hook, why)),
            }
        }
        Err(Refused(refused))
    }

    fn attach_one(hook: Hook, ring_bytes: u32) -> Result<Self, String> {
        let ring_bytes = ring_bytes.clamp(RING_BYTES_MIN, 1 << 30).next_power_of_two();
        // Not earlier: the loader has the kernel's types in memory too.
        let mut ebpf = object::load(ring_bytes)?;
        let btf = Btf::from_sys_fs().map_err(|error| chain(&error))?;
        programs::attach(&mut ebpf, hook, &btf)?;
        drop(btf);
        let words = Words::new(&mut ebpf).map_err(|error| chain(&error))?;
        let mut kernel = Self::of(hook, ring_bytes, ebpf, words).map_err(|error| chain(&error))?;
        kernel.test()?;
        Ok(kernel)
    }

    fn test(&mut self) -> Result<(), String> {
        let mut tries = 1;
        while let Err(why) = self_test::run(self) {
            // A run that the kernel skipped says nothing about the hook.
            if tries == SELF_TESTS_MAX || !self.is_skipped() {
                return Err(why);
            }
            tries += 1;
        }
        self.counters = Counters::default();
        self.is_skipped();
        Ok(())
    }

    /// Whether it works with the rights that this thread has now, though it may have had more when it attached. To be called
    /// before a pipe is followed.
    pub fn works(&mut self) -> bool {
        self.skipped_runs().all(|count| count.is_ok()) && self.test().is_ok()
    }

    fn of(hook: Hook, ring_bytes: u32, mut ebpf: Ebpf, words: Words) -> Result<Self, MapError> {
        let mut map = |name: &str| ebpf.take_map(name).ok_or(MapError::InvalidName { name: name.to_owned() });
        Ok(Self {
            hook,
            better_refused: Vec::new(),
            words,
            ring: RingBuf::try_from(map("RING")?)?,
            pipes: KernelMap::try_from(map("PIPES")?)?,
            readers: KernelMap::try_from(map("READERS")?)?,
            counts: PerCpuArray::try_from(map("COUNTS")?)?,
            ebpf,
            followed: HashMap::new(),
            reader_pipes: HashMap::new(),
            cookies: HashMap::new(),
            ending: HashMap::new(),
            doubt: Doubt::default(),
            collected: Collected::default(),
            ring_bytes: usize::try_from(ring_bytes).unwrap_or(usize::MAX),
            counters: Counters::default(),
        })
    }

    /// The hook in use.
    #[must_use]
    pub fn hook(&self) -> Hook {
        self.hook
    }

    /// The hooks that were preferred, and why they could not be taken.
    #[must_use]
    pub fn better_refused(&self) -> &[(Hook, String)] {
        &self.better_refused
    }

    /// For `poll`: readable when records came to a ring that had been emptied.
    #[must_use]
    pub fn ring_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// Follows a pipe (inode and device as `stat` gives them), which the process `reader` reads, by its id in the node's
    /// process namespace. Followed already, it is followed anew: what the earlier following left in the ring is passed
    /// over.
    ///
    /// # Errors
    /// The kernel's table of pipes is full, or the right to change it is gone.
    pub fn follow(&mut self, pipe: (u64, u64), reader: u32, cookie: Cookie) -> Result<(), NotFollowed> {
        self.remove(pipe);
        let key = key(pipe);
        let pipes = self.reader_pipes.get(&reader).copied().unwrap_or(0) + 1;
        self.readers.insert(reader, pipes, 0)?;
        self.reader_pipes.insert(reader, pipes);
        self.followed.insert(key, Followed { cookie: cookie.0, reader });
        self.cookies.insert(cookie.0, self.doubt.mark());
        if let Err(error) = self.pipes.insert(key, PipeState::new(cookie.0, reader).words(), 0) {
            self.remove(pipe);
            return Err(error.into());
        }
        Ok(())
    }

    /// Ends the following of a pipe. What it left in the ring is still handed over.
    pub fn unfollow(&mut self, pipe: (u64, u64)) {
        if let Some((cookie, mark)) = self.remove(pipe) {
            self.ending.insert(cookie, Ending { mark, is_emptied: false });
        }
    }

    /// Gives the cookie of what was followed, and where it stands.
    fn remove(&mut self, pipe: (u64, u64)) -> Option<(u64, Mark)> {
        let key = key(pipe);
        let gone = self.followed.remove(&key)?;
        let mark = self.cookies.remove(&gone.cookie);
        // What is not there any more needs no removing.
        let _absent = self.pipes.remove(&key);
        let pipes = self.reader_pipes.remove(&gone.reader).unwrap_or(0).saturating_sub(1);
        if pipes > 0 {
            self.reader_pipes.insert(gone.reader, pipes);
        } else {
            let _absent = self.readers.remove(&gone.reader);
        }
        mark.map(|mark| (gone.cookie, mark))
    }

    /// How far a pipe is read, as the kernel has it now. `None` where it is not followed.
    #[must_use]
    pub fn state(&self, pipe: (u64, u64)) -> Option<PipeState> {
        self.pipes.get(&key(pipe), 0).ok().map(PipeState::from_words)
    }

    /// Takes what is in the ring, up to `bytes_max` and 1 MiB, unless the last is not handed over yet; then looks whether
    /// the kernel skipped runs. In that order, so that a skipped run is known before what came after it is handed over.
    pub fn collect(&mut self, bytes_max: usize) -> Found {
        if self.collected.handed == self.collected.records.len() {
            self.refill(bytes_max.min(COLLECT_BYTES_MAX));
            self.doubt.refilled(!self.collected.has_more);
        }
        let is_skipped = self.is_skipped();
        if is_skipped {
            self.doubt.skipped();
        }
        Found { is_skipped }
    }

    fn refill(&mut self, bytes_max: usize) {
        let Self { ring, collected, cookies, ending, counters, .. } = self;
        ending.retain(|_, ending| !ending.is_emptied);
        collected.bytes.clear();
        collected.records.clear();
        (collected.handed, collected.has_more) = (0, true);
        collected.wall_offset_ns = clock::wall_less_monotonic_ns();
        while collected.bytes.len() < bytes_max {
            let Some(record) = ring.next() else {
                collected.has_more = false;
                ending.values_mut().for_each(|ending| ending.is_emptied = true);
                break;
            };
            match decode(&record) {
                Err(_) => counters.bad_records += 1,
                Ok((head, _)) if !cookies.contains_key(&head.cookie) && !ending.contains_key(&head.cookie) => {
                    counters.stale_records += 1;
                }
                Ok((head, bytes)) => {
                    let start = collected.bytes.len();
                    collected.bytes.extend_from_slice(bytes);
                    collected.records.push((head, start..collected.bytes.len()));
                }
            }
        }
    }

    /// Memory of the ring, and of what is collected at the most.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.ring_bytes + 2 * COLLECT_BYTES_MAX
    }

    /// Hands over what was collected, oldest first, until `bytes_max` bytes were taken (one record more at the most). The
    /// bytes are lent for the call. True: there is more.
    pub fn drain(&mut self, bytes_max: usize, take: &mut dyn FnMut(Fragment<'_>)) -> bool {
        let collected = &mut self.collected;
        let mut taken = 0;
        while taken < bytes_max {
            let Some((head, range)) = collected.records.get(collected.handed) else { break };
            collected.handed += 1;
            let going = self.cookies.get_mut(&head.cookie);
            let mark = going.or_else(|| self.ending.get_mut(&head.cookie).map(|ending| &mut ending.mark));
            let Some(mark) = mark else {
                self.counters.stale_records += 1;
                continue;
            };
            let bytes = collected.bytes.get(range.clone()).unwrap_or_default();
            taken += bytes.len();
            let mut fragment = fragment(*head, bytes, collected.wall_offset_ns);
            fragment.is_gap_before |= self.doubt.is_apart(mark) && !fragment.is_first;
            take(fragment);
        }
        collected.handed < collected.records.len() || collected.has_more
    }

    fn is_skipped(&mut self) -> bool {
        let skipped_runs = self.skipped_runs().filter_map(Result::ok).sum();
        let before = std::mem::replace(&mut self.counters.skipped_runs, skipped_runs);
        self.counters.skipped_runs > before
    }

    /// Runs that the kernel skipped, of each program that copies.
    fn skipped_runs(&self) -> impl Iterator<Item = io::Result<u64>> {
        let programs = programs::copying(self.hook).iter().filter_map(|name| self.ebpf.program(name)?.fd().ok());
        programs.map(|program| misses::count(program.as_fd()))
    }

    /// What the programs had to say since the last call.
    pub fn take_words(&mut self) -> Vec<String> {
        self.words.take()
    }

    /// The counts until now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let per_processor = self.counts.get(&0, 0).ok();
        let per_processor =
            per_processor.iter().flat_map(|values| values.iter()).map(|words| Counts::from_words(*words));
        per_processor.fold(self.counters, |mut sum, counts| {
            sum.ring_full_records += counts.ring_full_records;
            sum.lost_bytes += counts.lost_bytes;
            sum
        })
    }
}

/// `stat` packs major and minor number in another way than the kernel keeps them.
fn key((inode, device): (u64, u64)) -> [u64; PipeKey::WORDS] {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    PipeKey { inode, device: u64::from(major) << 20 | u64::from(minor) }.words()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's own device numbers are not packed as those of `stat`.
    #[test]
    fn a_device_has_the_kernels_number() {
        assert_eq!(key((7, rustix::fs::makedev(0, 14))), [7, 14]);
        assert_eq!(key((7, rustix::fs::makedev(8, 300))), [7, 8 << 20 | 300]);
    }

    #[test]
    fn it_can_be_given_to_the_data_thread() {
        fn is_send<T: Send>() {}
        is_send::<Kernel>();
    }
}

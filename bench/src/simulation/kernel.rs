//! The kernel's side, faked: bytes leave pipes, records of them reach the agent, or do not.
//!
//! In: what the runtime took out of each pipe, and when. Out: fragments and pipe events, with everything that a real ring
//! does to them: no room, reads that no program saw, skipped runs, delay. Never: bytes that did not leave the pipe.

use penstock::sources::ebpf::tap::{Counters, Tap};
use penstock::types::capture::{Cookie, Fragment, Owner, Pipe, PipeEvent};
use penstock::types::position::StdStream;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Odds {
    /// A record finds no room.
    pub(super) full: f64,
    /// A read that no program saw, or that was split.
    pub(super) unseen: f64,
    /// The kernel skipped a run.
    pub(super) skipped: f64,
    /// A pipe that is not found, or late.
    pub(super) late: f64,
    /// The longest time in which a record may be in the ring and not be handed out yet, ms: one before it is not complete.
    pub(super) delay_ms: u64,
}

#[derive(Debug)]
struct FakePipe {
    owner: Owner,
    std_stream: Option<StdStream>,
    /// The agent follows it as this.
    cookie: Option<Cookie>,
    follow_at: Duration,
    /// Bytes that left it since it is followed.
    sequence: u64,
    has_passed: bool,
    has_gap: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Sent {
    cookie: Cookie,
    sequence: u64,
    is_first: bool,
    is_gap_before: bool,
    read_ns: i64,
    bytes: Vec<u8>,
    due: Duration,
}

/// All pipes of the node, and the ring.
#[derive(Debug)]
pub(super) struct Kernel {
    /// What goes wrong.
    pub(super) odds: Odds,
    /// Since the beginning.
    pub(super) clock: Duration,
    /// There is a kernel source.
    pub(super) is_on: bool,
    pipes: Vec<FakePipe>,
    ring: VecDeque<Sent>,
    events: Vec<PipeEvent>,
    counters: Counters,
    cookies: u64,
    is_followed: bool,
    random: fastrand::Rng,
}

impl Kernel {
    /// Without pipes.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            odds: Odds::default(),
            clock: Duration::ZERO,
            is_on: false,
            pipes: Vec::new(),
            ring: VecDeque::new(),
            events: Vec::new(),
            counters: Counters::default(),
            cookies: 0,
            is_followed: false,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// A container instance starts: its two pipes, by number.
    pub(super) fn open(&mut self, pod_folder: &str, uid: &str, container: &str, restart: u32) -> [usize; 2] {
        let is_exact = self.random.bool();
        [StdStream::Stdout, StdStream::Stderr].map(|std_stream| {
            let owner = if is_exact {
                Owner::Instance { pod_folder: pod_folder.to_owned(), container: container.to_owned(), restart }
            } else {
                Owner::Pod { uid: uid.to_owned() }
            };
            let std_stream = self.random.bool().then_some(std_stream);
            let (follow_at, cookie) = (self.follow_at(), None);
            let (sequence, has_passed, has_gap, is_closed) = (0, false, false, false);
            self.pipes.push(FakePipe {
                owner,
                std_stream,
                cookie,
                follow_at,
                sequence,
                has_passed,
                has_gap,
                is_closed,
            });
            self.pipes.len() - 1
        })
    }

    fn follow_at(&mut self) -> Duration {
        let late_ms = if self.random.f64() < self.odds.late { self.random.u64(..20_000) } else { 0 };
        self.clock + Duration::from_millis(late_ms)
    }

    /// The container instance has ended.
    pub(super) fn close(&mut self, pipes: [usize; 2]) {
        for pipe in pipes {
            self.pipes[pipe].is_closed = true;
            self.events.extend(self.pipes[pipe].cookie.take().map(PipeEvent::Gone));
        }
    }

    /// Time has passed: pipes are found.
    pub(super) fn pass(&mut self, clock: Duration) {
        self.clock = clock;
        if !self.is_on || !self.is_followed {
            return;
        }
        for pipe in self.pipes.iter_mut().filter(|pipe| !pipe.is_closed && pipe.cookie.is_none()) {
            if clock >= pipe.follow_at {
                self.cookies += 1;
                let cookie = Cookie(self.cookies);
                (pipe.cookie, pipe.sequence, pipe.has_gap) = (Some(cookie), 0, false);
                let (owner, std_stream) = (pipe.owner.clone(), pipe.std_stream);
                self.events.push(PipeEvent::Found(Pipe { cookie, owner, std_stream }));
            }
        }
    }

    /// The runtime has read these bytes.
    pub(super) fn left(&mut self, pipe: usize, bytes: &[u8], wall_ns: i64) {
        if bytes.is_empty() {
            return;
        }
        self.pass(self.clock);
        let odds = self.odds;
        let pipe = &mut self.pipes[pipe];
        let is_first = !std::mem::replace(&mut pipe.has_passed, true);
        let Some(cookie) = pipe.cookie else { return };
        if self.random.f64() < odds.skipped {
            self.counters.skipped_runs += 1;
            self.events.push(PipeEvent::Skipped);
            pipe.has_gap = true;
            return;
        }
        if self.random.f64() < odds.unseen {
            pipe.has_gap = true;
            return;
        }
        let sequence = pipe.sequence;
        pipe.sequence += bytes.len() as u64;
        if self.random.f64() < odds.full {
            self.counters.lost_bytes += bytes.len() as u64;
            return;
        }
        let due = self.clock + Duration::from_micros(self.random.u64(..=odds.delay_ms * 1_000));
        let due = due.max(self.ring.back().map_or(due, |last| last.due));
        let is_gap_before = std::mem::take(&mut pipe.has_gap);
        let bytes = bytes.to_vec();
        self.ring.push_back(Sent { cookie, sequence, is_first, is_gap_before, read_ns: wall_ns, bytes, due });
    }

    /// An agent starts: it follows what there is anew.
    pub(super) fn agent_starts(&mut self) {
        self.agent_died();
        self.is_followed = self.is_on;
        for pipe in 0..self.pipes.len() {
            self.pipes[pipe].follow_at = self.follow_at();
        }
    }

    /// Nothing of its followings is left.
    pub(super) fn agent_died(&mut self) {
        self.is_followed = false;
        self.ring.clear();
        self.events.clear();
        self.counters = Counters::default();
        self.pipes.iter_mut().for_each(|pipe| pipe.cookie = None);
    }

    /// When the ring has something next.
    pub(super) fn next_at(&self) -> Option<Duration> {
        let pipes = self.pipes.iter().filter(|pipe| self.is_followed && !pipe.is_closed && pipe.cookie.is_none());
        let found = pipes.map(|pipe| pipe.follow_at).min();
        found.into_iter().chain(self.ring.front().map(|sent| sent.due)).min()
    }
}

/// What the agent holds of it.
#[derive(Clone, Debug)]
pub(super) struct FakeTap(pub(super) Rc<RefCell<Kernel>>);

impl Tap for FakeTap {
    fn take_words(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn events(&mut self, out: &mut Vec<PipeEvent>) {
        out.append(&mut self.0.borrow_mut().events);
    }

    fn drain(&mut self, bytes_max: usize, take: &mut dyn FnMut(Fragment<'_>)) -> bool {
        let mut bytes = 0;
        while bytes < bytes_max {
            let mut kernel = self.0.borrow_mut();
            let clock = kernel.clock;
            let Some(sent) = kernel.ring.pop_front_if(|sent| sent.due <= clock) else { return false };
            drop(kernel);
            bytes += sent.bytes.len();
            let Sent { cookie, sequence, is_first, is_gap_before, read_ns, .. } = sent;
            take(Fragment { cookie, sequence, is_first, is_gap_before, read_ns, written_ns: None, bytes: &sent.bytes });
        }
        true
    }

    fn counters(&self) -> Counters {
        self.0.borrow().counters
    }

    fn nudge(&mut self) {}

    /// The simulated node's, not the agent's.
    fn memory_bytes(&self) -> usize {
        0
    }
}

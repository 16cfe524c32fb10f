//! Looks for pipes again and again, on a thread of its own.
//!
//! In: word that there may be a new container. Out: the kernel side told to follow or to let go, then events for the data
//! thread, which is woken. Never: an event of a pipe that the kernel side does not follow; the same cookie twice.

use super::{Difference, FoundPipe, Looker, Places};
use crate::clock::Clock;
use crate::limits::{
    PIPE_EVENTS_MAX, PIPE_FULL_LOOK_INTERVAL, PIPE_LOOK_INTERVAL, PIPE_LOOK_PAUSE, PIPE_LOOKS_AFTER_WORD,
};
use crate::types::capture::{Cookie, Pipe, PipeEvent};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The kernel side, as far as the finder needs it.
pub trait Follow: Send {
    /// From now on what leaves this pipe is captured under `cookie`. `device` as the kernel encodes it; `reader` is the
    /// thread group that reads it.
    ///
    /// # Errors
    /// The kernel refused. It is tried again at the next look; until then nobody is told of the pipe.
    fn follow(&mut self, inode: u64, device: u32, reader: u32, cookie: Cookie) -> io::Result<()>;

    /// No longer. The reader has closed the pipe, or another following of it begins.
    fn unfollow(&mut self, inode: u64, device: u32, cookie: Cookie);
}

/// The thread, and what it has to tell. Dropping it ends the thread; what is followed stays so.
#[derive(Debug)]
pub struct Finder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Readable while there is word.
    word: OwnedFd,
    is_stopped: AtomicBool,
    events: Mutex<Vec<PipeEvent>>,
    trouble: Mutex<Option<String>>,
}

impl Finder {
    /// Starts to look. `wake` is called after each look that has something to tell. Cookies count up from the wall clock,
    /// so that no later run of the agent gives one again.
    ///
    /// # Errors
    /// The system has no descriptor or thread left.
    pub fn start(
        places: Places,
        clock: Clock,
        follow: Box<dyn Follow>,
        wake: Box<dyn Fn() + Send>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            word: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            is_stopped: AtomicBool::new(false),
            events: Mutex::default(),
            trouble: Mutex::default(),
        });
        let followings = Followings {
            follow,
            next_cookie: u64::try_from(clock.now().wall_ns).unwrap_or(0).max(1),
            all: HashMap::new(),
        };
        let looker = Looker::new(places)?;
        let search = Search { looker, followings, wake, shared: Arc::clone(&shared), clock, told: HashSet::new() };
        let thread = std::thread::Builder::new().name("pipes".into()).spawn(move || search.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// There may be a new container: looks at once, and again and again for a while. Cheap; from any thread.
    pub fn nudge(&self) {
        self.shared.nudge();
    }

    /// Appends what happened since the last call.
    pub fn events(&self, out: &mut Vec<PipeEvent>) {
        out.append(&mut lock(&self.shared.events));
    }

    /// What keeps it from seeing everything, in words, once for each kind of trouble that begins.
    #[must_use]
    pub fn take_trouble(&self) -> Option<String> {
        lock(&self.shared.trouble).take()
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        self.shared.nudge();
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by its own thread.
            let _ended = thread.join();
        }
    }
}

impl Shared {
    fn nudge(&self) {
        // A counter that is full has rung already.
        let _rung = rustix::io::write(&self.word, &1_u64.to_ne_bytes());
    }

    /// True: there was word.
    fn wait(&self, timeout: Duration) -> bool {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        // An error is an interruption, and looking once more does no harm.
        let _ready = poll(&mut [PollFd::new(&self.word, PollFlags::IN)], Some(&timeout));
        rustix::io::read(&self.word, &mut [0; 8]).is_ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread owns.
struct Search {
    looker: Looker,
    followings: Followings,
    wake: Box<dyn Fn() + Send>,
    shared: Arc<Shared>,
    clock: Clock,
    told: HashSet<Kind>,
}

impl Search {
    fn run(mut self) {
        let mut pauses = PIPE_LOOKS_AFTER_WORD.iter();
        let mut full_due = Duration::ZERO;
        while !self.shared.is_stopped.load(Ordering::Relaxed) {
            let is_full = self.clock.now().mono >= full_due;
            let has_room = lock(&self.shared.events).len() < PIPE_EVENTS_MAX;
            if has_room {
                self.look(is_full);
            }
            let now = self.clock.now().mono;
            if is_full {
                full_due = now + PIPE_FULL_LOOK_INTERVAL;
            }
            std::thread::sleep(PIPE_LOOK_PAUSE);
            let pause = pauses.next().copied().unwrap_or(PIPE_LOOK_INTERVAL);
            if self.shared.wait(pause.saturating_sub(PIPE_LOOK_PAUSE)) {
                pauses = PIPE_LOOKS_AFTER_WORD.iter();
            }
        }
    }

    fn look(&mut self, is_full: bool) {
        let (difference, unreadable) = match self.looker.look(is_full) {
            Ok(difference) => (difference, None),
            Err(error) => (Difference::default(), Some(format!("reading the processes of the node: {error}"))),
        };
        let mut events = Vec::new();
        let unfollowed = self.followings.take(&difference, self.looker.pipes(), &mut events);
        if !events.is_empty() {
            lock(&self.shared.events).append(&mut events);
            (self.wake)();
        }
        let Difference { asked, denied, .. } = difference;
        let denied = (denied * 2 > asked).then(|| self::denied(asked, denied));
        let kinds = [(Kind::Denied, denied), (Kind::Unreadable, unreadable), (Kind::Unfollowed, unfollowed)];
        for (kind, trouble) in kinds {
            self.tell(kind, trouble);
        }
    }

    /// Tells of trouble that has just begun. Being refused looks is not news a second time: a quick look asks less, and
    /// so may not meet it.
    fn tell(&mut self, kind: Kind, trouble: Option<String>) {
        let has_ended = trouble.is_none() && kind != Kind::Denied;
        if has_ended {
            self.told.remove(&kind);
        } else if trouble.is_some() && self.told.insert(kind) {
            *lock(&self.shared.trouble) = trouble;
        }
    }
}

/// Kinds of trouble, each told once for as long as it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Denied,
    Unreadable,
    Unfollowed,
}

fn denied(asked: usize, denied: usize) -> String {
    format!(
        "the system does not show the descriptors of {denied} of {asked} processes, so containers' pipes may not be found \
         and their lines come from the log file alone; give the agent CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
    )
}

/// The pipes that the kernel side follows.
struct Followings {
    follow: Box<dyn Follow>,
    next_cookie: u64,
    all: HashMap<u64, Cookie>,
}

impl Followings {
    /// Does what has changed, also what was refused before. Returns why a pipe cannot be followed.
    fn take<'a>(
        &mut self,
        difference: &Difference,
        pipes: impl Iterator<Item = &'a FoundPipe>,
        events: &mut Vec<PipeEvent>,
    ) -> Option<String> {
        for pipe in &difference.gone {
            if let Some(cookie) = self.all.remove(&pipe.inode) {
                self.follow.unfollow(pipe.inode, pipe.device, cookie);
                events.push(PipeEvent::Gone(cookie));
            }
        }
        for pipe in &difference.changed {
            if let Some(cookie) = self.all.get(&pipe.inode) {
                events.push(PipeEvent::Found(told(pipe, *cookie)));
            }
        }
        let mut refused = None;
        for pipe in pipes.filter(|pipe| !self.all.contains_key(&pipe.inode)).collect::<Vec<_>>() {
            let cookie = Cookie(self.next_cookie);
            self.next_cookie += 1;
            match self.follow.follow(pipe.inode, pipe.device, pipe.reader, cookie) {
                Ok(()) => {
                    self.all.insert(pipe.inode, cookie);
                    events.push(PipeEvent::Found(told(pipe, cookie)));
                }
                Err(error) => {
                    refused = Some(format!(
                        "following a pipe of {:?}: {error}; its lines come from the log file until that succeeds",
                        pipe.owner
                    ));
                }
            }
        }
        refused
    }
}

fn told(pipe: &FoundPipe, cookie: Cookie) -> Pipe {
    Pipe { cookie, owner: pipe.owner.clone(), std_stream: pipe.std_stream }
}

//! The thread: what is followed, what is told, in which order.

use super::super::{Finder, Follow};
use super::logger::{Logger, until};
use crate::clock::Clock;
use crate::types::capture::{Cookie, PipeEvent};
use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

/// A kernel that follows what it is told to, and refuses so many times at first.
#[derive(Clone, Default)]
struct Kernel {
    followed: Arc<Mutex<HashMap<Cookie, u64>>>,
    ended: Arc<Mutex<Vec<Cookie>>>,
    refusals: Arc<Mutex<u32>>,
}

impl Follow for Kernel {
    fn follow(&mut self, inode: u64, _: u32, _: u32, cookie: Cookie) -> io::Result<()> {
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(io::Error::other("the map is full"));
        }
        assert!(self.followed.lock().unwrap().insert(cookie, inode).is_none(), "a cookie was given twice");
        Ok(())
    }

    fn unfollow(&mut self, inode: u64, _: u32, cookie: Cookie) {
        assert_eq!(self.followed.lock().unwrap().get(&cookie), Some(&inode));
        self.ended.lock().unwrap().push(cookie);
    }
}

fn start(logger: &Logger, kernel: &Kernel) -> (Finder, Receiver<()>) {
    let (woken, wake): (SyncSender<()>, _) = sync_channel(1_000);
    let wake_up = Box::new(move || woken.send(()).unwrap());
    (Finder::start(logger.places(), Clock::start(), Box::new(kernel.clone()), wake_up).unwrap(), wake)
}

/// Takes events until there are so many.
fn events(finder: &Finder, count: usize) -> Vec<PipeEvent> {
    let mut events = Vec::new();
    until(&format!("{count} events"), || {
        finder.events(&mut events);
        events.len() >= count
    });
    events
}

fn cookies(events: &[PipeEvent]) -> (Vec<Cookie>, Vec<Cookie>) {
    let (mut found, mut gone) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            PipeEvent::Found(pipe) => found.push(pipe.cookie),
            PipeEvent::Gone(cookie) => gone.push(*cookie),
            PipeEvent::Skipped => panic!("nothing is skipped here"),
        }
    }
    gone.sort_unstable();
    (found, gone)
}

#[test]
fn a_pipe_is_followed_before_it_is_told_and_the_data_thread_is_woken() {
    let (mut logger, kernel) = (Logger::start(), Kernel::default());
    logger.spawn("exec sleep 60");
    let (finder, wake) = start(&logger, &kernel);
    wake.recv().unwrap();
    let (found, _) = cookies(&events(&finder, 2));
    assert!(found.len() == 2 && found.iter().all(|cookie| kernel.followed.lock().unwrap().contains_key(cookie)));
}

#[test]
fn a_writer_that_lives_for_50_ms_is_found_and_its_pipes_are_gone_afterwards() {
    let (mut logger, kernel) = (Logger::start(), Kernel::default());
    let (finder, _wake) = start(&logger, &kernel);
    finder.nudge();
    let writer = logger.spawn("exec sleep 0.05");
    finder.nudge();
    let (found, gone) = cookies(&events(&finder, 4));
    assert_eq!((found.len(), &found), (2, &gone));
    let followed = kernel.followed.lock().unwrap();
    assert_eq!((followed[&found[0]], followed[&found[1]]), (writer.out, writer.err));
    assert_eq!(kernel.ended.lock().unwrap().len(), 2);
}

#[test]
fn a_writer_that_is_restarted_has_new_cookies_also_from_one_agent_to_the_next() {
    let (mut logger, kernel) = (Logger::start(), Kernel::default());
    let (finder, _wake) = start(&logger, &kernel);
    let first = logger.spawn("exec sleep 60");
    finder.nudge();
    let (before, _) = cookies(&events(&finder, 2));
    first.kill();
    logger.spawn("exec sleep 60");
    finder.nudge();
    let (after, gone) = cookies(&events(&finder, 4));
    assert_eq!(gone, before);
    drop(finder);
    let (finder, _wake) = start(&logger, &kernel);
    let (restarted, _) = cookies(&events(&finder, 2));
    assert!(before.iter().max() < after.iter().min() && after.iter().max() < restarted.iter().min());
}

#[test]
fn what_the_kernel_refuses_is_said_once_and_tried_again() {
    let (mut logger, kernel) = (Logger::start(), Kernel::default());
    logger.spawn("exec sleep 60");
    *kernel.refusals.lock().unwrap() = 5;
    let (finder, _wake) = start(&logger, &kernel);
    let (found, gone) = cookies(&events(&finder, 2));
    assert_eq!((found.len(), gone.len()), (2, 0));
    let trouble = finder.take_trouble().unwrap();
    assert!(trouble.contains("the map is full") && finder.take_trouble().is_none(), "{trouble}");
}

#[test]
fn without_processes_to_read_it_says_so_once_and_goes_on() {
    let logger = Logger::start();
    let mut places = logger.places();
    places.procfs = logger.folder.path().join("no-procfs");
    let finder = Finder::start(places, Clock::start(), Box::new(Kernel::default()), Box::new(|| {})).unwrap();
    let mut trouble = None;
    until("trouble is told", || {
        trouble = trouble.take().or_else(|| finder.take_trouble());
        trouble.is_some()
    });
    assert!(trouble.unwrap().contains("reading the processes of the node"));
    finder.nudge();
    assert_eq!(finder.take_trouble(), None);
}

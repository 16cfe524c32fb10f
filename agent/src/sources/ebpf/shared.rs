//! One kernel source for several data threads: each takes what is its pods', and puts the others' in their lanes.
//!
//! In: what the tap gives to whoever asks first. Out: to each thread, through [`Tap`], its own pipes' events and fragments, in
//! order. Never: more than [`LANE_BYTES_MAX`] bytes that wait for a thread; one that is late learns that bytes are missing.
//!
//! What comes of a pipe before it is known whose it is goes to all; the others let go of it once it is.

use super::tap::{Counters, Tap};
use crate::limits::LANE_BYTES_MAX;
use crate::types::capture::{Cookie, Fragment, Owner, PipeEvent};
use crate::types::shard::{Shard, uid_in};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a data thread is woken.
pub type Wake = Box<dyn Fn() + Send>;

/// A thread's hold of the common source.
pub struct SharedTap<T> {
    hub: Arc<Mutex<Hub<T>>>,
    shard: Shard,
}

struct Hub<T> {
    tap: T,
    lanes: Vec<Lane>,
    /// Whose pipe it is.
    routes: HashMap<Cookie, usize>,
    /// Pipes of which something went to all.
    strays: HashSet<Cookie>,
    events: Vec<PipeEvent>,
}

/// What waits for one thread.
struct Lane {
    items: VecDeque<Item>,
    bytes: usize,
    /// Bytes were left out: nothing more comes in until all is taken.
    is_torn: bool,
    wake: Wake,
}

enum Item {
    Event(PipeEvent),
    Fragment { head: Fragment<'static>, bytes: Box<[u8]> },
}

impl<T: Tap> SharedTap<T> {
    /// One for each of `wakes`, by which the thread of that place is woken when another has put something in its lane.
    pub fn for_each(tap: T, wakes: Vec<Wake>) -> Vec<Self> {
        let shards = Shard::all(wakes.len());
        let lane = |wake| Lane { items: VecDeque::new(), bytes: 0, is_torn: false, wake };
        let lanes = wakes.into_iter().map(lane).collect();
        let (routes, strays, events) = (HashMap::new(), HashSet::new(), Vec::new());
        let hub = Arc::new(Mutex::new(Hub { tap, lanes, routes, strays, events }));
        shards.map(|shard| Self { hub: Arc::clone(&hub), shard }).collect()
    }

    /// Looks at the source itself.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock().tap)
    }

    fn lock(&self) -> MutexGuard<'_, Hub<T>> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Tap> Tap for SharedTap<T> {
    fn events(&mut self, out: &mut Vec<PipeEvent>) {
        let mut hub = self.lock();
        let Some(lane) = hub.lanes.get_mut(self.shard.index()) else { return };
        lane.take_events(out);
        if lane.items.is_empty() {
            hub.look(self.shard, out);
        }
    }

    fn drain(&mut self, bytes_max: usize, take: &mut dyn FnMut(Fragment<'_>)) -> bool {
        let mut hub = self.lock();
        let Some(lane) = hub.lanes.get_mut(self.shard.index()) else { return false };
        if lane.items.is_empty() {
            return hub.drain(self.shard, bytes_max, take);
        }
        lane.take_fragments(bytes_max, take);
        true
    }

    /// The first thread tells them for all.
    fn counters(&self) -> Counters {
        if self.shard.index() == 0 { self.lock().tap.counters() } else { Counters::default() }
    }

    fn take_words(&mut self) -> Vec<String> {
        self.lock().tap.take_words()
    }

    fn nudge(&mut self) {
        self.lock().tap.nudge();
    }

    /// This thread's share.
    fn memory_bytes(&self) -> usize {
        self.lock().tap.memory_bytes() / self.shard.count()
    }
}

impl<T: Tap> Hub<T> {
    /// Asks the source for events: this thread's own go to `out`.
    fn look(&mut self, asks: Shard, out: &mut Vec<PipeEvent>) {
        if asks.count() == 1 {
            return self.tap.events(out);
        }
        let mut events = std::mem::take(&mut self.events);
        self.tap.events(&mut events);
        for event in events.drain(..) {
            self.pass_on(event, asks, out);
        }
        self.events = events;
    }

    fn pass_on(&mut self, event: PipeEvent, asks: Shard, out: &mut Vec<PipeEvent>) {
        let mut tell = |lanes: &mut Vec<Lane>, to: usize, event: PipeEvent| match lanes.get_mut(to) {
            Some(lane) if to != asks.index() => lane.push(Item::Event(event)),
            _ => out.push(event),
        };
        let all = 0..self.lanes.len();
        match event {
            PipeEvent::Found(pipe) => {
                let (cookie, to) = (pipe.cookie, asks.index_of(uid(&pipe.owner)));
                self.routes.insert(cookie, to);
                if self.strays.remove(&cookie) {
                    all.filter(|other| *other != to)
                        .for_each(|other| tell(&mut self.lanes, other, PipeEvent::Gone(cookie)));
                }
                tell(&mut self.lanes, to, PipeEvent::Found(pipe));
            }
            PipeEvent::Gone(cookie) => match self.routes.remove(&cookie) {
                Some(to) => tell(&mut self.lanes, to, PipeEvent::Gone(cookie)),
                None if self.strays.remove(&cookie) => {
                    all.for_each(|to| tell(&mut self.lanes, to, PipeEvent::Gone(cookie)));
                }
                None => {}
            },
            PipeEvent::Skipped => all.for_each(|to| tell(&mut self.lanes, to, PipeEvent::Skipped)),
        }
    }

    /// Empties the ring: this thread's own fragments go to `take`.
    fn drain(&mut self, asks: Shard, bytes_max: usize, take: &mut dyn FnMut(Fragment<'_>)) -> bool {
        let Self { tap, lanes, routes, strays, .. } = self;
        if asks.count() == 1 {
            return tap.drain(bytes_max, take);
        }
        tap.drain(bytes_max, &mut |fragment| {
            let to = routes.get(&fragment.cookie).copied();
            if to.is_none() {
                strays.insert(fragment.cookie);
            }
            let is_for = |place: &usize| to.is_none_or(|to| to == *place);
            for place in (0..lanes.len()).filter(is_for) {
                match lanes.get_mut(place) {
                    Some(lane) if place != asks.index() => lane.keep(&fragment),
                    _ => take(fragment),
                }
            }
        })
    }
}

impl Lane {
    fn push(&mut self, item: Item) {
        let was_empty = self.items.is_empty();
        self.items.push_back(item);
        if was_empty {
            (self.wake)();
        }
    }

    fn keep(&mut self, fragment: &Fragment<'_>) {
        if self.is_torn {
            return;
        }
        if self.bytes + fragment.bytes.len() > LANE_BYTES_MAX {
            self.is_torn = true;
            self.push(Item::Event(PipeEvent::Skipped));
            return;
        }
        self.bytes += fragment.bytes.len();
        self.push(Item::Fragment { head: Fragment { bytes: &[], ..*fragment }, bytes: fragment.bytes.into() });
    }

    /// The events that stand before the next fragment.
    fn take_events(&mut self, out: &mut Vec<PipeEvent>) {
        while let Some(Item::Event(_)) = self.items.front() {
            if let Some(Item::Event(event)) = self.items.pop_front() {
                out.push(event);
            }
        }
        self.is_torn &= !self.items.is_empty();
    }

    /// The fragments that stand before the next event.
    fn take_fragments(&mut self, bytes_max: usize, take: &mut dyn FnMut(Fragment<'_>)) {
        let mut taken = 0;
        while let Some(Item::Fragment { head, bytes }) = self.items.front()
            && taken < bytes_max
        {
            taken += bytes.len();
            take(Fragment { bytes, ..*head });
            self.items.pop_front();
        }
        self.bytes = self.bytes.saturating_sub(taken);
        self.is_torn &= !self.items.is_empty();
    }
}

fn uid(owner: &Owner) -> &str {
    match owner {
        Owner::Instance { pod_folder, .. } => uid_in(pod_folder),
        Owner::Pod { uid } => uid,
    }
}

#[cfg(test)]
mod tests;

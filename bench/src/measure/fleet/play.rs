//! Many agents before one tenant's limit, under simulated time: the agent's own `Delivery`, and Loki's token bucket.
//!
//! In: who offers how much from when to when, a seed. Out: what of each was stored in each second, and refusals. Never: a
//! clock, or bytes on a wire; an entry's line is one byte that counts as [`ENTRY_BYTES`].

use crate::receiver::bucket::TokenBucket;
use penstock::encode;
use penstock::limits::REQUESTS_IN_FLIGHT;
use penstock::send::deliver::Delivery;
use penstock::send::pace::shared::SharedPace;
use penstock::types::part::{LabelSetId, Part, PartId};
use penstock::types::request::{RequestId, Verdict};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

/// Bytes of an entry as Loki counts.
const ENTRY_BYTES: u64 = 1024;
/// Bytes that an agent with a backlog takes of a label set at once, as `loki.batch_bytes`.
const BATCH_BYTES: u64 = 1 << 20;
/// Label sets of an agent with a backlog, each of which may have a request under way.
const LABEL_SETS: u32 = 4;
/// How long the lines of an agent without one wait for others: nine push times.
const LINGER: Duration = Duration::from_millis(150);
/// From an agent to Loki, or back, ms.
const WAY_MS: Range<f64> = 2.0..15.0;

/// One agent.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// When it runs, seconds.
    pub(super) runs: Range<f64>,
    /// Bytes a second that it offers; `None`: more than it may ever send.
    pub(super) offered: Option<u64>,
}

/// What became of one agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    /// Bytes stored in each second.
    pub(super) stored: Vec<u64>,
    /// Answers and, of these, refusals, in each second.
    pub(super) answers: Vec<[u64; 2]>,
    /// From the first try of what it offered to its answer, the longest.
    pub(super) delay_max: Duration,
}

struct Agent {
    node: Node,
    delivery: Delivery,
    story: Story,
    /// When it is to be looked at, if that is known.
    wakes_at: Option<Duration>,
    /// When a part was last made, without a backlog, and how many were.
    made_at: Duration,
    parts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wakes,
    Arrives(RequestId, u64),
    Answered(RequestId, bool, u64),
}

/// The simulation.
pub(super) struct Play {
    agents: Vec<Agent>,
    /// Entries of a whole batch, all alike.
    entries: Vec<u8>,
    loki: TokenBucket,
    events: BinaryHeap<Reverse<(Duration, u64, usize, Event)>>,
    /// Events so far; of two at one time the older is first.
    number: u64,
    random: fastrand::Rng,
}

/// Plays until `end`; `limit` in bytes per second is the tenant's, and every agent's own.
pub(super) fn play(nodes: Vec<Node>, limit: u64, end: Duration, seed: u64) -> Vec<Story> {
    let seconds = end.as_secs() as usize + 1;
    let agent = |(place, node): (usize, Node)| Agent {
        made_at: Duration::from_secs_f64(node.runs.start),
        delivery: Delivery::new(
            SharedPace::new(limit, 2 * limit),
            REQUESTS_IN_FLIGHT,
            seed.wrapping_mul(1_000_003) + place as u64,
        ),
        story: Story { stored: vec![0; seconds], answers: vec![[0; 2]; seconds], ..Story::default() },
        wakes_at: None,
        parts: 0,
        node,
    };
    let agents: Vec<_> = nodes.into_iter().enumerate().map(agent).collect();
    let mut play = Play {
        loki: TokenBucket::new(limit, 2 * limit, 0),
        events: BinaryHeap::new(),
        number: 0,
        random: fastrand::Rng::with_seed(seed),
        entries: entries(),
        agents,
    };
    for place in 0..play.agents.len() {
        play.wake(place, play.agents[place].made_at);
    }
    while let Some(Reverse((now, _, place, event))) = play.events.pop()
        && now < end
    {
        play.step(now, place, event);
    }
    play.agents.into_iter().map(|agent| agent.story).collect()
}

impl Play {
    fn at(&mut self, at: Duration, place: usize, event: Event) {
        self.number += 1;
        self.events.push(Reverse((at, self.number, place, event)));
    }

    fn wake(&mut self, place: usize, at: Duration) {
        if at < Duration::MAX && self.agents[place].wakes_at.is_none_or(|known| at < known) {
            self.agents[place].wakes_at = Some(at);
            self.at(at, place, Event::Wakes);
        }
    }

    fn way(&mut self) -> Duration {
        Duration::from_secs_f64((WAY_MS.start + self.random.f64() * (WAY_MS.end - WAY_MS.start)) / 1e3)
    }

    fn step(&mut self, now: Duration, place: usize, event: Event) {
        let way = self.way();
        let agent = &mut self.agents[place];
        if now.as_secs_f64() >= agent.node.runs.end {
            return;
        }
        match event {
            Event::Wakes if agent.wakes_at != Some(now) => return,
            Event::Wakes => agent.wakes_at = None,
            Event::Arrives(id, bytes) => {
                let is_stored = self.loki.allow(now.as_nanos() as i64, bytes as usize);
                let second = now.as_secs() as usize;
                agent.story.answers[second][0] += 1;
                agent.story.answers[second][1] += u64::from(!is_stored);
                agent.story.stored[second] += if is_stored { bytes } else { 0 };
                return self.at(now + way, place, Event::Answered(id, is_stored, bytes));
            }
            Event::Answered(id, is_stored, _) => {
                let (status, verdict) = if is_stored { (204, Verdict::Stored) } else { (429, Verdict::TenantRate) };
                let effects = agent.delivery.answered(id, status, verdict, None, now, &|_| "");
                for part in effects.answered {
                    let made_at = Duration::from_nanos(part.oldest_ns.unsigned_abs());
                    agent.story.delay_max = agent.story.delay_max.max(now - made_at);
                }
            }
        }
        self.pump(now, place);
    }

    /// As the pipeline does: what is due goes, then something new is made, in turn.
    fn pump(&mut self, now: Duration, place: usize) {
        loop {
            let agent = &mut self.agents[place];
            let _splits = agent.delivery.cut(now);
            if let Some(due) = agent.delivery.due(now) {
                let (id, bytes) = (due.id, due.parts.iter().map(|part| part.counted_bytes).sum());
                let way = self.way();
                self.at(now + way, place, Event::Arrives(id, bytes));
            } else if !agent.delivery.may_start(now) || !agent.make(now, &self.entries) {
                break;
            }
        }
        let agent = &self.agents[place];
        let offers_at = match agent.node.offered {
            Some(rate) => agent.made_at + pause(rate),
            None if agent.free().is_some() => now,
            None => Duration::MAX,
        };
        let opens_at = agent.delivery.opens_at().max(offers_at);
        let at = agent.delivery.deadline().min(opens_at).max(now + Duration::from_millis(1));
        self.wake(place, at);
    }
}

/// From one request of an agent without a backlog to the next: it holds an entry at the least.
fn pause(rate: u64) -> Duration {
    LINGER.max(Duration::from_secs_f64(ENTRY_BYTES as f64 / rate as f64))
}

fn entries() -> Vec<u8> {
    let mut entries = Vec::new();
    (0..BATCH_BYTES / ENTRY_BYTES).for_each(|_| encode::entry(&mut entries, 1, b"x", &[]));
    entries
}

impl Agent {
    /// A label set without a request.
    fn free(&self) -> Option<LabelSetId> {
        let turn = (0..LABEL_SETS).map(|n| LabelSetId((n + self.parts as u32) % LABEL_SETS));
        turn.into_iter().find(|id| !self.delivery.is_busy(*id))
    }

    /// Makes a request of what is offered; false where there is nothing.
    fn make(&mut self, now: Duration, all: &[u8]) -> bool {
        let bytes = match self.node.offered {
            None => BATCH_BYTES,
            Some(rate) if now < self.made_at + pause(rate) => return false,
            Some(rate) => ((rate as f64 * (now - self.made_at).as_secs_f64()) as u64).min(BATCH_BYTES),
        };
        let Some(label_set) = self.free() else { return false };
        let count = (bytes / ENTRY_BYTES).max(1);
        let entries = all[..all.len() * count as usize / (BATCH_BYTES / ENTRY_BYTES) as usize].to_vec();
        self.parts += 1;
        self.made_at = now;
        self.delivery.add(vec![Part {
            id: PartId(self.parts),
            label_set,
            entries,
            count: count as u32,
            counted_bytes: count * ENTRY_BYTES,
            oldest_ns: now.as_nanos() as i64,
            ..Part::default()
        }]);
        true
    }
}

//! Each thread gets its pipes' events and fragments, all, in order, whoever looks into the ring.

use super::*;
use crate::types::capture::Pipe;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

const PIPES: u64 = 8;

/// What the kernel has to give, in order.
#[derive(Clone, Debug)]
enum Given {
    Event(PipeEvent),
    Bytes(Cookie, u64, Vec<u8>),
}

#[derive(Default)]
struct Script {
    coming: VecDeque<Vec<Given>>,
    ring: VecDeque<Given>,
}

impl Tap for Script {
    /// Nothing new while the ring is not empty: with how much at once it is emptied then changes no order.
    fn events(&mut self, out: &mut Vec<PipeEvent>) {
        if !self.ring.is_empty() {
            return;
        }
        for given in self.coming.pop_front().unwrap_or_default() {
            match given {
                Given::Event(event) => out.push(event),
                bytes @ Given::Bytes(..) => self.ring.push_back(bytes),
            }
        }
    }

    fn drain(&mut self, bytes_max: usize, take: &mut dyn FnMut(Fragment<'_>)) -> bool {
        let mut taken = 0;
        while taken < bytes_max
            && let Some(Given::Bytes(cookie, sequence, bytes)) = self.ring.pop_front()
        {
            taken += bytes.len();
            take(fragment(cookie, sequence, &bytes));
        }
        !self.ring.is_empty()
    }

    fn counters(&self) -> Counters {
        Counters { skipped_runs: 3, ..Counters::default() }
    }

    fn take_words(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn nudge(&mut self) {}

    fn memory_bytes(&self) -> usize {
        100
    }
}

fn fragment(cookie: Cookie, sequence: u64, bytes: &[u8]) -> Fragment<'_> {
    Fragment { cookie, sequence, is_first: false, is_gap_before: false, read_ns: 1, written_ns: None, bytes }
}

fn uid_of(cookie: u64) -> String {
    format!("uid-{}", cookie / 2)
}

fn found(cookie: u64) -> PipeEvent {
    let owner = if cookie.is_multiple_of(3) {
        Owner::Pod { uid: uid_of(cookie) }
    } else {
        let pod_folder = format!("ns_pod_{}", uid_of(cookie));
        Owner::Instance { pod_folder, container: "main".into(), restart: 0 }
    };
    PipeEvent::Found(Pipe { cookie: Cookie(cookie), owner, std_stream: None })
}

/// What a thread was given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Event(PipeEvent),
    Bytes(Cookie, u64, Vec<u8>),
}

fn turn(tap: &mut SharedTap<Script>, bytes_max: usize, got: &mut Vec<Got>) -> bool {
    let mut events = Vec::new();
    tap.events(&mut events);
    got.extend(events.into_iter().map(Got::Event));
    tap.drain(bytes_max, &mut |part| got.push(Got::Bytes(part.cookie, part.sequence, part.bytes.to_vec())))
}

fn taps(threads: usize, coming: VecDeque<Vec<Given>>) -> (Vec<SharedTap<Script>>, Arc<AtomicUsize>) {
    let woken = Arc::new(AtomicUsize::new(0));
    let wake = |_| -> Wake {
        let woken = Arc::clone(&woken);
        Box::new(move || {
            woken.fetch_add(1, Ordering::Relaxed);
        })
    };
    let script = Script { coming, ring: VecDeque::new() };
    (SharedTap::for_each(script, (0..threads).map(wake).collect()), woken)
}

/// A life of pipes: found before or after their first bytes, written to, gone.
fn lives() -> impl Strategy<Value = VecDeque<Vec<Given>>> {
    let act = (0..PIPES, 0_u8..6);
    prop::collection::vec(prop::collection::vec(act, 0..12), 1..12).prop_map(|looks| {
        let mut states = [(false, false, 0_u64); PIPES as usize];
        let look = |acts: Vec<(u64, u8)>| {
            // Within a look the source tells its events first.
            let (mut events, mut bytes) = (Vec::new(), Vec::new());
            for (pipe, act) in acts {
                let (is_found, is_gone, sequence) = &mut states[pipe as usize];
                match act {
                    _ if *is_gone => {}
                    0 if !*is_found => {
                        *is_found = true;
                        events.push(Given::Event(found(pipe)));
                    }
                    1 => events.push(Given::Event(PipeEvent::Skipped)),
                    2 if *is_found && bytes.is_empty() => {
                        *is_gone = true;
                        events.push(Given::Event(PipeEvent::Gone(Cookie(pipe))));
                    }
                    _ => {
                        bytes.push(Given::Bytes(Cookie(pipe), *sequence, vec![pipe as u8; 3]));
                        *sequence += 3;
                    }
                }
            }
            events.into_iter().chain(bytes).collect()
        };
        looks.into_iter().map(look).collect()
    })
}

/// What one thread alone is given, of the pipes that are `shard`'s.
fn alone(coming: &VecDeque<Vec<Given>>, shard: Shard) -> Vec<Got> {
    let (mut taps, _) = taps(1, coming.clone());
    let mut got = Vec::new();
    for _ in 0..coming.len() {
        while turn(&mut taps[0], usize::MAX, &mut got) {}
    }
    got.retain(|got| match got {
        Got::Event(PipeEvent::Found(pipe)) => shard.owns(uid(&pipe.owner)),
        Got::Event(PipeEvent::Gone(cookie)) | Got::Bytes(cookie, ..) => shard.owns(&uid_of(cookie.0)),
        Got::Event(PipeEvent::Skipped) => true,
    });
    got
}

proptest! {
    #[test]
    fn each_thread_gets_what_one_alone_would_get_of_its_pods(
        coming in lives(),
        threads in 2_usize..5,
        turns in prop::collection::vec((0_usize..5, 1_usize..9), 0..60),
    ) {
        let (mut taps, _) = taps(threads, coming.clone());
        let mut got = vec![Vec::new(); threads];
        for (thread, bytes_max) in turns {
            let thread = thread % threads;
            turn(&mut taps[thread], bytes_max, &mut got[thread]);
        }
        for _ in 0..=coming.len() {
            for (tap, got) in taps.iter_mut().zip(&mut got) {
                while turn(tap, usize::MAX, got) {}
            }
        }
        for (shard, mut got) in Shard::all(threads).zip(got) {
            // What came before it was known whose it is, and that it is let go.
            got.retain(|got| match got {
                Got::Event(PipeEvent::Gone(cookie)) | Got::Bytes(cookie, ..) => shard.owns(&uid_of(cookie.0)),
                Got::Event(_) => true,
            });
            prop_assert_eq!(got, alone(&coming, shard));
        }
    }
}

#[test]
fn a_thread_that_is_late_learns_that_bytes_are_missing_and_goes_on() {
    let piece = vec![b'x'; LANE_BYTES_MAX / 4];
    let [here, there] =
        [0, 1].map(|index| (0..PIPES).find(|pipe| Shard::all(2).nth(index).unwrap().owns(&uid_of(*pipe))));
    let (here, there) = (here.unwrap(), there.unwrap());
    let bytes = |n: u64| Given::Bytes(Cookie(there), n * piece.len() as u64, piece.clone());
    let mut first = vec![Given::Event(found(here)), Given::Event(found(there))];
    first.extend((0..9).map(bytes));
    let (mut taps, woken) = taps(2, VecDeque::from([first, Vec::new(), vec![bytes(9)]]));
    let mut got = [Vec::new(), Vec::new()];
    while turn(&mut taps[0], usize::MAX, &mut got[0]) {}
    assert_eq!(got[0].len(), 1, "{:?}", got[0]);
    assert!(woken.load(Ordering::Relaxed) > 0);
    while turn(&mut taps[1], usize::MAX, &mut got[1]) {}
    let kept = got[1].iter().filter(|got| matches!(got, Got::Bytes(..))).count();
    assert_eq!(kept, 4, "as much as a lane holds");
    assert_eq!(got[1].last(), Some(&Got::Event(PipeEvent::Skipped)));
    while turn(&mut taps[0], usize::MAX, &mut got[0]) {}
    while turn(&mut taps[1], usize::MAX, &mut got[1]) {}
    assert!(matches!(got[1].last(), Some(Got::Bytes(_, sequence, _)) if *sequence == 9 * piece.len() as u64));
}

#[test]
fn the_counts_are_told_once() {
    let (taps, _) = taps(2, VecDeque::new());
    let told: Vec<u64> = taps.iter().map(|tap| tap.counters().skipped_runs).collect();
    assert_eq!((told, taps[1].memory_bytes()), (vec![3, 0], 50));
}

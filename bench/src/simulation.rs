//! The pure rooms under a fake disk, clock and Loki, driven by a seed.
//!
//! In: a seed, and which witnesses there are. Out: nothing, or the rule that was broken, with the seed. `cargo xtask soak
//! simulation --seed N` (with the log files alone; `handover` for both witnesses) plays N and those after it;
//! `SIMULATION_SEED=N cargo test -p penstock-bench --test simulation` plays N alone, with either.
//!
//! Containers write, their files are rotated, packed, copied and emptied, deleted; they restart; pods come late, go,
//! are deselected, change labels; Loki refuses, stalls, forgets to answer; watches are refused, changes lost; the
//! clock steps; the kernel's ring loses, delays and gives; the runtime holds back; the agent crashes at any call to the
//! outside, or is stopped. At the end all is well and quiet, and:
//!
//! 1. every line is stored, or refused with a reason that is counted, or its loss is counted and has a cause;
//! 2. without a crash, and where Loki stored nothing in silence, it is stored once; else what comes again is equal in
//!    label set, time, text and metadata;
//! 3. lines of one std stream and label set arrive in the order of writing, and times do not go back;
//! 4. equal lines are stored apart: Loki holds as many entries as lines were written;
//! 5. no saved position passes a line that Loki has not answered for;
//! 6. memory stays within its budget;
//! 7. nothing panics;
//! 8. everything drains within bounded simulated time;
//! 9. where the runtime holds lines back for seconds, or the agent is not told that a file has grown, captured lines go
//!    out alone: then lines may come again otherwise, or late, at most as many as the agent counted as not confirmed, or
//!    would tell of if it ended now;
//!    without that all of the above holds with the kernel source as it does without;
//! 10. afterwards, with all well, each line is stored within seconds, also in the file after a rotation.

mod disk;
mod gone;
mod kernel;
mod life;
mod lines;
mod loki;
mod node;
mod play;
mod rules;

pub use play::{Outcome, play};

/// Which witnesses the agent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witnesses {
    /// The log files alone.
    File,
    /// The kernel as well.
    Both,
}

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What many seeds did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    seeds: u64,
    sum: Outcome,
}

impl fmt::Display for Total {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { lines, doubled, excused, restarts, ahead, unconfirmed } = self.sum;
        write!(
            to,
            "{} seeds: {lines} lines, {restarts} lives of the agent; {doubled} lines came again where that is right, \
             {excused} were gone before anybody could read them; {ahead} were shipped from the kernel's ring, \
             {unconfirmed} of these not confirmed by the file",
            self.seeds
        )
    }
}

/// Plays `count` seeds from `first` on, on all cores.
///
/// # Errors
/// The seeds with which a rule was broken, and which rule: the first ten.
pub fn run(witnesses: Witnesses, first: u64, count: u64) -> Result<Total, String> {
    let (next, total, broken) = (AtomicU64::new(first), Mutex::new(Total::default()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let outcome = catch_unwind(AssertUnwindSafe(|| play(witnesses, seed, count == 1)))
                        .unwrap_or_else(|_| Err("it panicked".into()));
                    match (outcome, total.lock(), broken.lock()) {
                        (Ok(one), Ok(mut total), _) => total.add(one),
                        (Err(rule), _, Ok(mut broken)) if broken.len() < 10 => {
                            broken.push(format!("seed {seed}: {rule}"))
                        }
                        _ => return,
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap_or_default();
    if broken.is_empty() { Ok(total.into_inner().unwrap_or_default()) } else { Err(broken.join("\n")) }
}

impl Total {
    fn add(&mut self, one: Outcome) {
        self.seeds += 1;
        self.sum.lines += one.lines;
        self.sum.doubled += one.doubled;
        self.sum.excused += one.excused;
        self.sum.restarts += one.restarts;
        self.sum.ahead += one.ahead;
        self.sum.unconfirmed += one.unconfirmed;
    }
}

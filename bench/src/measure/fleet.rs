//! A fleet before one tenant's limit: 10, 100 and 1,000 agents that offer more than they may send and do not know of each
//! other. A tenth joins at 90 s, a tenth leaves at 180 s.
//!
//! In: a seed. Out: how much of the limit was used, how evenly, with how many refusals, and how soon. Never: a clock or a
//! socket; time is simulated, what decides is the agent's own `Delivery` and its `Pace`.

mod play;

use super::Bench;
use super::row::{Row, Rows, share};
use crate::receiver::Limits;
use anyhow::Result;
use play::{Node, Story, play};
use std::ops::Range;
use std::time::Duration;

/// Goodput is compared over so many seconds: a request at a thousandth of the limit is worth half a second, and a few that
/// are refused or not are luck.
const WINDOW: usize = 30;
/// When something changes for the fleet, and the end, seconds.
const CHANGES: [usize; 4] = [0, 90, 180, 270];
/// So long after a change it is to be well again, seconds.
const SETTLED: usize = 60;
/// Even enough, of 1.
const JAIN_MIN: f64 = 0.95;
/// Used enough, of 1.
const USED_MIN: f64 = 0.9;

/// Figures of one size.
#[derive(Clone, Copy, Debug)]
struct Figures {
    /// The smallest share of the limit in a window that ends in a settled time.
    used: f64,
    /// The smallest index of fairness there.
    jain: f64,
    refused_per_s: f64,
    refused_share: f64,
    /// From a change to the end of the first window after it that is even and used enough, the longest, seconds.
    converged: Option<usize>,
    /// Of agents that offer a tenth of a share: the share of refusals, and the longest delay.
    quiet_refused_share: f64,
    quiet_delay: Duration,
}

/// Plays it.
///
/// # Errors
/// The row cannot be written.
pub fn play_scenario(bench: &Bench, rows: &mut Rows) -> Result<()> {
    for agents in [10, 100, 1_000] {
        let figures = figures(agents, bench.seed);
        rows.tell(Row {
            scenario: "fleet".into(),
            target: "penstock".into(),
            corpus: format!("{agents} agents"),
            limit_share: Some(figures.used),
            jain: Some(figures.jain),
            refused_per_s: Some(figures.refused_per_s),
            refused_share: Some(figures.refused_share),
            converged_s: figures.converged.map(|seconds| seconds as f64),
            ..Row::default()
        })?;
        println!(
            "      agents that offer a tenth of a share: {:.2} % of their requests refused, {:.1} s at the most to the answer",
            figures.quiet_refused_share * 100.0,
            figures.quiet_delay.as_secs_f64()
        );
    }
    Ok(())
}

/// A fleet of `agents` that offer too much, and one more in twenty that offers little.
fn figures(agents: usize, seed: u64) -> Figures {
    let limit = Limits::default().ingestion_rate;
    let [_, joins, leaves, end] = CHANGES;
    let tenth = (agents / 10).max(1);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut nodes = Vec::new();
    for place in 0..agents {
        let until = if place < tenth { leaves } else { end };
        nodes.push(Node { runs: random.f64() * 2.0..until as f64, offered: None });
    }
    for _ in 0..tenth {
        nodes.push(Node { runs: joins as f64 + random.f64()..end as f64, offered: None });
    }
    for _ in 0..agents.div_ceil(20) {
        let offered = limit / (10 * agents as u64);
        nodes.push(Node { runs: random.f64() * 2.0..end as f64, offered: Some(offered) });
    }
    let stories = play(nodes.clone(), limit, Duration::from_secs(end as u64), seed);
    sum_up(&nodes, &stories, limit)
}

fn sum_up(nodes: &[Node], stories: &[Story], limit: u64) -> Figures {
    let (loud, quiet): (Vec<_>, Vec<_>) = nodes.iter().zip(stories).partition(|(node, _)| node.offered.is_none());
    let is_well = |at: usize| jain(&loud, &window(at)) >= JAIN_MIN && used(stories, limit, &window(at)) >= USED_MIN;
    let mut figures = Figures {
        used: 1.0,
        jain: 1.0,
        refused_per_s: 0.0,
        refused_share: 0.0,
        converged: Some(0),
        quiet_refused_share: 0.0,
        quiet_delay: quiet.iter().map(|(_, story)| story.delay_max).max().unwrap_or_default(),
    };
    let (mut answers, mut refused, mut seconds) = (0, 0, 0);
    for change in CHANGES.windows(2) {
        let (from, until) = (change[0], change[1]);
        // Those that join come within a second.
        let converged = (from + WINDOW + 2..=until).find(|at| is_well(*at)).map(|at| at - from);
        figures.converged = figures.converged.zip(converged).map(|(a, b)| a.max(b));
        for at in from + SETTLED..=until {
            figures.used = figures.used.min(used(stories, limit, &window(at)));
            figures.jain = figures.jain.min(jain(&loud, &window(at)));
        }
        let [all, of_these] = answered(stories.iter(), from + SETTLED..until);
        (answers, refused, seconds) = (answers + all, refused + of_these, seconds + until - from - SETTLED);
    }
    figures.refused_per_s = refused as f64 / seconds as f64;
    figures.refused_share = share(refused as f64, answers as f64);
    let [all, refused] = answered(quiet.iter().map(|(_, story)| *story), SETTLED..CHANGES[3]);
    figures.quiet_refused_share = share(refused as f64, all as f64);
    figures
}

/// The seconds of the window that ends at `at`.
fn window(at: usize) -> Range<usize> {
    at - WINDOW..at
}

fn answered<'a>(stories: impl Iterator<Item = &'a Story>, seconds: Range<usize>) -> [u64; 2] {
    let each = stories.flat_map(|story| &story.answers[seconds.clone()]);
    each.fold([0; 2], |sum, one| [sum[0] + one[0], sum[1] + one[1]])
}

fn used(stories: &[Story], limit: u64, seconds: &Range<usize>) -> f64 {
    let stored: u64 = stories.iter().flat_map(|story| &story.stored[seconds.clone()]).sum();
    stored as f64 / (limit * seconds.len() as u64) as f64
}

/// Jain's index of what the agents that run all the time got: 1 where all got the same, 1/n where one got all.
fn jain(agents: &[(&Node, &Story)], seconds: &Range<usize>) -> f64 {
    let runs = |node: &Node| node.runs.start < seconds.start as f64 + 2.0 && node.runs.end >= seconds.end as f64;
    let there = agents.iter().filter(|(node, _)| runs(node));
    let stored: Vec<f64> = there.map(|(_, story)| story.stored[seconds.clone()].iter().sum::<u64>() as f64).collect();
    let (sum, squares) = (stored.iter().sum::<f64>(), stored.iter().map(|bytes| bytes * bytes).sum::<f64>());
    share(sum * sum, squares * stored.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_well(agents: usize) {
        let figures = figures(agents, 1);
        println!("{agents}: {figures:?}");
        assert!(figures.used >= USED_MIN && figures.jain >= JAIN_MIN, "{figures:?}");
        assert!(figures.converged.is_some_and(|seconds| seconds <= SETTLED), "{figures:?}");
        assert!(figures.refused_share < 0.1 && figures.quiet_refused_share < 0.02, "{figures:?}");
        assert!(figures.quiet_delay < Duration::from_secs(3), "{figures:?}");
    }

    /// Rule: whatever the size of a fleet, each gets its share within a minute, also after some came or went.
    #[test]
    fn ten_share_a_limit() {
        is_well(10);
    }

    #[test]
    fn a_hundred_share_a_limit() {
        is_well(100);
    }

    /// Rule: one agent alone whose own rate is the tenant's uses it, and is hardly refused.
    #[test]
    fn one_alone_uses_what_it_may_send() {
        let limit = Limits::default().ingestion_rate;
        let stories = play(vec![Node { runs: 0.0..90.0, offered: None }], limit, Duration::from_secs(90), 1);
        assert!(used(&stories, limit, &(15..90)) > 0.97, "{}", used(&stories, limit, &(15..90)));
        let [all, refused] = answered(stories.iter(), 0..90);
        println!("{refused} of {all}, {:.4} used", used(&stories, limit, &(15..90)));
        assert!(refused * 100 < all, "{refused} of {all}");
    }

    /// Rule: the same seed gives the same figures.
    #[test]
    fn a_seed_is_a_run() {
        let run = |seed| {
            let stories =
                play(vec![Node { runs: 0.0..20.0, offered: None }; 3], 30 << 20, Duration::from_secs(20), seed);
            stories.into_iter().map(|story| story.stored).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}

//! `cargo xtask bench`: what the agent does for its processor time, beside what this machine could do at all.
//!
//! In: scenarios, sizes, a seed. Out: one row a scenario, and one JSON object each in `target/bench/results.jsonl`. Never: a
//! figure of an earlier run, or a setting that only the bench has.
//!
//! A new scenario is a file below and a row of [`SCENARIOS`].

pub mod corpus;
pub mod floor;
pub mod row;
pub mod sink;
pub mod tail;
pub mod target;

use crate::agent::{self, project};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// What every scenario is given.
#[derive(Debug)]
pub struct Bench {
    /// The agent's program, optimised.
    pub agent: PathBuf,
    /// Folder for what is written; on the disk of the project.
    pub folder: PathBuf,
    /// Bytes of log files to catch up on.
    pub bytes: u64,
    /// Runs of which the median is told.
    pub runs: usize,
    /// The same seed gives the same lines, but for their times.
    pub seed: u64,
}

/// One scenario.
pub struct Scenario {
    /// On the command line.
    pub name: &'static str,
    /// What it measures.
    pub what: &'static str,
    /// Measures it, and tells its rows.
    pub play: fn(&Bench, &mut row::Rows) -> Result<()>,
}

/// All of them, in the order in which they are played.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "floor", what: "the parts alone, on one core: what no agent can beat here", play: floor::play },
    Scenario { name: "tail", what: "catching up on log files that are there", play: tail::play },
];

/// The arguments of `cargo xtask bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// Only these scenarios.
    pub only: Vec<String>,
    /// Size of the log files to catch up on, MB
    #[arg(long, default_value_t = 1_000)]
    pub megabytes: u64,
    /// Runs of which the median is told
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// Seed of the lines
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Plays the scenarios.
///
/// # Errors
/// A name that there is not, or something could not be started.
pub fn run(args: &BenchArgs) -> Result<()> {
    for name in &args.only {
        let known: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        ensure!(known.contains(&name.as_str()), "there is no scenario {name}; there are {}", known.join(", "));
    }
    println!("building the agent, optimised …");
    let agent = agent::build(true)?;
    let folder = project().join("target/bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let (bytes, runs) = (args.megabytes * 1_000_000, args.runs.max(1));
    let mut rows = row::Rows::open(&folder.join("results.jsonl"))?;
    let bench = Bench { agent, folder, bytes, runs, seed: args.seed };
    let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    for scenario in SCENARIOS.iter().filter(|scenario| is_wanted(scenario.name)) {
        println!("── {}: {} (seed {}, medians of {runs})", scenario.name, scenario.what, args.seed);
        (scenario.play)(&bench, &mut rows).with_context(|| format!("scenario {}", scenario.name))?;
    }
    Ok(())
}

//! `cargo xtask bench`: what the agent does for its processor time, beside what this machine could do at all.
//!
//! In: scenarios, sizes, a seed. Out: one row a scenario, and one JSON object each in `target/bench/results.jsonl`. Never: a
//! figure of an earlier run, or a setting that only the bench has.
//!
//! A new scenario is a file below and a row of [`SCENARIOS`].

pub mod corpus;
pub mod fleet;
pub mod floor;
pub mod guard;
pub mod hot_path;
pub mod idle;
pub mod latency;
pub mod limits;
pub mod micro;
pub mod overhead;
pub mod report;
pub mod row;
pub mod sink;
pub mod steady;
pub mod tail;
pub mod target;
pub mod threads;
pub mod tune;
pub mod turns;

use crate::agent::{self, project};
use crate::rival::Rival;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::time::Duration;
use target::Target;

/// What every scenario is given.
#[derive(Debug)]
pub struct Bench {
    /// The agent's program, optimised.
    pub agent: PathBuf,
    /// What is measured where others can be, ours first.
    pub targets: Vec<Target>,
    /// Folder for what is written; on the disk of the project.
    pub folder: PathBuf,
    /// Bytes of log files to catch up on.
    pub bytes: u64,
    /// Runs of which the median is told.
    pub runs: usize,
    /// How long what goes on is looked at.
    pub time: Duration,
    /// The same seed gives the same lines, but for their times.
    pub seed: u64,
}

/// One scenario.
pub struct Scenario {
    /// On the command line.
    pub name: &'static str,
    /// What it measures.
    pub what: &'static str,
    /// It is run as often as asked for, and the median told; else it is one long run.
    pub is_repeated: bool,
    /// Measures it, and tells its rows.
    pub play: fn(&Bench, &mut row::Rows) -> Result<()>,
}

/// All of them, in the order in which they are played.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "floor", what: "the parts alone, on one core", is_repeated: true, play: floor::play },
    Scenario { name: "tail", what: "catching up on log files that are there", is_repeated: true, play: tail::play },
    Scenario {
        name: "steady",
        what: "30 MB/s as Loki counts, with a burst of 60 MB in it",
        is_repeated: true,
        play: steady::play,
    },
    Scenario { name: "latency", what: "from a line's write to its arrival", is_repeated: true, play: latency::play },
    Scenario { name: "overhead", what: "what a system call takes longer", is_repeated: false, play: overhead::play },
    Scenario { name: "idle", what: "containers that write nothing", is_repeated: true, play: idle::play },
    Scenario { name: "limits", what: "45 MB/s offered where 30 are allowed", is_repeated: true, play: limits::play },
    Scenario {
        name: "fleet",
        what: "10, 100, 1,000 agents before one limit, simulated",
        is_repeated: false,
        play: fleet::play_scenario,
    },
    Scenario {
        name: "threads",
        what: "catching up with more than one data thread",
        is_repeated: true,
        play: threads::play,
    },
    Scenario { name: "micro", what: "the hot rooms alone, by criterion", is_repeated: false, play: micro::play },
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
    /// How long what goes on without end is looked at, seconds
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Seed of the lines
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Program of Fluent Bit, to measure beside ours
    #[arg(long)]
    pub fluent_bit: Option<PathBuf>,
    /// Program of Vector, to measure beside ours
    #[arg(long)]
    pub vector: Option<PathBuf>,
    /// Program of Promtail, to measure beside ours
    #[arg(long)]
    pub promtail: Option<PathBuf>,
    /// Write a report of this run, with plots, to target/bench/report
    #[arg(long)]
    pub report: bool,
    /// Instead of measuring: search the settings that suit this node
    #[arg(long, conflicts_with = "guard")]
    pub tune: bool,
    /// With --tune: what is to be good
    #[arg(long, value_enum, default_value_t = tune::Aim::Cpu, requires = "tune")]
    pub aim: tune::Aim,
    /// With --tune --aim cpu: the load, MB of log files a second
    #[arg(long, default_value_t = 10.0, requires = "tune")]
    pub load: f64,
    /// Instead of measuring: count the instructions of the data path, and compare with the committed figures
    #[arg(long)]
    pub guard: bool,
    /// With --guard: commit what is counted
    #[arg(long, requires = "guard")]
    pub write: bool,
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
    let time = Duration::from_secs(args.seconds.max(1));
    let bench = Bench { agent, targets: targets(args), folder, bytes, runs, time, seed: args.seed };
    let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    for scenario in SCENARIOS.iter().filter(|scenario| is_wanted(scenario.name)) {
        let times = if scenario.is_repeated { format!("medians of {runs}") } else { "one run".to_owned() };
        println!("── {}: {} (seed {}, {times})", scenario.name, scenario.what, args.seed);
        (scenario.play)(&bench, &mut rows).with_context(|| format!("scenario {}", scenario.name))?;
    }
    if args.report {
        let to = bench.folder.join("report");
        if to.exists() {
            // Plots of an earlier run do not belong to this one.
            std::fs::remove_dir_all(&to)?;
        }
        std::fs::create_dir_all(&to)?;
        report::write(&rows.told, &how(args), &to)?;
        println!("report: {}", to.join("report.md").display());
    }
    Ok(())
}

fn targets(args: &BenchArgs) -> Vec<Target> {
    let rivals = rivals(args).map(|(name, program)| Target::Rival(Rival { name, program: program.clone() }));
    std::iter::once(Target::Penstock).chain(rivals).collect()
}

/// Those that were given, by name.
fn rivals(args: &BenchArgs) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    let all = [("fluent-bit", &args.fluent_bit), ("vector", &args.vector), ("promtail", &args.promtail)];
    all.into_iter().filter_map(|(name, program)| Some((name, program.as_ref()?)))
}

/// With which command, and on what machine.
fn how(args: &BenchArgs) -> String {
    let first_line = |path: &str, name: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.rsplit(':').next().unwrap_or_default().trim().to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let only: String = args.only.iter().map(|name| format!(" {name}")).collect();
    let rivals: String = rivals(args).map(|(name, _)| format!(" --{name} PATH")).collect();
    format!(
        "`cargo xtask bench{only} --megabytes {} --runs {} --seconds {} --seed {}{rivals}`, on {cores} cores of {}, Linux {}.",
        args.megabytes,
        args.runs,
        args.seconds,
        args.seed,
        first_line("/proc/cpuinfo", "model name"),
        first_line("/proc/sys/kernel/osrelease", "")
    )
}

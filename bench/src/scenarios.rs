//! The long tests: the agent as a process, under load and trouble, in a small form for CI and at full size.
//!
//! In: which ones, how large. Out: one block of text a scenario, with its figures, and a verdict. Never: real
//! containers (that is `e2e`), nor anything left behind.
//!
//! A new scenario is a file below and a row of [`SCENARIOS`].

pub mod formats;
pub mod idle;
pub mod kills;
pub mod memory;
pub mod outage;
pub mod rotation;
pub mod simulation;
pub mod stage;

use crate::{agent, clock};
use anyhow::{Context, Result, ensure};
use stage::Stage;

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// What CI has time for.
    Small,
    /// What is promised.
    Full,
}

/// One long test.
pub struct Scenario {
    /// On the command line.
    pub name: &'static str,
    /// The rule that it guards.
    pub what: &'static str,
    /// Plays it. True: the rule held.
    pub play: fn(&mut Stage, Size) -> Result<bool>,
}

/// All of them, in the order in which they are played.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "rotation",
        what: "nothing is lost, doubled or altered while files are rotated every 200 ms",
        play: rotation::play,
    },
    Scenario {
        name: "formats",
        what: "files of containerd, conmon and docker give the same lines",
        play: formats::play,
    },
    Scenario { name: "kills", what: "kill -9 at random moments under load loses nothing", play: kills::play },
    Scenario {
        name: "outage",
        what: "what is written and rotated while Loki is away arrives afterwards, in bounded memory",
        play: outage::play,
    },
    Scenario {
        name: "memory",
        what: "long lines open in every container stay within memory_bytes_max and 32 MiB",
        play: memory::play,
    },
    Scenario { name: "idle", what: "250 idle files cost less than 0.2 % of a core", play: idle::play },
    Scenario {
        name: "simulation",
        what: "whatever happens, no line is lost, doubled, altered or out of order",
        play: simulation::play,
    },
    Scenario {
        name: "handover",
        what: "the same with the kernel as the second witness, whose ring loses, delays and gives",
        play: simulation::play_handover,
    },
];

/// The arguments of `cargo xtask soak`.
#[derive(Clone, Debug, clap::Args)]
pub struct SoakArgs {
    /// Only these scenarios.
    pub only: Vec<String>,
    /// The small forms, as in CI.
    #[arg(long)]
    pub small: bool,
    /// Build the agent without optimisation.
    #[arg(long)]
    pub debug: bool,
    /// Seed of what is random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Plays the scenarios. True: every rule held.
///
/// # Errors
/// A name that there is not, or something could not be started.
pub fn run(args: &SoakArgs) -> Result<bool> {
    for name in &args.only {
        let known: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        ensure!(known.contains(&name.as_str()), "there is no scenario {name}; there are {}", known.join(", "));
    }
    let size = if args.small { Size::Small } else { Size::Full };
    println!("building the agent …");
    let program = agent::build(!args.debug)?;
    let mut all_held = true;
    for scenario in SCENARIOS.iter().filter(|one| args.only.is_empty() || args.only.iter().any(|name| name == one.name))
    {
        println!("── {}: {} (seed {})", scenario.name, scenario.what, args.seed);
        let begun = clock::monotonic();
        let mut stage = Stage::set(&program, args.seed)?;
        let held = (scenario.play)(&mut stage, size).with_context(|| format!("scenario {}", scenario.name))?;
        let seconds = (clock::monotonic() - begun).as_secs();
        println!("   {}: {} in {seconds} s", scenario.name, if held { "held" } else { "DID NOT HOLD" });
        all_held &= held;
    }
    Ok(all_held)
}

//! The long tests: the agent as a process, under load and trouble, in a small form for CI and at full size.
//!
//! In: which ones, how large. Out: one block of text a scenario, with its figures, and a verdict. Never: real
//! containers (that is `e2e`), nor anything left behind.
//!
//! A new scenario is a file below and a row of [`SCENARIOS`].

pub mod ahead;
pub mod cost;
pub mod formats;
pub mod full;
pub mod idle;
pub mod kills;
pub mod latency;
pub mod memory;
pub mod outage;
pub mod rights;
pub mod rotation;
pub mod simulation;
pub mod stage;
pub mod stopped;

use crate::{agent, clock};
use anyhow::{Context, Result, ensure};
use penstock::limits::RING_BYTES_MIN;
use penstock::metrics::label::Hook;
use penstock::sources::ebpf::Kernel;
use stage::Stage;

/// The hooks, best first.
const HOOKS: [Hook; 3] = [Hook::Fentry, Hook::TpBtf, Hook::RawTp];

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
    /// It takes a kernel hook. Where the machine allows none it is left out, and says so.
    pub needs_hook: bool,
    /// Plays it. True: the rule held.
    pub play: fn(&mut Stage, Size) -> Result<bool>,
}

/// All of them, in the order in which they are played.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "rotation",
        what: "nothing is lost, doubled or altered while files are rotated every 200 ms",
        needs_hook: false,
        play: rotation::play,
    },
    Scenario {
        name: "formats",
        what: "files of containerd, conmon and docker give the same lines",
        needs_hook: false,
        play: formats::play,
    },
    Scenario {
        name: "kills",
        what: "kill -9 at random moments under load loses nothing",
        needs_hook: false,
        play: kills::play,
    },
    Scenario {
        name: "outage",
        what: "what is written and rotated while Loki is away arrives afterwards, in bounded memory",
        needs_hook: false,
        play: outage::play,
    },
    Scenario {
        name: "memory",
        what: "long lines open in every container stay within memory_bytes_max and 32 MiB",
        needs_hook: false,
        play: memory::play,
    },
    Scenario {
        name: "ahead",
        what: "from the kernel every line arrives once, 99 % of a steady container's ahead of the file",
        needs_hook: true,
        play: ahead::play,
    },
    Scenario {
        name: "latency",
        what: "from the kernel a line of a quiet container is stored within 2 ms, 99 of 100 within 10 ms",
        needs_hook: true,
        play: latency::play,
    },
    Scenario {
        name: "full",
        what: "what is written while the disk of the log files is full arrives all the same, from the kernel",
        needs_hook: true,
        play: full::play,
    },
    Scenario {
        name: "stopped",
        what: "while the agent stands still a container writes as fast as before",
        needs_hook: true,
        play: stopped::play,
    },
    Scenario {
        name: "rights",
        what: "the agent works with the four rights that it needs, and without CAP_BPF from the files",
        needs_hook: true,
        play: rights::play,
    },
    Scenario {
        name: "cost",
        what: "a write of 200 bytes takes less than 150 ns longer, a read of 4 KiB less than 1.5 µs",
        needs_hook: true,
        play: cost::play,
    },
    Scenario {
        name: "idle",
        what: "250 idle files cost less than 0.2 % of a core",
        needs_hook: false,
        play: idle::play,
    },
    Scenario {
        name: "simulation",
        what: "whatever happens, no line is lost, doubled, altered or out of order",
        needs_hook: false,
        play: simulation::play,
    },
    Scenario {
        name: "handover",
        what: "the same with the kernel as the second witness, whose ring loses, delays and gives",
        needs_hook: false,
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
        if scenario.needs_hook
            && let Err(refused) = Kernel::attach(&HOOKS, RING_BYTES_MIN)
        {
            println!("   {}: LEFT OUT: {refused}", scenario.name);
            continue;
        }
        let begun = clock::monotonic();
        let mut stage = Stage::set(&program, args.seed)?;
        let held = (scenario.play)(&mut stage, size).with_context(|| format!("scenario {}", scenario.name))?;
        let seconds = (clock::monotonic() - begun).as_secs();
        println!("   {}: {} in {seconds} s", scenario.name, if held { "held" } else { "DID NOT HOLD" });
        all_held &= held;
    }
    Ok(all_held)
}

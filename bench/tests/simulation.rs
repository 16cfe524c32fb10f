//! Whatever happens, no line is lost, doubled, altered or out of order: 500 seeds of the simulation.
//!
//! `SIMULATION_SEED=N` plays that seed alone, `SIMULATION_SEEDS=N` so many from 1 on; `SIMULATION_EVERYTHING=1` with
//! crashes and trouble of every kind, of which some seeds are known to break a rule still.

use penstock_bench::simulation::{self, Scope};

#[test]
fn the_rules_hold_for_every_seed() {
    let (first, count) = match (number("SIMULATION_SEED"), number("SIMULATION_SEEDS")) {
        (Some(seed), _) => (seed, 1),
        (None, count) => (1, count.unwrap_or(500)),
    };
    let scope = if std::env::var_os("SIMULATION_EVERYTHING").is_some() { Scope::Everything } else { Scope::Plain };
    let total = simulation::run(first, count, scope).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{total}");
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

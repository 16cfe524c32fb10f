//! Whatever happens, no line is lost, doubled, altered or out of order: 500 seeds of the simulation with the log files
//! alone, and 500 with the kernel as the second witness.
//!
//! `SIMULATION_SEED=N` plays that seed alone and tells its story where it breaks a rule; `SIMULATION_SEEDS=N` plays so
//! many from 1 on.

use penstock_bench::simulation::{self, Witnesses};

#[test]
fn the_rules_hold_for_every_seed() {
    play(Witnesses::File).unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn the_rules_hold_with_both_witnesses() {
    play(Witnesses::Both).unwrap_or_else(|broken| panic!("{broken}"));
}

fn play(witnesses: Witnesses) -> Result<(), String> {
    let (first, count) = match (number("SIMULATION_SEED"), number("SIMULATION_SEEDS")) {
        (Some(seed), _) => (seed, 1),
        (None, count) => (1, count.unwrap_or(500)),
    };
    println!("{}", simulation::run(witnesses, first, count)?);
    Ok(())
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

//! The simulation at full size: see `crate::simulation` for its rules, and for how one seed is played again.
//!
//! In: a first seed. Out: what the seeds did, or the rules that were broken. Never: the agent as a process.

use super::Size;
use super::stage::Stage;
use crate::simulation::{self, Witnesses};
use anyhow::Result;

/// With the log files alone.
///
/// # Errors
/// None.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    Ok(run(Witnesses::File, stage, if size == Size::Small { 500 } else { 10_000 }))
}

/// With the kernel as the second witness.
///
/// # Errors
/// None.
pub fn play_handover(stage: &mut Stage, size: Size) -> Result<bool> {
    Ok(run(Witnesses::Both, stage, if size == Size::Small { 500 } else { 100_000 }))
}

fn run(witnesses: Witnesses, stage: &Stage, count: u64) -> bool {
    match simulation::run(witnesses, stage.rng.get_seed(), count) {
        Ok(total) => println!("   {total}"),
        Err(broken) => {
            println!("{broken}");
            return false;
        }
    }
    true
}

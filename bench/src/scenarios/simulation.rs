//! The simulation at full size: see `crate::simulation` for its rules, and for how one seed is played again.
//!
//! In: a first seed. Out: what the seeds did, or the rules that were broken. Never: the agent as a process.

use super::Size;
use super::stage::Stage;
use crate::simulation;
use anyhow::Result;

/// Plays it.
///
/// # Errors
/// None.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let count = if size == Size::Small { 500 } else { 10_000 };
    match simulation::run(stage.rng.get_seed(), count) {
        Ok(total) => println!("   {total}"),
        Err(broken) => {
            println!("{broken}");
            return Ok(false);
        }
    }
    Ok(true)
}

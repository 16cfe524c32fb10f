//! The agent is killed at random moments under load and started again.
//!
//! In: a stage. Out: every line at least once, and how much arrived twice. Never: an orderly end but the last.

use super::Size;
use super::stage::Stage;
use crate::producer::lines::Kind;
use crate::runtime::{Format, Rotation};
use anyhow::Result;
use std::time::Duration;

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let kills = if size == Size::Small { 3 } else { 30 };
    // What is deleted while the agent is down is lost to everybody: enough files are kept.
    stage.rotate(Rotation { bytes_max: 4 << 20, files_max: 20, interval: Duration::from_millis(500) });
    stage.start_containers(
        Format::Containerd,
        &[(Kind::Vllm, 5_000.0), (Kind::Heimdall, 3_000.0), (Kind::Aigateway, 1_000.0)],
    )?;
    for kill in 1..=kills {
        stage.start_agent()?;
        let moment = Duration::from_millis(stage.rng.u64(300..3_000));
        stage.pass(moment, |_| ())?;
        stage.kill_agent()?;
        println!("   kill {kill} of {kills} after {} ms", moment.as_millis());
    }
    stage.start_agent()?;
    stage.pass(Duration::from_secs(1), |_| ())?;
    let (lines, _) = stage.stop_containers()?;
    stage.drain(lines, Duration::from_secs(20), |_| ())?;
    let twice = stage.receiver.stats().entries_received_twice;
    let tally = stage.finish()?;
    println!("   arrived twice with the same time and text: {twice} ({} a kill)", twice / kills);
    // A line sent again under another time is one that Loki cannot know again.
    Ok(tally.is_whole() && tally.doubled == tally.doubled_same_time)
}

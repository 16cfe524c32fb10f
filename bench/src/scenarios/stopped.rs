//! SIGSTOP to the agent while a container writes as fast as its pipe takes it: the container must not feel it.
//!
//! In: a stage. Out: the container's speed while the agent runs and while it stands still, and every line once. Never: a
//! comparison over more than seconds, as the machine may change.

use super::Size;
use super::stage::{Stage, median};
use crate::producer::lines::Kind;
use crate::runtime::{Format, Rotation};
use anyhow::Result;
use std::time::Duration;

/// Speed while the agent stands still, over that while it runs.
const SHARE_MIN: f64 = 0.9;

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let (rounds, time) = if size == Size::Small { (1, 1) } else { (5, 3) };
    stage.rotate(Rotation { bytes_max: 64 << 20, files_max: 20, interval: Duration::from_secs(1) });
    stage.settings.capture = "ebpf".to_owned();
    stage.start_agent()?;
    stage.start_containers(Format::Containerd, &[(Kind::Vllm, 0.0)])?;
    stage.pass(Duration::from_secs(2), |_| ())?;
    let mut speeds = [Vec::new(), Vec::new()];
    for round in 0..2 * rounds {
        let is_stopped = round % 2 == 1;
        stage.hold_agent(is_stopped)?;
        let before = stage.lines();
        stage.pass(Duration::from_secs(time), |_| ())?;
        let lines = stage.lines() - before;
        speeds[usize::from(is_stopped)].push(lines as f64 / time as f64);
    }
    stage.hold_agent(false)?;
    let (lines, _) = stage.stop_containers()?;
    stage.drain(lines, Duration::from_secs(60), |_| ())?;
    println!("   {}", stage.settings.witnesses());
    let [running, stopped] = speeds.map(median);
    println!("   lines a second, medians: agent running {running:.0}, agent stopped {stopped:.0}");
    Ok(stage.finish()?.is_exact() && stopped >= SHARE_MIN * running)
}

//! Files that are rotated, compressed and deleted far faster than a kubelet would.
//!
//! In: a stage. Out: every line once. Never: a crash or a refusal; those have scenarios of their own.

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
    let seconds = if size == Size::Small { 10 } else { 120 };
    stage.rotate(Rotation { bytes_max: 256 * 1024, files_max: 5, interval: Duration::from_millis(200) });
    stage.start_containers(
        Format::Containerd,
        &[(Kind::Vllm, 10_000.0), (Kind::Heimdall, 5_000.0), (Kind::Aigateway, 500.0)],
    )?;
    stage.start_agent()?;
    stage.pass(Duration::from_secs(seconds), |_| ())?;
    let (lines, bytes) = stage.stop_containers()?;
    println!("   {lines} lines, {} MB written in {seconds} s", bytes / 1_000_000);
    stage.drain(lines, Duration::from_secs(20), |_| ())?;
    Ok(stage.finish()?.is_exact())
}

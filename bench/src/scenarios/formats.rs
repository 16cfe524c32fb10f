//! Log files of three runtimes side by side, rotated as each does it: containerd, conmon, docker's json-file.
//!
//! In: a stage. Out: every line once, whatever the form of its file. Never: a crash or a refusal.

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
    let seconds = if size == Size::Small { 5 } else { 60 };
    stage.rotate(Rotation { bytes_max: 256 * 1024, files_max: 5, interval: Duration::from_millis(500) });
    for format in [Format::Containerd, Format::Conmon, Format::DockerJson] {
        stage.start_containers(format, &[(Kind::Vllm, 1_000.0), (Kind::Aigateway, 500.0), (Kind::Heimdall, 500.0)])?;
    }
    stage.start_agent()?;
    stage.pass(Duration::from_secs(seconds), |_| ())?;
    let (lines, bytes) = stage.stop_containers()?;
    println!("   {lines} lines, {} MB written in {seconds} s", bytes / 1_000_000);
    stage.drain(lines, Duration::from_secs(20), |_| ())?;
    Ok(stage.finish()?.is_exact())
}

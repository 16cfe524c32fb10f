//! From a line's write to its arrival, of a container that writes little: first from the log file, then from the pipe.
//!
//! In: a stage. Out: median and 99th percentile for each witness. Never: lines of the time in which the std streams find
//! their places.

use super::Size;
use super::stage::{Stage, quantile};
use crate::clock;
use crate::producer::lines::Kind;
use crate::runtime::{Format, Rotation};
use anyhow::Result;
use std::time::Duration;

/// Lines a second.
const RATE: f64 = 100.0;
/// From the kernel, in milliseconds.
const MEDIAN_MAX_MS: f64 = 2.0;
/// See [`MEDIAN_MAX_MS`].
const P99_MAX_MS: f64 = 10.0;

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let time = Duration::from_secs(if size == Size::Small { 5 } else { 60 });
    let mut held = true;
    start(stage, RATE)?;
    for capture in ["file", "ebpf"] {
        let lags_ms = measure(stage, capture, time)?;
        let (median, p99) = (quantile(&lags_ms, 0.5), quantile(&lags_ms, 0.99));
        println!("   {capture}: {} lines, median {median:.2} ms, 99th percentile {p99:.2} ms", lags_ms.len());
        // The small form's agent and receiver are not optimised: it only prints.
        let is_quick = size == Size::Small || (median < MEDIAN_MAX_MS && p99 < P99_MAX_MS);
        held &= !lags_ms.is_empty() && (capture == "file" || is_quick);
    }
    let (lines, _) = stage.stop_containers()?;
    stage.start_agent()?;
    stage.drain(lines, Duration::from_secs(20), |_| ())?;
    Ok(stage.finish()?.is_whole() && held)
}

/// Starts a container that writes so many lines a second.
///
/// # Errors
/// It does not start.
pub fn start(stage: &mut Stage, rate: f64) -> Result<()> {
    stage.rotate(Rotation { bytes_max: 10 << 20, files_max: 5, interval: Duration::from_secs(10) });
    // A line of it says itself when it was written.
    stage.start_containers(Format::Containerd, &[(Kind::Heimdall, rate)])
}

/// Lets the agent run for so long with this witness. From write to arrival, milliseconds, shortest first.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn measure(stage: &mut Stage, capture: &str, time: Duration) -> Result<Vec<f64>> {
    stage.settings.capture = capture.to_owned();
    stage.start_agent()?;
    stage.pass(Duration::from_secs(5), |_| ())?;
    let from_ns = clock::wall_ns();
    stage.pass(time, |_| ())?;
    let until_ns = clock::wall_ns();
    stage.pass(Duration::from_secs(2), |_| ())?;
    stage.tell_witnesses();
    stage.stop_agent()?;
    Ok(stage.lags_ms(&(from_ns..until_ns), |_| true))
}

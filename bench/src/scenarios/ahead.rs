//! What the tenant may send, for a minute, with a burst in it, through real pipes, from the kernel.
//!
//! In: a stage. Out: every line once; how much went ahead, and of a steady container alone. Never: a setting that is not
//! the default, but `capture: ebpf`.

use super::Size;
use super::stage::Stage;
use crate::producer::lines::Kind;
use crate::runtime::{Format, Rotation};
use anyhow::Result;
use std::time::Duration;

/// Of the lines of a steady container, once it has found its place.
const STEADY_SHARE_MIN: f64 = 0.99;

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let is_small = size == Size::Small;
    let (seconds, rate) = if is_small { (5, 2_000.0) } else { (60, 102_000.0) };
    stage.rotate(Rotation { bytes_max: 10 << 20, files_max: 20, interval: Duration::from_secs(1) });
    stage.settings.capture = "ebpf".to_owned();
    stage.start_agent()?;
    stage.start_containers(Format::Containerd, &[(Kind::Heimdall, 1_000.0)])?;
    stage.pass(Duration::from_secs(5), |_| ())?;
    let before = sent(stage);
    stage.pass(Duration::from_secs(if is_small { 5 } else { 20 }), |_| ())?;
    let steady = sent(stage);
    let share = (steady.0 - before.0) / (steady.0 + steady.1 - before.0 - before.1);
    println!("   a steady container: {:.2} % of its lines went ahead of the file", share * 100.0);

    stage.start_containers(Format::Containerd, &[(Kind::Vllm, rate), (Kind::Aigateway, rate / 2.0)])?;
    stage.pass(Duration::from_secs(seconds / 2), |_| ())?;
    stage.burst(Kind::Vllm, if is_small { 20_000 } else { 450_000 })?;
    stage.pass(Duration::from_secs(seconds / 2), |_| ())?;
    let (lines, bytes) = stage.stop_containers()?;
    println!("   {lines} lines, {} MB in files, written in {seconds} s", bytes / 1_000_000);
    stage.drain(lines, Duration::from_secs(60), |_| ())?;
    let stats = stage.receiver.stats();
    let (line_bytes, metadata_bytes) = (stats.line_bytes_stored, stats.structured_metadata_bytes_stored);
    println!(
        "   as Loki counts: {} MB of lines, {} MB of structured metadata",
        line_bytes / 1_000_000,
        metadata_bytes / 1_000_000
    );
    println!("   {}", stage.settings.witnesses());
    Ok(stage.finish()?.is_exact() && share >= STEADY_SHARE_MIN)
}

/// Lines handed on to be sent: from the kernel, from the files.
fn sent(stage: &Stage) -> (f64, f64) {
    let of = |witness: &str| stage.settings.metric(&format!("lines_total{{source=\"{witness}\"}}"));
    (of("ebpf"), of("file"))
}

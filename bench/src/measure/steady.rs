//! What a tenant may send, for a minute, with a burst in it, through real pipes and log files.
//!
//! In: 1, 50 and 250 containers, each witness. Out: cores, memory, what was lost, how late it was. Never: a setting that is
//! not the default.

use super::Bench;
use super::row::{Row, Rows, share};
use crate::clock;
use crate::producer::lines::Kind;
use crate::runtime::{Format, Rotation};
use crate::scenarios::stage::{Stage, median, quantile};
use anyhow::{Result, ensure};
use std::time::Duration;

/// Bytes a second, as Loki counts them.
const RATE: f64 = 30e6;
/// Bytes of the burst, as Loki counts them.
const BURST: f64 = 60e6;
/// Cores are told as the median of so many parts of the time.
const PARTS: u32 = 6;
/// Nothing has arrived for so long: it will not.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    for capture in ["file", "ebpf"] {
        for containers in [1, 50, 250] {
            one(bench, rows, capture, containers)?;
        }
    }
    Ok(())
}

fn one(bench: &Bench, rows: &mut Rows, capture: &str, containers: usize) -> Result<()> {
    let mut stage = Stage::set(&bench.agent, bench.seed)?;
    stage.rotate(Rotation { bytes_max: 50 << 20, files_max: 5, interval: Duration::from_secs(1) });
    // With a write for each line the containers alone need more than two cores.
    stage.lines_per_write = 20;
    stage.settings.capture = capture.to_owned();
    stage.start_agent()?;
    let counted = counted_bytes_per_line(&mut stage)?;
    let rate = RATE / counted / containers as f64;
    stage.start_containers(Format::Containerd, &vec![(Kind::Aigateway, rate); containers])?;
    stage.pass(Duration::from_secs(5), |_| ())?;

    let (from_ns, before) = (clock::wall_ns(), stage.receiver.stats());
    let (mut resident_bytes, mut cores) = (0, Vec::new());
    for part in 0..PARTS {
        if part == PARTS / 2 {
            stage.burst(Kind::Aigateway, (BURST / counted) as u64)?;
        }
        let (cpu, begun) = (stage.agent_cpu()?, clock::monotonic());
        stage.pass(bench.time / PARTS, |bytes| resident_bytes = resident_bytes.max(bytes))?;
        cores.push((stage.agent_cpu()? - cpu).as_secs_f64() / (clock::monotonic() - begun).as_secs_f64());
    }
    let (until_ns, after) = (clock::wall_ns(), stage.receiver.stats());
    println!("   {}", stage.settings.witnesses());
    let (lines, bytes) = stage.stop_containers()?;
    stage.drain(lines, PATIENCE, |bytes| resident_bytes = resident_bytes.max(bytes))?;
    let lags_ms = stage.lags_ms(&(from_ns..until_ns), |_| true);
    let (tally, stats) = (stage.finish()?, stage.receiver.stats());

    let seconds = (until_ns - from_ns) as f64 / 1e9;
    let line_bytes = (after.line_bytes_stored - before.line_bytes_stored) as f64;
    let metadata = (after.structured_metadata_bytes_stored - before.structured_metadata_bytes_stored) as f64;
    let middle = median(cores.clone());
    let spread = [cores.iter().copied().fold(f64::MAX, f64::min), cores.iter().copied().fold(0.0, f64::max)];
    rows.tell(Row {
        scenario: "steady".into(),
        target: "penstock".into(),
        corpus: format!("{containers} containers"),
        capture: Some(capture.into()),
        mb_per_s: Some(
            bytes as f64 / lines as f64 * (after.entries_stored - before.entries_stored) as f64 / seconds / 1e6,
        ),
        cores: Some(middle),
        rss_mib: Some(resident_bytes as f64 / f64::from(1 << 20)),
        lines: Some(lines),
        counted_mb_per_s: Some((line_bytes + metadata) / seconds / 1e6),
        metadata_share: Some(metadata / (line_bytes + metadata)),
        requests_per_s: Some((after.requests - before.requests) as f64 / seconds),
        lost: Some(tally.lost),
        doubled: Some(tally.doubled),
        refused: Some(stats.requests_by_status.get(&429).copied().unwrap_or(0)),
        lag_ms_p50: Some(quantile(&lags_ms, 0.5)),
        lag_ms_p99: Some(quantile(&lags_ms, 0.99)),
        lag_ms_max: Some(quantile(&lags_ms, 1.0)),
        spread: Some(spread.map(|cores| share(cores, middle))),
        ..Row::default()
    })
}

/// Measured on a container that writes little, for a moment.
pub(super) fn counted_bytes_per_line(stage: &mut Stage) -> Result<f64> {
    stage.start_containers(Format::Containerd, &[(Kind::Aigateway, 200.0)])?;
    stage.pass(Duration::from_secs(3), |_| ())?;
    let stats = stage.receiver.stats();
    ensure!(stats.entries_stored > 0, "nothing arrived within 3 s");
    Ok((stats.line_bytes_stored + stats.structured_metadata_bytes_stored) as f64 / stats.entries_stored as f64)
}

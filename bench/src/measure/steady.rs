//! What a tenant may send, for a minute, with a burst in it, through real pipes and log files.
//!
//! In: 1, 50 and 250 containers, each witness, each rival. Out: cores, memory, what was lost, how late it was. Never: a setting that is
//! not the default.

use super::Bench;
use super::corpus::Corpus;
use super::floor::Floor;
use super::row::{Row, Rows, share};
use super::target::Subject;
use super::turns;
use crate::clock;
use crate::producer::lines::Kind;
use crate::receiver::Stats;
use crate::runtime::{Format, Rotation};
use crate::scenarios::stage::{Stage, median};
use anyhow::{Result, ensure};
use std::ops::Range;
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
    let counted = counted_bytes_per_line(bench)?;
    let floor = Floor::prepare(bench, Corpus::Json)?;
    for containers in [1, 50, 250] {
        let medians = turns::medians(&Subject::all(bench), bench.runs, |subject| {
            let floor = floor.mb_per_cpu_s()?;
            let row = one(bench, subject, containers, counted)?;
            Ok(Row { floor_share: row.mb_per_cpu_s.map(|ours| ours / floor), ..row })
        })?;
        turns::tell(rows, medians)?;
    }
    Ok(())
}

/// What the agent said and used in the measured time.
struct Minute {
    stats: [Stats; 2],
    times_ns: Range<i64>,
    /// The most memory that was resident, bytes.
    resident_bytes: u64,
    /// The median of the parts.
    cores: f64,
    /// Of all of it, the burst included.
    mean_cores: f64,
}

fn one(bench: &Bench, subject: &Subject, containers: usize, counted: f64) -> Result<Row> {
    let mut stage = subject.stage(bench)?;
    stage.rotate(Rotation { bytes_max: 50 << 20, files_max: 5, interval: Duration::from_secs(1) });
    // With a write for each line the containers alone need more than two cores.
    stage.lines_per_write = 20;
    stage.start_agent()?;
    let rate = RATE / counted / containers as f64;
    stage.start_containers(Format::Containerd, &vec![(Kind::Aigateway, rate); containers])?;
    stage.pass(Duration::from_secs(5), |_| ())?;
    let mut minute = minute(bench, &mut stage, counted)?;
    stage.tell_witnesses();
    let (lines, bytes) = stage.stop_containers()?;
    stage.drain(lines, PATIENCE, |bytes| minute.resident_bytes = minute.resident_bytes.max(bytes))?;
    let lags_ms = stage.lags_ms(&minute.times_ns, |_| true);
    let ((lost, doubled), all) = (stage.finish_counted(lines)?, stage.receiver.stats());

    let [before, after] = &minute.stats;
    let seconds = (minute.times_ns.end - minute.times_ns.start) as f64 / 1e9;
    let line_bytes = (after.line_bytes_stored - before.line_bytes_stored) as f64;
    let metadata = (after.structured_metadata_bytes_stored - before.structured_metadata_bytes_stored) as f64;
    let lines_per_s = (after.entries_stored - before.entries_stored) as f64 / seconds;
    let mb_per_s = bytes as f64 / lines as f64 * lines_per_s / 1e6;
    Ok(Row {
        mb_per_s: Some(mb_per_s),
        mb_per_cpu_s: Some(mb_per_s / minute.mean_cores),
        cores: Some(minute.cores),
        rss_mib: Some(minute.resident_bytes as f64 / f64::from(1 << 20)),
        lines: Some(lines),
        lines_per_s: Some(lines_per_s),
        counted_mb_per_s: Some((line_bytes + metadata) / seconds / 1e6),
        metadata_share: Some(share(metadata, line_bytes + metadata)),
        requests_per_s: Some((after.requests - before.requests) as f64 / seconds),
        lost: Some(lost),
        doubled: Some(doubled),
        refused: Some(all.requests_by_status.get(&429).copied().unwrap_or(0)),
        ..subject.row("steady", format!("{containers} containers")).with_lags(&lags_ms)
    })
}

/// The measured time, with the burst in the middle.
fn minute(bench: &Bench, stage: &mut Stage, counted: f64) -> Result<Minute> {
    let (from_ns, before) = (clock::wall_ns(), stage.receiver.stats());
    let (mut resident_bytes, mut parts) = (0, Vec::new());
    let used = |stage: &Stage| Ok::<_, anyhow::Error>((stage.agent_cpu()?, clock::monotonic()));
    let cores = |from: (Duration, Duration), to: (Duration, Duration)| {
        (to.0 - from.0).as_secs_f64() / (to.1 - from.1).as_secs_f64()
    };
    let first = used(stage)?;
    let mut last = first;
    for part in 0..PARTS {
        if part == PARTS / 2 {
            stage.burst(Kind::Aigateway, (BURST / counted) as u64)?;
        }
        stage.pass(bench.time / PARTS, |bytes| resident_bytes = resident_bytes.max(bytes))?;
        let here = used(stage)?;
        parts.push(cores(last, here));
        last = here;
    }
    let (times_ns, stats) = (from_ns..clock::wall_ns(), [before, stage.receiver.stats()]);
    Ok(Minute { stats, times_ns, resident_bytes, cores: median(parts), mean_cores: cores(first, last) })
}

/// What Loki counts of a line that the agent sends, measured on a container that writes little, for a moment.
pub(super) fn counted_bytes_per_line(bench: &Bench) -> Result<f64> {
    let mut stage = Stage::set(&bench.agent, bench.seed)?;
    stage.rotate(Rotation { bytes_max: 50 << 20, files_max: 5, interval: Duration::from_secs(1) });
    stage.start_agent()?;
    stage.start_containers(Format::Containerd, &[(Kind::Aigateway, 200.0)])?;
    stage.pass(Duration::from_secs(3), |_| ())?;
    let stats = stage.receiver.stats();
    ensure!(stats.entries_stored > 0, "nothing arrived within 3 s");
    Ok((stats.line_bytes_stored + stats.structured_metadata_bytes_stored) as f64 / stats.entries_stored as f64)
}

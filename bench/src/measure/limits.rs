//! More than the tenant may send, from one loud pod beside a hundred quiet ones.
//!
//! In: 45 MB/s for a limit of 30. Out: how much of the limit was used, refusals, how late the quiet pods' lines were. Never:
//! a setting that is not the default.

mod loud;

use super::Bench;
use super::row::{Row, Rows, share};
use super::steady::counted_bytes_per_line;
use super::target::Subject;
use super::turns;
use crate::clock;
use crate::producer::lines::{HEIMDALL_SAYS, Kind};
use crate::receiver::{Limits, Stats, StoredEntry};
use crate::runtime::{Format, Rotation};
use crate::scenarios::stage::Stage;
use crate::tally::Tally;
use anyhow::{Context as _, Result};
use loud::Loud;
use std::time::Duration;

/// Bytes a second, as Loki counts them.
const OFFERED: f64 = 45e6;
/// Pods that write little.
const QUIET: usize = 100;
/// Lines a second of each of them.
const QUIET_RATE: f64 = 10.0;

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    let counted = counted_bytes_per_line(bench)?;
    let from_file: Vec<_> = Subject::all(bench).into_iter().filter(|subject| subject.capture == "file").collect();
    let medians = turns::medians(&from_file, bench.runs, |subject| one(bench, subject, counted))?;
    turns::tell(rows, medians)
}

fn one(bench: &Bench, subject: &Subject, counted: f64) -> Result<Row> {
    let mut stage = subject.stage(bench)?;
    stage.rotate(Rotation { bytes_max: 200 << 20, files_max: 5, interval: Duration::from_secs(1) });
    stage.start_agent()?;
    stage.start_containers(Format::Containerd, &vec![(Kind::Heimdall, QUIET_RATE); QUIET])?;
    let file = stage.create_logs(Kind::Aigateway, 1)?.pop().context("one log file")?;
    let loud = Loud::start(file, Kind::Aigateway, bench.seed, OFFERED / counted);
    // The burst that the tenant may send goes first.
    stage.pass(Duration::from_secs(15), |_| ())?;
    let (from_ns, before, cpu) = (clock::wall_ns(), stage.receiver.stats(), stage.agent_cpu()?);
    let mut resident_bytes = 0;
    stage.pass(bench.time, |bytes| resident_bytes = resident_bytes.max(bytes))?;
    let (times_ns, after) = (from_ns..clock::wall_ns(), stage.receiver.stats());
    let cpu_seconds = (stage.agent_cpu()? - cpu).as_secs_f64();
    stage.pass(Duration::from_secs(5), |_| ())?;
    let loud_lines = loud.stop()?;
    let lines = stage.stop_containers()?.0 + loud_lines;
    stage.drain(lines, Duration::from_secs(120), |_| ())?;
    let is_quiet = |entry: &StoredEntry| memchr::memmem::find(&entry.line, HEIMDALL_SAYS.as_bytes()).is_some();
    let lags_ms = stage.lags_ms(&times_ns, is_quiet);
    let (lost, doubled) = finish(&mut stage, loud_lines, lines)?;

    let seconds = (times_ns.end - times_ns.start) as f64 / 1e9;
    let of = |stats: &Stats| stats.line_bytes_stored + stats.structured_metadata_bytes_stored;
    let per_s = (of(&after) - of(&before)) as f64 / seconds;
    let refused = |stats: &Stats| stats.requests_by_status.get(&429).copied().unwrap_or(0);
    let refused = refused(&after) - refused(&before);
    Ok(Row {
        cores: Some(cpu_seconds / seconds),
        rss_mib: Some(resident_bytes as f64 / f64::from(1 << 20)),
        lines: Some(lines),
        counted_mb_per_s: Some(per_s / 1e6),
        limit_share: Some(per_s / Limits::default().ingestion_rate as f64),
        requests_per_s: Some((after.requests - before.requests) as f64 / seconds),
        lost: Some(lost),
        doubled: Some(doubled),
        refused: Some(refused),
        refused_share: Some(share(refused as f64, (after.requests - before.requests) as f64)),
        ..subject.row("limits", format!("1 loud, {QUIET} quiet")).with_lags(&lags_ms)
    })
}

/// Ends what runs. How many lines were lost, how many came twice. The loud pod's lines are in no ledger: they are counted, not
/// compared.
fn finish(stage: &mut Stage, loud_lines: u64, lines: u64) -> Result<(u64, u64)> {
    if stage.rival.is_some() {
        return stage.finish_counted(lines);
    }
    let (tally, last_words) = stage.end()?;
    println!("   loud: {loud_lines} lines written, {} arrived", tally.foreign);
    let quiet = Tally { foreign: 0, examples: Vec::new(), ..tally.clone() };
    println!("   quiet: {quiet}");
    if !quiet.is_exact() {
        println!("   {}\n   the agent's last words:\n{last_words}", tally.examples.join("\n   "));
    }
    let (lost, doubled) = (loud_lines.saturating_sub(tally.foreign), tally.foreign.saturating_sub(loud_lines));
    Ok((tally.lost + lost, tally.doubled + doubled))
}

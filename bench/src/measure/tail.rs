//! Catching up: the files are there, in the page cache, and the agent starts.
//!
//! In: corpora. Out: MB a second and a second of processor time, memory, what was lost. Never: the time before the agent's
//! start, or after the last line has arrived.

use super::Bench;
use super::corpus::{self, Corpus, Made};
use super::floor::Floor;
use super::row::{Row, Rows};
use super::target::{Target, receiver};
use super::turns;
use crate::clock;
use crate::stop;
use crate::store::Store as _;
use anyhow::{Context as _, Result, bail};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Nothing has arrived for so long: it will not.
const PATIENCE: Duration = Duration::from_secs(20);

/// Plays it.
///
/// # Errors
/// Something could not be written or started.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    for corpus in [Corpus::Json, Corpus::Text, Corpus::Mixed, Corpus::ManyFiles] {
        let folder = tempfile::Builder::new().prefix("tail-").tempdir_in(&bench.folder)?;
        let made = corpus::make(corpus, bench.bytes, bench.seed, folder.path(), corpus::half_an_hour_ago())?;
        let floor = Floor::prepare(bench, corpus)?;
        let medians = turns::medians(&bench.targets, bench.runs, |target| {
            let floor = floor.mb_per_cpu_s()?;
            let row = run(bench, target, &made).with_context(|| format!("{}, {}", target.name(), corpus.name()))?;
            let floor_share = row.mb_per_cpu_s.map(|ours| ours / floor);
            Ok(Row { floor_share, corpus: corpus.name().into(), ..row })
        })?;
        turns::tell(rows, medians)?;
    }
    Ok(())
}

fn run(bench: &Bench, target: &Target, made: &Made) -> Result<Row> {
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&bench.folder)?;
    let runtime = Runtime::new()?;
    let receiver = runtime.block_on(receiver())?;
    let begun = clock::monotonic();
    let mut running = target.start(bench, made, folder.path(), &receiver.url())?;
    let (mut arrived, mut arrived_at) = (0, begun);
    while arrived < made.lines {
        std::thread::sleep(Duration::from_millis(10));
        stop::check()?;
        running.check()?;
        let now = receiver.count().lines;
        if now > arrived {
            (arrived, arrived_at) = (now, clock::monotonic());
        } else if clock::monotonic() - arrived_at > PATIENCE {
            bail!("{arrived} of {} lines arrived, and no more for {PATIENCE:?}", made.lines);
        }
    }
    let (cpu_seconds, peak_bytes) = (running.cpu()?.as_secs_f64(), running.peak_bytes());
    drop(running);
    let stats = receiver.stats();
    let (seconds, megabytes) = ((arrived_at - begun).as_secs_f64(), made.bytes as f64 / 1e6);
    Ok(Row {
        scenario: "tail".into(),
        target: target.name().into(),
        capture: Some("file".into()),
        mb_per_s: Some(megabytes / seconds),
        mb_per_cpu_s: Some(megabytes / cpu_seconds),
        cores: Some(cpu_seconds / seconds),
        rss_mib: Some(peak_bytes as f64 / f64::from(1 << 20)),
        lines: Some(made.lines),
        lines_per_s: Some(arrived as f64 / seconds),
        lost: Some(made.lines.saturating_sub(arrived)),
        doubled: Some(stats.entries_received_twice),
        requests_per_s: Some(stats.requests as f64 / seconds),
        wire_mb: Some(stats.body_bytes as f64 / 1e6),
        ..Row::default()
    })
}

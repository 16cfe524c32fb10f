//! Catching up: the files are there, in the page cache, and the agent starts.
//!
//! In: corpora. Out: MB a second and a second of processor time, memory, what was lost. Never: the time before the agent's
//! start, or after the last line has arrived.

use super::Bench;
use super::corpus::{self, Corpus, Made};
use super::floor::Floor;
use super::row::{Row, Rows};
use super::target::{Target, receiver};
use crate::clock;
use crate::stop;
use crate::store::Store as _;
use anyhow::{Context as _, Result, bail};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Nothing has arrived for so long: it will not.
const PATIENCE: Duration = Duration::from_secs(20);

/// Figures of one run.
#[derive(Clone, Copy, Debug)]
struct Run {
    seconds: f64,
    cpu_seconds: f64,
    peak_bytes: u64,
    arrived: u64,
    doubled: u64,
    wire_bytes: u64,
    requests: u64,
    /// What the parts alone did just before, MB for a second of processor time.
    floor: Option<f64>,
}

/// Plays it.
///
/// # Errors
/// Something could not be written or started.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    for corpus in [Corpus::Json, Corpus::Text, Corpus::Mixed, Corpus::ManyFiles] {
        let folder = tempfile::Builder::new().prefix("tail-").tempdir_in(&bench.folder)?;
        let made = corpus::make(corpus, bench.bytes, bench.seed, folder.path(), corpus::half_an_hour_ago())?;
        // Many small files are no other input for the parts alone.
        let floor = (corpus != Corpus::ManyFiles).then(|| Floor::prepare(bench, corpus)).transpose()?;
        // One after the other, so that what else the machine does meets them all; the floor before each.
        let mut runs = vec![Vec::new(); bench.targets.len()];
        for _ in 0..bench.runs {
            for (target, runs) in bench.targets.iter().zip(&mut runs) {
                let floor = floor.as_ref().map(Floor::mb_per_cpu_s).transpose()?;
                let run = run(bench, target, &made);
                runs.push(Run { floor, ..run.with_context(|| format!("{}, {}", target.name(), corpus.name()))? });
            }
        }
        let mut ours = None;
        for (target, runs) in bench.targets.iter().zip(runs) {
            let per_cpu_s = tell(target, corpus, &made, runs, rows)?;
            match ours {
                None => ours = Some(per_cpu_s),
                Some(ours) => println!("   penstock: {:.1} times {}", ours / per_cpu_s, target.name()),
            }
        }
    }
    Ok(())
}

fn run(bench: &Bench, target: &Target, made: &Made) -> Result<Run> {
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
    let (cpu, peak_bytes) = (running.cpu()?, running.peak_bytes());
    drop(running);
    let stats = receiver.stats();
    Ok(Run {
        seconds: (arrived_at - begun).as_secs_f64(),
        cpu_seconds: cpu.as_secs_f64(),
        peak_bytes,
        arrived,
        doubled: stats.entries_received_twice,
        wire_bytes: stats.body_bytes,
        requests: stats.requests,
        floor: None,
    })
}

/// The row of a target; its MB for a second of processor time.
fn tell(target: &Target, corpus: Corpus, made: &Made, mut runs: Vec<Run>, rows: &mut Rows) -> Result<f64> {
    runs.sort_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds));
    let (Some(fastest), Some(slowest), Some(run)) = (runs.first(), runs.last(), runs.get(runs.len() / 2)) else {
        bail!("no runs");
    };
    let megabytes = made.bytes as f64 / 1e6;
    let mut shares: Vec<f64> = runs.iter().filter_map(|run| Some(megabytes / run.cpu_seconds / run.floor?)).collect();
    shares.sort_by(f64::total_cmp);
    let floor_share = shares.get(shares.len() / 2).copied();
    let per_cpu_s = megabytes / run.cpu_seconds;
    let spread = [run.cpu_seconds / slowest.cpu_seconds, run.cpu_seconds / fastest.cpu_seconds];
    rows.tell(Row {
        scenario: "tail".into(),
        target: target.name().into(),
        corpus: corpus.name().into(),
        capture: Some("file".into()),
        mb_per_s: Some(megabytes / run.seconds),
        mb_per_cpu_s: Some(per_cpu_s),
        floor_share,
        cores: Some(run.cpu_seconds / run.seconds),
        rss_mib: Some(run.peak_bytes as f64 / f64::from(1 << 20)),
        lines: Some(made.lines),
        lost: Some(made.lines - run.arrived),
        doubled: Some(run.doubled),
        requests_per_s: Some(run.requests as f64 / run.seconds),
        wire_mb: Some(run.wire_bytes as f64 / 1e6),
        spread: Some(spread),
        ..Row::default()
    })?;
    Ok(per_cpu_s)
}

//! Whether more data threads do more: catching up, into a sink that takes next to nothing of the processor.
//!
//! In: a thousand files, as many pods. Out: MB a second with one and with two data threads. Never: a receiver that needs the
//! processor which the second thread is to have.

use super::Bench;
use super::corpus::{self, Corpus, Made};
use super::floor::Floor;
use super::row::{Row, Rows};
use super::sink::Sink;
use super::target::settings;
use super::turns;
use crate::agent::AgentProcess;
use crate::clock;
use crate::stop;
use anyhow::{Result, ensure};
use std::time::Duration;
use tokio::runtime::Runtime;

const THREADS: [usize; 2] = [1, 2];
const PATIENCE: Duration = Duration::from_secs(120);

/// Plays it.
///
/// # Errors
/// Something could not be written or started.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("threads-").tempdir_in(&bench.folder)?;
    let corpus = Corpus::ManyFiles;
    let made = corpus::make(corpus, bench.bytes, bench.seed, folder.path(), corpus::half_an_hour_ago())?;
    let floor = Floor::prepare(bench, corpus)?;
    let medians = turns::medians(&THREADS, bench.runs, |threads| {
        let floor = floor.mb_per_cpu_s()?;
        let row = run(bench, &made, *threads)?;
        Ok(Row { floor_share: row.mb_per_cpu_s.map(|ours| ours / floor), ..row })
    })?;
    medians.into_iter().try_for_each(|row| rows.tell(row))
}

fn run(bench: &Bench, made: &Made, threads: usize) -> Result<Row> {
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&bench.folder)?;
    let runtime = Runtime::new()?;
    let sink = runtime.block_on(Sink::start())?;
    let mut settings = settings(made, folder.path(), &sink.url(), "file")?;
    settings.more = format!("performance: {{threads: {threads}}}\n");
    let begun = clock::monotonic();
    let mut agent = AgentProcess::start(&bench.agent, &settings, folder.path())?;
    while settings.metric("lines_total{source=\"file\"}") < made.lines as f64 {
        stop::check()?;
        agent.check()?;
        ensure!(clock::monotonic() - begun < PATIENCE, "the agent did not read all within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (seconds, cpu_seconds) = ((clock::monotonic() - begun).as_secs_f64(), agent.cpu()?.as_secs_f64());
    agent.stop(PATIENCE)?;
    let megabytes = made.bytes as f64 / 1e6;
    Ok(Row {
        scenario: "threads".into(),
        target: format!("{threads} threads"),
        corpus: Corpus::ManyFiles.name().into(),
        capture: Some("file".into()),
        mb_per_s: Some(megabytes / seconds),
        mb_per_cpu_s: Some(megabytes / cpu_seconds),
        cores: Some(cpu_seconds / seconds),
        ..Row::default()
    })
}

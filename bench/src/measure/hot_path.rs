//! The data path alone, from log files to request bodies, in one thread: what profilers look at, and whose instructions
//! `guard` counts.
//!
//! In: a folder with log files as [`super::corpus::make`] leaves them. Out: how many lines went through. Never:
//! a network, a clock (time stands still but for what the pipeline waits for), two threads; so the same input takes the same
//! instructions.

use super::corpus::{Corpus, NODE};
use crate::pods::SamplePod;
use anyhow::{Context, Result, ensure};
use penstock::config;
use penstock::metrics::Metrics;
use penstock::metrics::label::Source;
use penstock::pipeline::thread_limits::ThreadLimits;
use penstock::pipeline::{Outside, Pipeline, Settings};
use penstock::sources::file::FileSource;
use penstock::sources::file::os::OsDisk;
use penstock::types::pod::{Pod, PodSnapshot};
use penstock::types::request::{Answer, Request, RequestId};
use penstock::types::saved::{Positions, Recovered};
use penstock::types::shard::Shard;
use penstock::types::time::Now;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Steps in a row in which nothing came: then it is stuck.
const IDLE_STEPS_MAX: u32 = 10_000;

/// Takes every request and forgets it.
#[derive(Debug, Default)]
struct Sink {
    sent: Vec<RequestId>,
    body_bytes: u64,
}

impl Outside for Sink {
    fn send(&mut self, request: Request) {
        self.body_bytes += request.body.len() as u64;
        self.sent.push(request.id);
    }

    fn is_journal_full(&self) -> bool {
        false
    }

    fn append_journal(&mut self, _record: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn begin_journal(&mut self, _records: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn save(&mut self, _encoded: Vec<u8>, _is_sync: bool) {}
}

/// What went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// Lines.
    pub lines: u64,
    /// Bodies, compressed.
    pub body_bytes: u64,
}

/// Lets the data path of the agent, as it is by default, work through `folder`, which holds `lines` lines of a corpus that
/// begins at `begin_ns`.
///
/// # Errors
/// The folder cannot be read, or not all lines came.
pub fn run(corpus: Corpus, folder: &Path, lines: u64, begin_ns: i64) -> Result<Through> {
    let yaml = format!("node_name: {NODE}\nloki:\n  url: http://127.0.0.1:1\n  rate: 10GB\n  burst: 10GB\n");
    let config = config::read(&yaml, &|_| None).context("the hot path's configuration")?;
    let log_dir = folder.join("pods");
    let source = FileSource::new(OsDisk::new(&log_dir, &[])?, log_dir, u64::MAX / 4, Positions::default(), false);
    let metrics = Arc::new(Metrics::default());
    let settings = Settings::new(&config, Shard::WHOLE, 1);
    let thread_limits = ThreadLimits::new(config.loki.rate, config.loki.burst);
    let mut pipeline: Pipeline<OsDisk> =
        Pipeline::new(settings, source, None, Recovered::default(), thread_limits, Arc::clone(&metrics));
    let mut now = Now { wall_ns: begin_ns + 1_800_000_000_000, mono: Duration::from_secs(1) };
    let pods = corpus.pods().iter().map(|pod| (pod.uid.clone(), Arc::new(known(pod)))).collect();
    pipeline.pods_changed(&PodSnapshot { pods, is_current: true }, now);
    let (mut sink, mut idle_steps) = (Sink::default(), 0);
    while metrics.lines.get(Source::File) < lines || !pipeline.is_settled() {
        pipeline.step(now, &mut sink);
        idle_steps = if sink.sent.is_empty() { idle_steps + 1 } else { 0 };
        ensure!(idle_steps < IDLE_STEPS_MAX, "{} of {lines} lines came", metrics.lines.get(Source::File));
        for id in sink.sent.drain(..) {
            let (status, took) = (204, Duration::from_millis(1));
            pipeline.answered(&Answer { id, status, body: String::new(), retry_after: None, took }, now);
        }
        now.mono += pipeline.wait(now);
    }
    Ok(Through { lines, body_bytes: sink.body_bytes })
}

fn known(pod: &SamplePod) -> Pod {
    Pod {
        log_uid: pod.uid.clone(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        collect: true,
        json: pod.labels.get("mif.moreh.io/log.format").is_some_and(|format| format == "json"),
        labels: pod.labels.clone(),
        excluded_containers: Vec::new(),
    }
}

//! One take with one choice of settings, a few seconds long.
//!
//! In: the aim, a candidate. Out: one figure, less is better. Never: what the agent does in its first moments, unless that is
//! what the aim is about.

use super::Aim;
use super::candidate::{Candidate, Setting};
use crate::agent::AgentProcess;
use crate::clock;
use crate::measure::corpus::{self, Corpus, Made};
use crate::measure::target::{receiver, settings};
use crate::producer::lines::Kind;
use crate::runtime::{Format, Rotation};
use crate::scenarios::stage::{Stage, quantile};
use crate::stop;
use crate::store::Store as _;
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Containers that write.
const CONTAINERS: usize = 8;
/// Lines a second of each, where latency is the aim.
const QUIET_LINES: f64 = 50.0;
/// Bytes of a line with what stands before it in its file, about.
const LINE_BYTES: f64 = 330.0;
/// After the start of the agent.
const SETTLING: Duration = Duration::from_millis(1_500);
const MEASURED: Duration = Duration::from_secs(2);
/// What is caught up on.
const BACKLOG_BYTES: u64 = 120_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// What is needed for all takes.
pub(super) struct Trial {
    aim: Aim,
    program: PathBuf,
    place: Place,
}

enum Place {
    /// Containers that write all the time.
    Steady(Box<Stage>),
    /// Log files that are there.
    Backlog(TempDir, Made),
}

impl Trial {
    pub(super) fn set(aim: Aim, program: &Path, folder: &Path, megabytes_per_s: f64, seed: u64) -> Result<Self> {
        let place = if aim == Aim::Throughput {
            let folder = tempfile::Builder::new().prefix("tune-").tempdir_in(folder)?;
            let made = corpus::make(Corpus::Mixed, BACKLOG_BYTES, seed, folder.path(), corpus::half_an_hour_ago())?;
            Place::Backlog(folder, made)
        } else {
            let mut stage = Stage::set(program, seed)?;
            stage.rotate(Rotation { bytes_max: 50 << 20, files_max: 3, interval: Duration::from_secs(1) });
            stage.settings.capture = "auto".to_owned();
            let loud = megabytes_per_s * 1e6 / LINE_BYTES / CONTAINERS as f64;
            let rate = if aim == Aim::Cpu { loud } else { QUIET_LINES };
            stage.start_containers(Format::Containerd, &[(Kind::Heimdall, rate); CONTAINERS])?;
            Place::Steady(Box::new(stage))
        };
        Ok(Self { aim, program: program.to_path_buf(), place })
    }

    pub(super) fn what(&self) -> &'static str {
        match self.aim {
            Aim::Cpu => "cores at a steady load",
            Aim::Latency => "ms from write to arrival, 99 of 100 lines",
            Aim::Throughput => "s to catch up",
        }
    }

    pub(super) fn unit(&self) -> &'static str {
        match self.aim {
            Aim::Cpu => "cores",
            Aim::Latency => "ms",
            Aim::Throughput => "s",
        }
    }

    pub(super) fn witness(&self) -> &'static str {
        match self.place {
            Place::Steady(_) => "capture: auto",
            Place::Backlog(..) => "capture: file",
        }
    }

    pub(super) fn is_of_use(&self, setting: &Setting) -> bool {
        !setting.is_of_ring || matches!(self.place, Place::Steady(_))
    }

    pub(super) fn run(&mut self, candidate: &Candidate) -> Result<f64> {
        match &mut self.place {
            Place::Steady(stage) => steady(stage, self.aim, candidate),
            Place::Backlog(folder, made) => catch_up(&self.program, folder.path(), made, candidate),
        }
    }
}

fn steady(stage: &mut Stage, aim: Aim, candidate: &Candidate) -> Result<f64> {
    stage.settings.loki_more = candidate.loki();
    stage.settings.more = candidate.performance();
    stage.start_agent()?;
    stage.pass(SETTLING, |_| ())?;
    let (cpu, begun, from_ns) = (stage.agent_cpu()?, clock::monotonic(), clock::wall_ns());
    stage.pass(MEASURED, |_| ())?;
    let (until_ns, cores) =
        (clock::wall_ns(), (stage.agent_cpu()? - cpu).as_secs_f64() / (clock::monotonic() - begun).as_secs_f64());
    stage.pass(Duration::from_millis(500), |_| ())?;
    stage.stop_agent()?;
    if aim == Aim::Cpu {
        return Ok(cores);
    }
    let lags_ms = stage.lags_ms(&(from_ns..until_ns), |_| true);
    ensure!(!lags_ms.is_empty(), "no line arrived in {MEASURED:?}");
    Ok(quantile(&lags_ms, 0.99))
}

fn catch_up(program: &Path, folder: &Path, made: &Made, candidate: &Candidate) -> Result<f64> {
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(folder)?;
    let runtime = Runtime::new()?;
    let receiver = runtime.block_on(receiver())?;
    let mut settings = settings(made, folder.path(), &receiver.url(), "file")?;
    settings.loki_more.push_str(&candidate.loki());
    settings.more = candidate.performance();
    let begun = clock::monotonic();
    let mut agent = AgentProcess::start(program, &settings, folder.path())?;
    while receiver.count().lines < made.lines {
        stop::check()?;
        agent.check()?;
        ensure!(clock::monotonic() - begun < PATIENCE, "not all lines arrived within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok((clock::monotonic() - begun).as_secs_f64())
}

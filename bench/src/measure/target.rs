//! What is measured: a process that reads log files and pushes to the receiver.
//!
//! In: files, the receiver's address. Out: it runs on them. Never: a setting that only the bench has, but for the rate.

use crate::agent::{self, AgentProcess, AgentSettings};
use crate::measure::Bench;
use crate::measure::corpus::{Made, NODE};
use crate::measure::row::Row;
use crate::receiver::{Limits, Receiver, ReceiverConfig};
use crate::rival::Rival;
use crate::scenarios::stage::Stage;
use anyhow::Result;
use std::path::Path;

/// Bytes a second that are never reached.
const NO_LIMIT: u64 = 1 << 40;

/// A receiver that takes whatever comes, and only counts.
///
/// # Errors
/// It cannot listen.
pub async fn receiver() -> Result<Receiver> {
    let limits = Limits {
        ingestion_rate: NO_LIMIT,
        ingestion_burst: NO_LIMIT,
        per_stream_rate: NO_LIMIT,
        per_stream_burst: NO_LIMIT,
        ..Limits::default()
    };
    Receiver::start(ReceiverConfig { keep_entries: false, limits, sharding: false, ..ReceiverConfig::default() }).await
}

/// The agent's settings in a bench: the defaults, but for the rate, which would be the result else.
///
/// # Errors
/// There is no free port.
pub fn settings(made: &Made, folder: &Path, url: &str, capture: &str) -> Result<AgentSettings> {
    Ok(AgentSettings {
        node_name: NODE.into(),
        data_dir: folder.join("data"),
        log_dir: made.pods_root.clone(),
        pods: made.pods.clone(),
        loki_url: url.to_owned(),
        loki_more: "  rate: 10GB\n  burst: 10GB\n".into(),
        capture: capture.into(),
        admin: agent::free_address()?,
        more: String::new(),
    })
}

/// What is measured.
#[derive(Clone, Debug)]
pub enum Target {
    /// The agent of this project.
    Penstock,
    /// Another one.
    Rival(Rival),
}

impl Target {
    /// In rows.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Penstock => "penstock",
            Self::Rival(rival) => rival.name,
        }
    }

    /// Starts it on these files.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, bench: &Bench, made: &Made, folder: &Path, url: &str) -> Result<AgentProcess> {
        match self {
            Self::Penstock => AgentProcess::start(&bench.agent, &settings(made, folder, url, "file")?, folder),
            Self::Rival(rival) => rival.start(&made.pods_root, folder, url),
        }
    }
}

/// What is measured, and what it reads.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Which program.
    pub target: Target,
    /// `capture` of the agent's configuration; rivals have `file` only.
    pub capture: &'static str,
}

impl Subject {
    /// The agent from the files, the agent from the kernel, the rivals from the files.
    #[must_use]
    pub fn all(bench: &Bench) -> Vec<Self> {
        let kernel = Self { target: Target::Penstock, capture: "ebpf" };
        let mut all: Vec<_> =
            bench.targets.iter().map(|target| Self { target: target.clone(), capture: "file" }).collect();
        all.insert(1.min(all.len()), kernel);
        all
    }

    /// A stage for it.
    ///
    /// # Errors
    /// As [`Stage::set`].
    pub fn stage(&self, bench: &Bench) -> Result<Stage> {
        let mut stage = Stage::set(&bench.agent, bench.seed)?;
        self.capture.clone_into(&mut stage.settings.capture);
        if let Target::Rival(rival) = &self.target {
            stage.rival = Some(rival.clone());
        }
        Ok(stage)
    }

    /// A row of it without figures.
    #[must_use]
    pub fn row(&self, scenario: &str, corpus: String) -> Row {
        let (scenario, target) = (scenario.to_owned(), self.target.name().to_owned());
        Row { scenario, target, corpus, capture: Some(self.capture.to_owned()), ..Row::default() }
    }
}

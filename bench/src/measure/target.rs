//! What is measured: a process that reads log files and pushes to the receiver.
//!
//! In: files, the receiver's address. Out: the process's time and memory. Never: a process left behind.

use crate::agent::{self, AgentProcess, AgentSettings};
use crate::measure::Bench;
use crate::measure::corpus::{Made, NODE};
use crate::receiver::{Limits, Receiver, ReceiverConfig};
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

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

/// A process under measurement.
#[derive(Debug)]
pub struct Running(AgentProcess);

impl Running {
    /// Starts the agent.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(bench: &Bench, settings: &AgentSettings, folder: &Path) -> Result<Self> {
        Ok(Self(AgentProcess::start(&bench.agent, settings, folder)?))
    }

    /// Processor time used so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu(&self) -> Result<Duration> {
        self.0.cpu()
    }

    /// The most memory that was resident, bytes.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.0.peak_bytes()
    }

    /// Fails where it has ended by itself.
    ///
    /// # Errors
    /// It has.
    pub fn check(&mut self) -> Result<()> {
        self.0.check()
    }

    /// SIGTERM, and waits.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(self) -> Result<()> {
        self.0.stop(Duration::from_secs(30)).map(drop)
    }
}

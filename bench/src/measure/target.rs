//! What is measured: a process that reads log files and pushes to the receiver.
//!
//! In: files, the receiver's address. Out: the process's time and memory. Never: a process left behind.

use crate::agent::{self, AgentProcess, AgentSettings};
use crate::measure::Bench;
use crate::measure::corpus::{Made, NODE};
use crate::receiver::{Limits, Receiver, ReceiverConfig};
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

/// What is measured.
#[derive(Clone, Debug)]
pub enum Target {
    /// The agent of this project.
    Penstock,
    /// Another one.
    Rival {
        /// Its program.
        program: PathBuf,
        /// Which one: the name of its configuration in `bench/rivals`.
        name: &'static str,
    },
}

impl Target {
    /// In rows.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Penstock => "penstock",
            Self::Rival { name, .. } => name,
        }
    }

    /// Starts it on these files.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, bench: &Bench, made: &Made, folder: &Path, url: &str) -> Result<Running> {
        match self {
            Self::Penstock => {
                let settings = settings(made, folder, url, "file")?;
                Ok(Running::Agent(AgentProcess::start(&bench.agent, &settings, folder)?))
            }
            Self::Rival { program, name } => rival(program, name, made, folder, url),
        }
    }
}

fn rival(program: &Path, name: &str, made: &Made, folder: &Path, url: &str) -> Result<Running> {
    let template = agent::project().join("bench/rivals").join(format!("{name}.yaml"));
    let template = fs::read_to_string(&template).with_context(|| format!("reading {}", template.display()))?;
    let (host, port) = url.trim_start_matches("http://").split_once(':').context("the receiver has a port")?;
    let logs = made.pods_root.join("*/*/*.log");
    let values = [
        ("{LOGS}", &*logs.to_string_lossy()),
        ("{DATA}", &*folder.to_string_lossy()),
        ("{URL}", url),
        ("{HOST}", host),
        ("{PORT}", port),
    ];
    let config = folder.join(format!("{name}.yaml"));
    fs::write(&config, values.iter().fold(template, |text, (key, value)| text.replace(key, value)))?;
    let mut command = Command::new(program);
    match name {
        "promtail" => command.arg(format!("-config.file={}", config.display())),
        _ => command.arg("--config").arg(&config),
    };
    let words = File::create(folder.join(format!("{name}.log")))?;
    command.stdin(Stdio::null()).stdout(words.try_clone()?).stderr(words).process_group(0);
    Ok(Running::Rival(command.spawn().with_context(|| format!("starting {}", program.display()))?))
}

/// A process under measurement. Dropping it ends it.
#[derive(Debug)]
pub enum Running {
    /// Of the agent.
    Agent(AgentProcess),
    /// Of another one.
    Rival(Child),
}

impl Running {
    fn pid(&self) -> u32 {
        match self {
            Self::Agent(agent) => agent.pid(),
            Self::Rival(child) => child.id(),
        }
    }

    /// Processor time used so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu(&self) -> Result<Duration> {
        agent::cpu(self.pid())
    }

    /// The most memory that was resident, bytes.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        agent::peak_bytes(self.pid())
    }

    /// Fails where it has ended by itself.
    ///
    /// # Errors
    /// It has.
    pub fn check(&mut self) -> Result<()> {
        match self {
            Self::Agent(agent) => agent.check(),
            Self::Rival(child) => match child.try_wait()? {
                None => Ok(()),
                Some(status) => bail!("it ended with {status}"),
            },
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Rival(child) = self {
            let _ended_before = child.kill();
            let _ = child.wait();
        }
    }
}

//! Another log shipper as a process, to be measured beside the agent.
//!
//! In: its program, where logs are and where entries go. Out: it runs, with its configuration of `bench/rivals`. Never: a
//! setting that favours the agent.

use crate::agent::{self, AgentProcess};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that was given on the command line.
#[derive(Clone, Debug)]
pub struct Rival {
    /// Which one: the name of its configuration in `bench/rivals`, without `.yaml`.
    pub name: &'static str,
    /// Its program.
    pub program: PathBuf,
}

impl Rival {
    /// Starts it on the log files below `pods_root`; what it keeps and says goes to `folder`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, pods_root: &Path, folder: &Path, url: &str) -> Result<AgentProcess> {
        let template = agent::project().join("bench/rivals").join(format!("{}.yaml", self.name));
        let template = fs::read_to_string(&template).with_context(|| format!("reading {}", template.display()))?;
        let (host, port) = url.trim_start_matches("http://").split_once(':').context("the receiver has a port")?;
        let logs = pods_root.join("*/*/*.log");
        let values = [
            ("{LOGS}", &*logs.to_string_lossy()),
            ("{DATA}", &*folder.to_string_lossy()),
            ("{URL}", url),
            ("{HOST}", host),
            ("{PORT}", port),
        ];
        let config = folder.join(format!("{}.yaml", self.name));
        fs::write(&config, values.iter().fold(template, |text, (key, value)| text.replace(key, value)))?;
        let mut command = Command::new(&self.program);
        match self.name {
            "promtail" => command.arg(format!("-config.file={}", config.display())),
            _ => command.arg("--config").arg(&config),
        };
        AgentProcess::spawn(command, folder.join(format!("{}.log", self.name)))
    }
}

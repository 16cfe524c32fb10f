//! What ships the lines on a stage: the agent, or a rival in its place.
//!
//! In: the stage's settings. Out: it runs, stands still, ends; what was lost. Never: a process left behind.

use super::Stage;
use crate::agent::AgentProcess;
use crate::demo::compare;
use crate::store::Store as _;
use crate::tally::Tally;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// How long the agent may take to end after SIGTERM: its grace period and a little.
const AGENT_PATIENCE: Duration = Duration::from_secs(25);

impl Stage {
    /// Processor time that the agent has used.
    ///
    /// # Errors
    /// It does not run.
    pub fn agent_cpu(&self) -> Result<Duration> {
        self.agent.as_ref().context("no agent runs")?.cpu()
    }

    /// Ends the agent in order.
    ///
    /// # Errors
    /// It did not end in time, or not with exit code 0.
    pub fn stop_agent(&mut self) -> Result<()> {
        let status = self.agent.take().context("no agent runs")?.stop(AGENT_PATIENCE)?;
        ensure!(status.success() || self.rival.is_some(), "the agent ended with {status}");
        Ok(())
    }

    /// Starts the agent, or the rival in its place.
    ///
    /// # Errors
    /// One runs already, or it cannot be started.
    pub fn start_agent(&mut self) -> Result<()> {
        ensure!(self.agent.is_none(), "the agent runs already");
        let folder = self.folder.path();
        self.agent = Some(match &self.rival {
            None => AgentProcess::start(&self.program, &self.settings, folder)?,
            Some(rival) => rival.start(&self.world.pods_root, folder, &self.settings.loki_url)?,
        });
        Ok(())
    }

    /// Lets the agent stand still, or go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn hold_agent(&mut self, still: bool) -> Result<()> {
        self.agent.as_ref().context("no agent runs")?.hold(still)
    }

    /// Starts the agent with these capabilities alone, as `setpriv` of util-linux names them: `bpf`.
    ///
    /// # Errors
    /// One runs already, or it cannot be started.
    pub fn start_agent_with(&mut self, rights: &[&str]) -> Result<()> {
        ensure!(self.agent.is_none(), "the agent runs already");
        fs::create_dir_all(&self.settings.data_dir)?;
        let rights: String = rights.iter().map(|right| format!(",+{right}")).collect();
        let mut command = Command::new("setpriv");
        command.arg(format!("--bounding-set=-all{rights}")).arg(&self.program);
        let agent = AgentProcess::start_with(command, &self.settings.yaml(), &[], self.folder.path())?;
        self.agent = Some(agent);
        Ok(())
    }

    /// A line of `/proc/PID/status` of the agent, without its name.
    ///
    /// # Errors
    /// It does not run, or there is no such line.
    pub fn agent_status(&self, name: &str) -> Result<String> {
        let pid = self.agent.as_ref().context("no agent runs")?.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.with_context(|| format!("{name} of the agent"))?.trim().to_owned())
    }

    /// Waits until the agent has ended by itself; gives its last words, and whether it called that a success.
    ///
    /// # Errors
    /// It does not run, or goes on.
    pub fn agent_ends(&mut self) -> Result<(String, bool)> {
        let agent = self.agent.take().context("no agent runs")?;
        agent.ends(AGENT_PATIENCE)
    }

    /// SIGKILL to the agent.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_agent(&mut self) -> Result<()> {
        self.agent.take().context("no agent runs")?.kill()
    }

    /// Tells how many lines the agent sent from each witness.
    pub fn tell_witnesses(&self) {
        if self.rival.is_none() {
            println!("   {}", self.settings.witnesses());
        }
    }

    /// Ends what runs and counts what was lost and what came twice of so many lines: by the ledgers where it is the agent. A
    /// rival does not say from which container a line is: of it they are only counted.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_counted(&mut self, lines: u64) -> Result<(u64, u64)> {
        if self.rival.is_none() {
            let tally = self.finish()?;
            return Ok((tally.lost, tally.doubled));
        }
        self.stop_agent()?;
        let (arrived, doubled) = (self.receiver.count().lines, self.receiver.stats().entries_received_twice);
        Ok((lines.saturating_sub(arrived), doubled))
    }

    /// Ends the agent in order and compares.
    ///
    /// # Errors
    /// It did not end in time, or not with exit code 0.
    pub fn finish(&mut self) -> Result<Tally> {
        let (tally, last_words) = self.end()?;
        println!("   {tally}");
        if !tally.is_whole() {
            println!("   the agent's last words:\n{last_words}");
        }
        Ok(tally)
    }

    /// As [`Self::finish`], without a word. The second: what the agent said last.
    ///
    /// # Errors
    /// It did not end in time, or not with exit code 0.
    pub fn end(&mut self) -> Result<(Tally, String)> {
        let agent = self.agent.take().context("no agent runs")?;
        let last_words = agent.last_words();
        let status = agent.stop(AGENT_PATIENCE)?;
        ensure!(status.success(), "the agent ended with {status}; its last words:\n{last_words}");
        Ok((compare(&self.written()?, &self.receiver), last_words))
    }
}

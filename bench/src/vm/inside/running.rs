//! A shim as a process: started, asked, ended.
//!
//! In: a pipe, how it is to be read. Out: what was read. Never: a shim that stays.

use super::shim::Way;
use anyhow::{Context, Result, bail};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

static NAMES: AtomicU64 = AtomicU64::new(1);

/// How a shim reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shim {
    pub(super) way: Way,
    pub(super) step: usize,
    pub(super) pause_us: u64,
    pub(super) blocking: bool,
}

impl Shim {
    /// As containerd's does: 4 KiB at once, after a wait.
    pub(super) const USUAL: Self = Self { way: Way::Read, step: 4_096, pause_us: 0, blocking: false };

    /// Starts one that reads from `reader`.
    pub(super) fn start(self, reader: OwnedFd) -> Result<Running> {
        let out = std::env::temp_dir().join(format!("read-{}", fresh()));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["shim", "--way"]).arg(format!("{:?}", self.way).to_lowercase());
        command.arg("--step").arg(self.step.to_string()).arg("--pause-us").arg(self.pause_us.to_string());
        command.args(self.blocking.then_some("--blocking")).arg("--out").arg(&out);
        let child = command.stdin(Stdio::from(reader)).spawn().context("starting a shim")?;
        Ok(Running { child, out })
    }
}

/// A number that was not given before.
pub(super) fn fresh() -> u64 {
    NAMES.fetch_add(1, Ordering::Relaxed)
}

/// A shim that runs.
pub(super) struct Running {
    child: Child,
    out: PathBuf,
}

impl Running {
    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it came to the end of the pipe.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => bail!("a shim ended with {status}"),
        }
    }

    /// What it read until now.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.out).context("what the shim read")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or is to.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        let _absent = std::fs::remove_file(&self.out);
    }
}

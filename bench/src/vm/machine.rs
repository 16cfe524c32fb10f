//! A virtual machine: booted, listened to, ended.
//!
//! In: a kernel, an archive to boot with, what to check. Out: results as they come; what its kernel said, in a file. Never:
//! a machine left running.

use super::report::{END_CHECK, NO_HOOK, Outcome};
use crate::sample::terminate;
use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The program that a machine runs in.
pub(super) const QEMU: &str = "qemu-system-x86_64";
/// A machine takes no longer.
const SECONDS_MAX: &str = "900";
/// Of what its program says, and of what its kernel says, so many lines are told where it did not come to its end.
const LAST_LINES: usize = 12;
const KERNEL_LINES: usize = 80;
/// A processor on which nothing else has run for twice these seconds ends the machine, with what it did last.
const LOCKUP: &str = "watchdog_thresh=30 softlockup_panic=1 panic=-1";

struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // `timeout` hands the signal on to QEMU.
        let _ended = terminate(&self.0);
        let _ended = self.0.wait();
    }
}

/// Boots, hands over each result, and waits for the end. The kernel's messages go to the file `log`.
///
/// # Errors
/// The machine cannot be started, or did not come to the end of its checks.
pub(super) fn boot(
    kernel: &Path,
    archive: &Path,
    (append, checks): (&str, &str),
    log: &Path,
    take: &mut dyn FnMut(Outcome),
) -> Result<()> {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", SECONDS_MAX, QEMU]);
    // Software emulation everywhere, so that it does the same everywhere.
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-no-reboot"]);
    command.args(["-display", "none", "-monitor", "none", "-nic", "none"]);
    // Two lines: a message of the kernel must not stand in the middle of a result.
    command.arg("-serial").arg(format!("file:{}", log.display())).args(["-serial", "stdio"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(archive).arg("-append");
    command.arg(format!("console=ttyS0 {LOCKUP} {append} checks={}", checks.replace(' ', "+")));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut machine = Machine(command.spawn().context("starting QEMU: `cargo xtask setup` installs it")?);
    let console = machine.0.stdout.take().context("the console")?;
    let mut last = VecDeque::new();
    let mut has_ended = false;
    for line in BufReader::new(console).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        match Outcome::parse(&line) {
            Some(outcome) if outcome.check == END_CHECK && outcome.hook == NO_HOOK => has_ended = true,
            Some(outcome) => take(outcome),
            None if line.is_empty() => {}
            None => last.push_back(line),
        }
        if last.len() > LAST_LINES {
            last.pop_front();
        }
    }
    if has_ended {
        return Ok(());
    }
    let said = fs::read(log).with_context(|| format!("reading {}", log.display()))?;
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().collect();
    let kernel = lines.get(lines.len().saturating_sub(KERNEL_LINES)..).unwrap_or_default().join("\n");
    let last = Vec::from(last).join("\n");
    bail!(
        "the machine ended before its checks did; its last words:\n{last}\nand its kernel's ({}):\n{kernel}",
        log.display()
    )
}

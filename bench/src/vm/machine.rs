//! A virtual machine: booted, listened to, ended.
//!
//! In: a kernel, an archive to boot with, what to check. Out: results as they come; what its kernel said, in a file. Never:
//! a machine left running.

use super::report::{END_CHECK, NO_HOOK, Outcome, fault};
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
/// A processor on which nothing else has run for twice these seconds ends the machine, with what each of them did last.
const WATCHDOG: &str = "watchdog_thresh=30 softlockup_panic=1 softlockup_all_cpu_backtrace=1 panic=-1";
/// What the kernel says then.
const LOCKUP: &str = "soft lockup";
/// How it names what is run, attached or mapped for a kernel program, where that is among what a processor did.
const PROGRAMS: &str = "bpf_";

/// How a machine ended.
pub(super) enum End {
    /// After its last check.
    Checked,
    /// Its processors stood still, on none of them was anything of a kernel program, and nothing was wrong before. What it said.
    StoodStill(String),
}

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
) -> Result<End> {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", SECONDS_MAX, QEMU]);
    // Software emulation everywhere, so that it does the same everywhere.
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-no-reboot"]);
    command.args(["-display", "none", "-monitor", "none", "-nic", "none"]);
    // Two lines: a message of the kernel must not stand in the middle of a result.
    command.arg("-serial").arg(format!("file:{}", log.display())).args(["-serial", "stdio"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(archive).arg("-append");
    command.arg(format!("console=ttyS0 {WATCHDOG} {append} checks={}", checks.replace(' ', "+")));
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
        return Ok(End::Checked);
    }
    let kernel = fs::read(log).with_context(|| format!("reading {}", log.display()))?;
    let kernel = String::from_utf8_lossy(&kernel);
    let words = format!(
        "the machine ended before its checks did; its last words:\n{}\nand its kernel's ({}):\n{}",
        Vec::from(last).join("\n"),
        log.display(),
        end_of(&kernel)
    );
    if stood_still(&kernel) {
        return Ok(End::StoodStill(words));
    }
    bail!("{words}")
}

/// The processors stood still with nothing of a kernel program on them, and without a fault before.
fn stood_still(kernel: &str) -> bool {
    let Some((before, after)) = kernel.split_once(LOCKUP) else { return false };
    // The line itself is one of a fault.
    let before = before.rsplit_once('\n').map_or("", |(before, _)| before);
    fault(before).is_none() && !after.contains(PROGRAMS)
}

/// What the kernel said last; of a lockup from its beginning.
fn end_of(kernel: &str) -> String {
    let lines: Vec<_> = kernel.lines().collect();
    let last = lines.len().saturating_sub(KERNEL_LINES);
    let lockup = lines.iter().position(|line| line.contains(LOCKUP)).unwrap_or(last);
    lines.get(last.min(lockup)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: &str =
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [checks:391]\n smp_call_function_many_cond+0x1";

    #[test]
    fn it_stood_still_only_where_nothing_of_a_program_ran_and_nothing_was_wrong() {
        assert!(stood_still(STILL));
        assert!(!stood_still("reboot: Power down"));
        for frame in
            ["bpf_prog_5f7a_on_sys_exit+0x44", "bpf_trampoline_6442+0x31", "__x64_sys_bpf+0x1\n bpf_raw_tp_link+0x2"]
        {
            assert!(!stood_still(&format!("{STILL}\n {frame}")), "{frame}");
        }
        assert!(!stood_still(&format!("WARNING: CPU: 0 PID: 1\n{STILL}")));
    }
}

//! What the agent says where it may not, or cannot, attach: each in a process of its own.
//!
//! In: hooks. Out: results. Never: a refusal without its reason taken for a good one.

use super::rights::RightsArgs;
use super::{Finding, tell};
use crate::vm::report::NO_HOOK;
use anyhow::{Context, Result, bail, ensure};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
/// What the agent is to run with.
const USUAL: [&str; 4] = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];

/// With the hook of this name.
type Check = fn(&str) -> Result<Finding>;

/// All of them, lockdown last: it cannot be taken back.
pub(super) fn run(hooks: &[String], only: &str) {
    let checks: [(&str, Check); 5] = [
        ("rights", least_rights),
        ("no-cap-bpf", |hook| refused(hook, &["perfmon", "sys_ptrace"], "CAP_BPF")),
        ("no-cap-perfmon", |hook| refused(hook, &["bpf", "sys_ptrace", "sys_resource"], "CAP_PERFMON")),
        ("no-btf", without_btf),
        ("lockdown", locked_down),
    ];
    if "proc-fd".contains(only) {
        tell(NO_HOOK, "proc-fd", descriptors_of_others());
    }
    for (name, check) in checks.iter().filter(|(name, _)| name.contains(only)) {
        for hook in hooks {
            tell(hook, name, check(hook));
        }
    }
}

fn process(before: &[&str], args: &RightsArgs) -> Result<Output> {
    let own = std::env::current_exe()?;
    let mut command = match before {
        [] => Command::new(own),
        [program, more @ ..] => {
            let mut command = Command::new(program);
            command.args(more).arg(own);
            command
        }
    };
    command.args(["rights"]);
    if let Some(keep) = &args.keep {
        command.args(["--keep", &keep.join(",")]);
    }
    if let Some(hook) = &args.hook {
        command.args(["--hook", hook]);
    }
    if !args.give_up.is_empty() {
        command.args(["--give-up", &args.give_up.join(",")]);
    }
    if let Some(link) = &args.link {
        command.arg("--link").arg(link);
    }
    command.stdin(Stdio::null()).output().context("starting a process with fewer rights")
}

fn attach(before: &[&str], hook: &str, keep: Option<&[&str]>, give_up: &[&str]) -> Result<(bool, String)> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let args = RightsArgs { keep: keep.map(owned), hook: Some(hook.to_owned()), give_up: owned(give_up), link: None };
    let output = process(before, &args)?;
    let words = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let cry = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!cry.contains("panicked"), "it panicked: {cry}");
    ensure!(!words.is_empty(), "it said nothing: {cry}");
    Ok((output.status.success(), words))
}

/// With the four rights that are asked for; where that is not enough, with one more.
fn least_rights(hook: &str) -> Result<Finding> {
    let give_up = ["sys_ptrace", "dac_read_search", "perfmon", "bpf"];
    let (is_attached, words) = attach(&[], hook, Some(&USUAL), &give_up)?;
    if is_attached {
        ensure!(words.starts_with("attached; following a pipe: yes"), "{words}");
        return Ok(Finding::ok(words));
    }
    let more = [&USUAL[..], &["sys_resource"]].concat();
    let (is_attached, with_more) = attach(&[], hook, Some(&more), &[&["sys_resource"][..], &give_up].concat())?;
    match is_attached {
        true if !words.contains("CAP_SYS_RESOURCE") => {
            bail!("attached with CAP_SYS_RESOURCE, but this was said: {words}")
        }
        true => Ok(Finding::ok(format!("only with CAP_SYS_RESOURCE too: {with_more}; without it: {words}"))),
        false => Ok(Finding::lacks(with_more)),
    }
}

fn refused(hook: &str, keep: &[&str], word: &str) -> Result<Finding> {
    expect_refusal(attach(&[], hook, Some(keep), &[])?, word)
}

fn expect_refusal((is_attached, words): (bool, String), word: &str) -> Result<Finding> {
    ensure!(!is_attached, "it was attached all the same: {words}");
    ensure!(words.contains(word), "the reason does not name `{word}`: {words}");
    Ok(Finding::ok(format!("refused: {words}")))
}

/// An empty folder is mounted over the kernel's description of its types, for this process alone.
fn without_btf(hook: &str) -> Result<Finding> {
    let script = "/bin/busybox mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";
    let before = ["/bin/busybox", "unshare", "-m", "/bin/busybox", "sh", "-c", script, "sh"];
    expect_refusal(attach(&before, hook, None, &[])?, "does not describe its types")
}

fn locked_down(hook: &str) -> Result<Finding> {
    if !Path::new(LOCKDOWN).exists() {
        return Ok(Finding::lacks("this kernel has no lockdown"));
    }
    let now = std::fs::read_to_string(LOCKDOWN)?;
    if !now.contains("[confidentiality]") {
        std::fs::write(LOCKDOWN, "confidentiality").context("locking the kernel down")?;
    }
    expect_refusal(attach(&[], hook, None, &[])?, "lockdown=integrity")
}

/// Ends with the check.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It sleeps for long.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// What it takes to see which pipes another process holds: root's, and a user's.
fn descriptors_of_others() -> Result<Finding> {
    let mut words = Vec::new();
    for (who, user) in [("root's", 0), ("another user's", 1_000)] {
        let mut command = Command::new("/bin/busybox");
        command.args(["sleep", "1000"]).uid(user).gid(user).stdin(Stdio::piped());
        let sleeper = Sleeper(command.spawn().context("starting a process to look at")?);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let link = PathBuf::from(format!("/proc/{}/fd/0", sleeper.0.id()));
        for keep in [&[][..], &["sys_ptrace"], &["dac_read_search"], &["sys_ptrace", "dac_read_search"]] {
            let names = keep.iter().map(|name| (*name).to_owned()).collect();
            let args = RightsArgs { keep: Some(names), hook: None, give_up: Vec::new(), link: Some(link.clone()) };
            let output = process(&[], &args)?;
            let answer = if output.status.success() { "yes" } else { "no" };
            let with = if keep.is_empty() { "nothing".to_owned() } else { keep.join(" and ") };
            words.push(format!("{who} with {with}: {answer}"));
        }
    }
    let is_enough = words.iter().filter(|word| word.contains(" and ")).all(|word| word.ends_with("yes"));
    ensure!(is_enough, "{}", words.join("; "));
    Ok(Finding::ok(words.join("; ")))
}

//! What runs inside a virtual machine: every check with every hook, then what the agent says where there is none.
//!
//! In: hooks to try. Out: a line a result on standard output (`report.rs`). Never: an end without the line that says so.

use super::report::{END_CHECK, NO_HOOK, Outcome, Verdict, fault};
use crate::clock;
use anyhow::{Context, Result, bail};
use checks::{CHECKS, Machine};
use penstock::metrics::label::Hook;
use penstock::sources::ebpf::Kernel;
use std::process::{Command, Stdio};
use std::time::Duration;

mod captured;
mod checks;
mod followed;
mod refused;
mod rights;
mod running;
mod shim;
mod uring;
mod writer;

/// All checks with one hook take no longer.
const PATIENCE: Duration = Duration::from_secs(240);

/// What the program inside is to do.
#[derive(Debug, clap::Args)]
pub struct InsideArgs {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, clap::Subcommand)]
enum Role {
    /// Everything, each hook in a process of its own
    All {
        #[command(flatten)]
        chosen: Chosen,
    },
    /// The checks with one hook
    Hook {
        hook: String,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Drains standard input
    Shim(shim::ShimArgs),
    /// Fills standard output
    Writer(writer::WriterArgs),
    /// Gives up rights, then attaches
    Rights(rights::RightsArgs),
}

/// What is to be checked.
#[derive(Clone, Debug, clap::Args)]
struct Chosen {
    /// Hooks
    #[arg(long, value_delimiter = ',')]
    hooks: Vec<String>,
    /// Only what concerns a kernel that preempts everything
    #[arg(long)]
    preempt: bool,
    /// Only checks with this in their name
    #[arg(long, default_value = "")]
    only: String,
}

/// What a check found, if it did not fail.
pub(in crate::vm) struct Finding {
    verdict: Verdict,
    words: String,
}

impl Finding {
    fn ok(words: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, words: words.into() }
    }

    /// The kernel lacks what the check needs.
    fn lacks(words: impl Into<String>) -> Self {
        Self { verdict: Verdict::Refused, words: words.into() }
    }

    /// A limit of the hook that is known.
    fn limit(words: impl Into<String>) -> Self {
        Self { verdict: Verdict::Limit, words: words.into() }
    }
}

/// Plays its role.
///
/// # Errors
/// The role could not be played. A check that fails is no error but a line.
pub fn run(args: &InsideArgs) -> Result<()> {
    match &args.role {
        Role::All { chosen } => all(chosen),
        Role::Hook { hook, chosen } => with_hook(hook, chosen),
        Role::Shim(args) => shim::run(args),
        Role::Writer(args) => writer::run(args),
        Role::Rights(args) => rights::run(args),
    }
}

fn tell(hook: &str, check: &str, result: Result<Finding>) {
    let finding = result.unwrap_or_else(|error| Finding { verdict: Verdict::Failed, words: format!("{error:#}") });
    let Finding { verdict, words } = finding;
    println!("{}", Outcome { hook: hook.to_owned(), check: check.to_owned(), verdict, words });
}

/// A hook by its name.
fn hook_of(name: &str) -> Result<Hook> {
    Ok(match name {
        "fentry" => Hook::Fentry,
        "tp_btf" => Hook::TpBtf,
        "raw_tp" => Hook::RawTp,
        other => bail!("no hook {other}: name fentry, tp_btf or raw_tp"),
    })
}

fn all(chosen: &Chosen) -> Result<()> {
    for hook in &chosen.hooks {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["hook", hook, "--hooks", hook, "--only", &chosen.only]);
        command.args(chosen.preempt.then_some("--preempt"));
        if let Err(error) = patiently(&mut command) {
            tell(hook, "hook", Err(error));
        }
    }
    if !chosen.preempt {
        refused::run(&chosen.hooks, &chosen.only);
    }
    tell(NO_HOOK, "preemption", preemption());
    tell(NO_HOOK, "kernel-log", kernel_log());
    tell(NO_HOOK, END_CHECK, Ok(Finding::ok(format!("{} s", clock::monotonic().as_secs()))));
    Ok(())
}

/// Runs a process that tells its own results.
fn patiently(command: &mut Command) -> Result<()> {
    let mut child = command.stdin(Stdio::null()).spawn()?;
    let begun = clock::monotonic();
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("it ended with {status} in the middle of its checks"),
            None if clock::monotonic() - begun > PATIENCE => {
                child.kill()?;
                child.wait()?;
                bail!("it did not come to its end within {} s", PATIENCE.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn with_hook(name: &str, chosen: &Chosen) -> Result<()> {
    let hook = hook_of(name)?;
    let mut attached: Option<(u32, Kernel)> = None;
    let is_chosen = |machine: Machine| machine == Machine::Both || !chosen.preempt;
    for check in CHECKS.iter().filter(|check| is_chosen(check.machine) && check.name.contains(&chosen.only)) {
        let kernel = match &mut attached {
            Some((ring_bytes, kernel)) if *ring_bytes == check.ring_bytes => kernel,
            other => {
                // The old one first: two at once would both capture.
                *other = None;
                match Kernel::attach(&[hook], check.ring_bytes) {
                    Ok(kernel) => &mut other.insert((check.ring_bytes, kernel)).1,
                    Err(refused) => {
                        tell(name, "attach", Ok(Finding::lacks(refused.to_string())));
                        return Ok(());
                    }
                }
            }
        };
        let result = (check.run)(kernel);
        let bad = kernel.counters().bad_records;
        let result = result.and_then(|finding| match bad {
            0 => Ok(finding),
            count => bail!("{count} records were not of the agreed form"),
        });
        tell(name, check.name, result);
    }
    Ok(())
}

/// How the kernel preempts what runs in it, as it says itself.
fn preemption() -> Result<Finding> {
    const WORDS: &str = "Dynamic Preempt: ";
    let log = log()?;
    let word = log.lines().find_map(|line| line.split_once(WORDS));
    Ok(match word {
        Some((_, word)) => Finding::ok(word),
        None => Finding::lacks("this kernel's preemption cannot be changed"),
    })
}

fn log() -> Result<String> {
    let log = Command::new("/bin/busybox").arg("dmesg").output().context("reading the kernel's log")?;
    Ok(String::from_utf8_lossy(&log.stdout).into_owned())
}

/// Nothing in the kernel's own log that tells of a fault.
fn kernel_log() -> Result<Finding> {
    let log = log()?;
    match fault(&log) {
        None => Ok(Finding::ok("no fault")),
        Some(line) => bail!("{line}"),
    }
}

//! The kernel matrix: Debian's kernels in QEMU, every hook they have, every check.
//!
//! In: which kernels. Out: a line a result, then a matrix; images, lists and the kernels' messages in the target
//! folder. Never: anything installed, or a machine left running.

use crate::agent::project;
use crate::clock;
use crate::cri::find_program;
use anyhow::{Context, Result, bail};
use kernels::KernelImage;
use matrix::Machine;
use report::{NO_HOOK, Outcome, Verdict};
use std::fs;
use std::path::Path;

mod image;
mod inside;
mod kernels;
mod machine;
mod matrix;
mod report;

pub use inside::{InsideArgs, run as run_inside};

/// What `cargo xtask vm` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct VmArgs {
    /// Which kernels: 5.10, 6.1, 6.12, newest
    #[arg(long, value_delimiter = ',', default_value = "5.10,6.1,6.12,newest")]
    kernels: Vec<String>,
    /// Which hooks
    #[arg(long, value_delimiter = ',', default_value = "fentry,tp_btf,raw_tp")]
    hooks: Vec<String>,
    /// Only checks with this in their name
    #[arg(long, default_value = "")]
    only: String,
    /// Ask the archive for newer kernels than those downloaded before
    #[arg(long)]
    update: bool,
}

/// A way to boot a kernel.
struct Boot {
    /// Stands behind the kernel's name.
    name: &'static str,
    append: &'static str,
    /// For the program inside.
    checks: &'static str,
}

/// A kernel that cannot change its preemption at boot (5.10) is booted the usual way alone.
const BOOTS: [Boot; 2] = [
    Boot { name: "", append: "", checks: "" },
    Boot { name: " preempt=full", append: "preempt=full", checks: " --preempt" },
];
const WITHOUT_DYNAMIC_PREEMPTION: &str = "5.10";

/// What keeps this machine from running virtual ones; `cargo xtask setup` installs it.
#[must_use]
pub fn missing() -> Option<String> {
    if std::env::consts::ARCH != "x86_64" {
        return Some("it runs on x86-64 only".to_owned());
    }
    let needed = [machine::QEMU, "busybox", "cpio", "gzip", "objcopy", "timeout", "apt-get", "dpkg-deb"];
    let missing: Vec<_> = needed.into_iter().filter(|name| find_program(name).is_none()).collect();
    (!missing.is_empty()).then(|| format!("{} not installed", missing.join(", ")))
}

/// Runs the matrix. False: a check failed.
///
/// # Errors
/// Something that it needs is missing, or a kernel cannot be had.
pub fn run(args: &VmArgs) -> Result<bool> {
    if let Some(why) = missing() {
        bail!("{why}: run `cargo xtask setup`");
    }
    let folder = project().canonicalize().context("the project's folder")?.join("target/vm");
    fs::create_dir_all(&folder)?;
    let images = kernels::find(&folder, &args.kernels, args.update)?;
    let archive = image::make(&folder)?;
    let mut machines = Vec::new();
    for kernel in &images {
        let boots = BOOTS.iter().filter(|boot| boot.append.is_empty() || kernel.name != WITHOUT_DYNAMIC_PREEMPTION);
        for boot in boots {
            let checks = format!("--hooks {}{}{}", args.hooks.join(","), only(&args.only), boot.checks);
            machines.push(checked(&folder, kernel, &archive, boot, &checks));
        }
    }
    println!("\n{}", matrix::text(&machines));
    Ok(matrix::is_good(&machines))
}

/// Boots a kernel and has it checked; once more where nothing had failed and the machine stood still, as the emulation may:
/// that is told, and counts as a limit.
fn checked(folder: &Path, kernel: &KernelImage, archive: &Path, boot: &Boot, checks: &str) -> Machine {
    let begun = clock::monotonic();
    let name = format!("{}{}", kernel.name, boot.name);
    let mut machine = Machine { name, outcomes: Vec::new() };
    let mut stood_still = None;
    loop {
        let mut last = clock::monotonic();
        machine.outcomes.clear();
        let again = if stood_still.is_some() { "-again" } else { "" };
        let log = folder.join(format!("{}{again}.log", machine.name.replace(' ', "-")));
        let end = machine::boot(&kernel.image, archive, (boot.append, checks), &log, &mut |outcome| {
            let now = clock::monotonic();
            let (name, Outcome { hook, check, verdict, words }) = (&machine.name, &outcome);
            let seconds = (now - last).as_secs_f32();
            println!("{name} {hook} {check}: {} ({seconds:.1} s) {words}", verdict.word());
            last = now;
            machine.outcomes.push(outcome);
        });
        let (verdict, words) = match end {
            Ok(machine::End::StoodStill(words)) if stood_still.is_none() && !machine.has_failed() => {
                println!("{}: once more, as {words}", machine.name);
                stood_still = Some(words);
                continue;
            }
            Ok(machine::End::Checked) => match stood_still {
                None => break,
                Some(words) => (Verdict::Limit, words),
            },
            Ok(machine::End::StoodStill(words)) => (Verdict::Failed, words),
            Err(error) => (Verdict::Failed, format!("{error:#}")),
        };
        println!("{}: {}: {words}", machine.name, verdict.word());
        machine.outcomes.push(Outcome { hook: NO_HOOK.to_owned(), check: "boot".to_owned(), verdict, words });
        break;
    }
    println!("{}: {} s", machine.name, (clock::monotonic() - begun).as_secs());
    machine
}

fn only(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" --only {name}") }
}

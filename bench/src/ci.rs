//! What CI runs, step by step, the same on every machine.
//!
//! In: the project. Out: one line a step, with its time; the first failure ends it. Never: a step of its own;
//! each is a command that a person can type.

use crate::agent::project;
use crate::ebpf::Rebuilt;
use crate::measure::guard;
use crate::tools::Tool;
use crate::{arm64, clock, cri, ebpf, vm};
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Every test of the workspace.
///
/// # Errors
/// One failed, or cargo did.
pub fn test() -> Result<()> {
    println!("the tests need Rust and a C compiler; real containers: cargo xtask e2e");
    for why in [Tool::Helm, Tool::Promtool].into_iter().filter_map(Tool::missing) {
        println!("left out: what is tested with it ({why}: cargo xtask setup)");
    }
    step("cargo", &["test", "--workspace", "--quiet"])
}

/// The long tests for which CI has time. The simulations run in the tests.
const SOAK: [&str; 10] =
    ["rotation", "formats", "kills", "outage", "ahead", "latency", "full", "stopped", "rights", "cost"];

/// Format, lints, tests, then the small forms of the long tests.
///
/// # Errors
/// A step failed.
pub fn run() -> Result<()> {
    step("cargo", &["fmt", "--all", "--check"])?;
    step("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    step("cargo", &["xtask", "ebpf", "--check"])?;
    rebuilt_programs()?;
    step_unless(arm64::missing(), &["xtask", "arm64", "--check"])?;
    step("cargo", &["xtask", "test"])?;
    step_unless(guard::missing(), &["xtask", "bench", "--guard"])?;
    step("cargo", &["xtask", "demo", "--seconds", "5", "--no-containerd"])?;
    step("cargo", &[&["xtask", "soak"][..], &SOAK, &["--small", "--debug"]].concat())?;
    step_unless(cri::missing(), &["xtask", "e2e"])?;
    step_unless(vm::missing(), &["xtask", "vm", "--kernels", "5.10,6.12"])
}

/// The kernel programs from source. Where that gives another object than the committed one, the capture tests run with it.
fn rebuilt_programs() -> Result<()> {
    println!("── the kernel programs from source");
    match ebpf::rebuild()? {
        Rebuilt::Same => println!("   the committed object, byte for byte: the tests below are made with it"),
        Rebuilt::Missing(why) => println!("left out: the kernel programs from source ({why})"),
        Rebuilt::Other(object) => {
            println!("   not byte for byte the committed object: the capture tests with this one");
            let mut cargo = Command::new("cargo");
            cargo.args(["test", "--package", "penstock", "--test", "capture"]).env("PENSTOCK_EBPF_OBJECT", &object);
            finish(cargo)?;
        }
    }
    Ok(())
}

fn step_unless(missing: Option<String>, args: &[&str]) -> Result<()> {
    match missing {
        None => step("cargo", args),
        Some(why) => {
            println!("left out: cargo {} ({why}; cargo xtask setup)", args.join(" "));
            Ok(())
        }
    }
}

fn step(program: &str, args: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(args);
    finish(command)
}

fn finish(mut command: Command) -> Result<()> {
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    let shown = format!("{} {}", command.get_program().display(), args.join(" "));
    println!("── {shown}");
    let begun = clock::monotonic();
    let status = command.current_dir(project()).status();
    let status = status.with_context(|| format!("starting {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    println!("   {shown}: {} s", (clock::monotonic() - begun).as_secs());
    Ok(())
}

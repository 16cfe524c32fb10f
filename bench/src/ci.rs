//! What CI runs, step by step, the same on every machine.
//!
//! In: the project. Out: one line a step, with its time; the first failure ends it. Never: a step of its own;
//! each is a command that a person can type.

use crate::agent::project;
use crate::{clock, cri};
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Every test of the workspace.
///
/// # Errors
/// One failed, or cargo did.
pub fn test() -> Result<()> {
    println!("the tests need Rust and a C compiler, nothing else; real containers: cargo xtask e2e");
    step("cargo", &["test", "--workspace", "--quiet"])
}

/// Format, lints, tests, then the small forms of the long tests.
///
/// # Errors
/// A step failed.
pub fn run() -> Result<()> {
    step("cargo", &["fmt", "--all", "--check"])?;
    step("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    step("cargo", &["xtask", "ebpf", "--check"])?;
    step("cargo", &["xtask", "test"])?;
    step("cargo", &["xtask", "demo", "--seconds", "5", "--no-containerd"])?;
    step("cargo", &["xtask", "soak", "rotation", "formats", "kills", "outage", "--small", "--debug"])?;
    match cri::missing() {
        None => step("cargo", &["xtask", "e2e"]),
        Some(why) => {
            println!("left out: cargo xtask e2e ({why}; cargo xtask setup)");
            Ok(())
        }
    }
}

fn step(program: &str, args: &[&str]) -> Result<()> {
    let shown = format!("{program} {}", args.join(" "));
    println!("── {shown}");
    let begun = clock::monotonic();
    let status = Command::new(program).args(args).current_dir(project()).status();
    let status = status.with_context(|| format!("starting {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    println!("   {shown}: {} s", (clock::monotonic() - begun).as_secs());
    Ok(())
}

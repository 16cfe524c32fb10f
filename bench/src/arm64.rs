//! The agent for arm64, built on another processor: Debian's cross compiler, Debian's Rust with its standard library for
//! arm64.
//!
//! In: the project. Out: a static binary in the target folder, started once where qemu is there; or only whether it compiles. Never: a package of another
//! processor installed on this machine; the library is unpacked below the target folder.

use crate::agent::project;
use crate::cri::find_program;
use crate::cri::image::output;
use crate::tools::only;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
/// Debian's Rust, whose standard library there is for each processor.
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
/// Debian's package with the standard library.
const LIBRARY: &str = "libstd-rust-web-dev";
/// Runs a program for arm64, where it is installed.
const EMULATOR: &str = "qemu-aarch64";

/// What keeps this machine from building it.
#[must_use]
pub fn missing() -> Option<String> {
    let missing = [LINKER, RUSTC, CARGO, "apt-get", "dpkg-deb"].into_iter().find(|name| find_program(name).is_none());
    missing.map(|name| format!("{name} not installed"))
}

/// The arguments of `cargo xtask arm64`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Arm64Args {
    /// Only whether it compiles, as CI looks; without its machine code.
    #[arg(long)]
    pub check: bool,
}

/// Builds it, and starts it where it can be.
///
/// # Errors
/// It does not build or start; the library cannot be had.
pub fn run(args: Arm64Args) -> Result<()> {
    let sysroot = sysroot().context("the standard library for arm64 comes from Debian")?;
    let mut cargo = Command::new(CARGO);
    cargo.current_dir(project()).arg(if args.check { "check" } else { "build" });
    cargo.args(["--quiet", "--package", "penstock", "--target", TARGET]);
    cargo.env("CARGO_TARGET_DIR", target()).env("RUSTC", RUSTC);
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER);
    cargo.env("RUSTFLAGS", format!("--sysroot {} -C target-feature=+crt-static", sysroot.display()));
    let status = cargo.status().context("starting cargo")?;
    ensure!(status.success(), "the agent does not build for arm64 ({status})");
    if args.check {
        println!("the agent compiles for arm64");
        return Ok(());
    }
    let program = target().join(TARGET).join("debug/penstock");
    let Some(emulator) = find_program(EMULATOR) else {
        println!("{}; not started, as {EMULATOR} (Debian package qemu-user) is not there", program.display());
        return Ok(());
    };
    let said = output(Command::new(emulator).arg(&program).arg("--version")).context("starting the agent for arm64")?;
    println!("{}; started, it says: {}", program.display(), said.trim());
    Ok(())
}

fn target() -> PathBuf {
    project().join("target/arm64")
}

/// The folder in which rustc finds the library, of the version that this rustc is; fetched where it is not there.
fn sysroot() -> Result<PathBuf> {
    let version = output(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", LIBRARY]))?;
    let folder = target().join(format!("library-{version}"));
    if !folder.exists() {
        fs::create_dir_all(target())?;
        let temporary = tempfile::tempdir_in(target())?;
        fetch(&version, temporary.path())?;
        fs::rename(temporary.path().join("unpacked"), &folder)?;
    }
    Ok(folder.join("usr"))
}

/// apt with lists of its own, as if this machine were one for arm64.
fn fetch(version: &str, temporary: &Path) -> Result<()> {
    fs::create_dir_all(temporary.join("lists/partial"))?;
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.current_dir(temporary).arg("-qq").args(["--option", "APT::Architecture=arm64"]);
        // As root apt would give the download to a user that may not write here.
        apt.args(["--option", "APT::Architectures::=arm64", "--option", "APT::Sandbox::User=root"]);
        for place in ["Dir::State::Lists", "Dir::Cache"] {
            apt.arg("--option").arg(format!("{place}={}", temporary.join("lists").display()));
        }
        output(apt.args(args)).map(drop)
    };
    apt(&["update"])?;
    apt(&["download", &format!("{LIBRARY}:arm64={version}")])?;
    output(Command::new("dpkg-deb").arg("--extract").arg(only(temporary, "deb")?).arg(temporary.join("unpacked")))
        .map(drop)
}

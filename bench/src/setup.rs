//! What the chores need of the machine, and how it gets there.
//!
//! In: the machine. Out: installed Debian packages where we are root on Debian, else what to install. Never: a
//! package that is there already, anything outside the package sources that the machine's apt, cargo and pip know.

use crate::agent::project;
use crate::cri::find_program;
use crate::{ebpf, tools};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// A program, Debian's package that has it, and what for.
const NEEDED: [(&str, &str, &str); 21] = [
    ("cc", "gcc", "building"),
    ("containerd", "containerd", "real containers"),
    ("ctr", "containerd", "real containers"),
    ("runc", "runc", "real containers"),
    ("busybox", "busybox-static", "the image of the real containers"),
    ("/usr/bin/cargo", "cargo-web", "the kernel programs"),
    ("/usr/bin/rustc", "rustc-web", "the kernel programs"),
    ("/usr/lib/rustlib/src/rust/library/core/Cargo.toml", "rust-web-src", "the kernel programs"),
    ("/usr/lib/llvm-22/bin/llvm-config", "llvm-22-dev", "bpf-linker, for the kernel programs"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", "the agent for arm64"),
    ("/usr/aarch64-linux-gnu/lib/libc.a", "libc6-dev-arm64-cross", "the agent for arm64"),
    ("pip", "python3-pip", "helm, for the charts"),
    ("unzip", "unzip", "helm, for the charts"),
    ("tar", "tar", "helm, for the charts"),
    ("update-ca-certificates", "ca-certificates", "the agent's image"),
    ("qemu-system-x86_64", "qemu-system-x86", "the kernel matrix"),
    ("cpio", "cpio", "the kernel matrix"),
    ("gzip", "gzip", "the kernel matrix"),
    ("valgrind", "valgrind", "counting instructions"),
    ("objcopy", "binutils", "the kernel matrix"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring", "the kernel matrix"),
];

/// Installs what is missing, bpf-linker, helm and promtool into the target folder. Without the right to, or elsewhere than on Debian, says
/// what is missing.
///
/// # Errors
/// Something is missing and could not be installed.
pub fn run() -> Result<()> {
    packages()?;
    ebpf::install_linker(&project())?;
    tools::install();
    Ok(())
}

fn packages() -> Result<()> {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, _, _)| find_program(program).is_none()).collect();
    if missing.is_empty() {
        println!("everything is there");
        return Ok(());
    }
    for (program, package, purpose) in &missing {
        println!("missing: {program} (Debian package {package}), for {purpose}");
    }
    let mut packages: Vec<_> = missing.iter().map(|(_, package, _)| *package).collect();
    packages.dedup();
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if !Path::new("/etc/debian_version").exists() {
        bail!("this is not Debian: install these programs with your system's package manager");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("not root: run `{by_hand}` as root");
    }
    apt(&["update", "-qq"])?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    apt(&[&install[..], &packages].concat()).with_context(|| format!("by hand: {by_hand}"))
}

fn apt(args: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    let status = command.args(args).env("DEBIAN_FRONTEND", "noninteractive").status().context("starting apt-get")?;
    anyhow::ensure!(status.success(), "apt-get {} failed ({status})", args.join(" "));
    Ok(())
}

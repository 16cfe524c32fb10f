//! What can build for the BPF target: a compiler with the standard library's source, and bpf-linker.
//!
//! In: the machine. Out: paths and versions, or what to install. Never: a linker outside the project's target folder.

use crate::cri::find_program;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// bpf-linker must know the compiler's bitcode: its LLVM is that of the compiler, or newer.
const LLVM: &str = "22";
const LINKER_VERSION: &str = "0.13.0";
/// Where Debian puts that LLVM.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// What builds the object.
pub(super) struct Toolchain {
    pub(super) cargo: PathBuf,
    pub(super) rustc: PathBuf,
    /// Where the compiler's own files are.
    pub(super) sysroot: PathBuf,
    pub(super) rustc_version: String,
    /// The folder with bpf-linker in it.
    pub(super) linker_folder: PathBuf,
    pub(super) linker_version: String,
    pub(super) objcopy: PathBuf,
}

/// A nightly of rustup if it has the source, else Debian's `rustc-web`.
pub(super) fn find(project: &Path) -> Result<Toolchain> {
    let (cargo, rustc, sysroot) = compiler()?;
    let linker_folder = tools(project).join("bin");
    let linker = linker_folder.join("bpf-linker");
    ensure!(linker.exists(), "there is no bpf-linker in the target folder: run `cargo xtask setup`");
    let rustc_version = output(&rustc, &["--version"])?;
    let linker_version = output(&linker, &["--version"])?;
    let debian = Some(Path::new(LLVM_PREFIX).join("bin/llvm-objcopy")).filter(|path| path.exists());
    let objcopy = debian.or_else(|| find_program("llvm-objcopy"));
    let objcopy = objcopy.context("there is no llvm-objcopy: run `cargo xtask setup`")?;
    Ok(Toolchain { cargo, rustc, sysroot, rustc_version, linker_folder, linker_version, objcopy })
}

fn compiler() -> Result<(PathBuf, PathBuf, PathBuf)> {
    let nightly = |program: &str| output("rustup", &["which", "--toolchain", "nightly", program]).map(PathBuf::from);
    let debian = |program: &str| Ok(Path::new("/usr/bin").join(program));
    let candidates = [(nightly("cargo"), nightly("rustc")), (debian("cargo"), debian("rustc"))];
    for (cargo, rustc) in candidates.into_iter().filter_map(|(cargo, rustc)| Some((cargo.ok()?, rustc.ok()?))) {
        let Ok(sysroot) = output(&rustc, &["--print", "sysroot"]).map(PathBuf::from) else { continue };
        if sysroot.join("lib/rustlib/src/rust/library/core").exists() {
            return Ok((cargo, rustc, sysroot));
        }
    }
    bail!(
        "no compiler has the standard library's source: `rustup component add rust-src --toolchain nightly`, or on \
         Debian `cargo xtask setup`"
    )
}

/// The first line that a program prints.
fn output(program: impl AsRef<Path>, args: &[&str]) -> Result<String> {
    let program = program.as_ref();
    let output =
        Command::new(program).args(args).output().with_context(|| format!("starting {}", program.display()))?;
    ensure!(output.status.success(), "{} {}: {}", program.display(), args.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// Installs bpf-linker into the project's target folder, unless it is there.
///
/// # Errors
/// LLVM is not there, or cargo could not build it.
pub fn install_linker(project: &Path) -> Result<()> {
    let tools = tools(project);
    if tools.join("bin/bpf-linker").exists() {
        return Ok(());
    }
    println!("building bpf-linker {LINKER_VERSION} into {}", tools.display());
    let feature = format!("llvm-{LLVM}");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "install",
        "bpf-linker",
        "--quiet",
        // Three times as fast to build, and it links in a second all the same.
        "--debug",
        "--version",
        LINKER_VERSION,
        "--no-default-features",
        "--features",
    ]);
    cargo.arg(feature).arg("--root").arg(&tools).env("LLVM_PREFIX", LLVM_PREFIX);
    let status = cargo.env("CARGO_TARGET_DIR", tools.join("build")).status().context("starting cargo")?;
    ensure!(status.success(), "cargo install bpf-linker failed ({status}); it needs Debian's llvm-{LLVM}-dev");
    Ok(())
}

fn tools(project: &Path) -> PathBuf {
    project.join("target/tools")
}

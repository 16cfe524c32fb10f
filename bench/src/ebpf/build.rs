//! The build itself: cargo for the BPF target, then everything out that the kernel does not need.
//!
//! In: the source, a toolchain. Out: the bytes of the object. Never: paths of this machine in it.

use super::toolchain::Toolchain;
use anyhow::{Context, Result, ensure};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "bpfel-unknown-none";
const PROGRAMS: &str = "penstock-ebpf-programs";

/// Builds, strips, and returns the object.
pub(super) fn build(project: &Path, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let folder = project.join("target/ebpf");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([toolchain.linker_folder.clone()].into_iter().chain(env::split_paths(&path)))?;
    let mut cargo = Command::new(&toolchain.cargo);
    cargo.current_dir(project).env("PATH", path);
    cargo.args(["build", "--quiet", "--release", "--locked", "--package", "penstock-ebpf", "--bin", PROGRAMS]);
    cargo.args(["--features", "programs", "--target", TARGET, "-Z", "build-std=core"]).arg("--target-dir").arg(&folder);
    // The compiler may be a stable one: `build-std` and assembler for this target are unstable features.
    cargo.env("RUSTC", &toolchain.rustc).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(project, toolchain).join("\x1f"));
    for of_another_toolchain in ["RUSTUP_TOOLCHAIN", "RUSTFLAGS", "RUSTDOC", "RUSTC_WRAPPER", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(of_another_toolchain);
    }
    let status = cargo.status().with_context(|| format!("starting {}", toolchain.cargo.display()))?;
    ensure!(status.success(), "the kernel programs do not build ({status})");
    strip(toolchain, &folder.join(TARGET).join("release").join(PROGRAMS))
}

/// Debug information is made, as BTF comes out of it. Paths of this machine and hosts of registries are taken out.
fn flags(project: &Path, toolchain: &Toolchain) -> Vec<String> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    let mut flags = vec!["-Clinker=bpf-linker".to_owned(), "-Clink-arg=--btf".to_owned(), "-Cdebuginfo=2".to_owned()];
    let remap = |path: &Path, name: &str| format!("--remap-path-prefix={}={name}", path.display());
    flags.push(remap(&toolchain.sysroot, "rust"));
    flags.extend(cargo_home.as_deref().map(|path| remap(path, "cargo")));
    // The folder of a registry is named after its host.
    let registries = cargo_home.and_then(|path| fs::read_dir(path.join("registry/src")).ok());
    flags.extend(registries.into_iter().flatten().flatten().map(|folder| remap(&folder.path(), "registry")));
    flags.push(remap(project, "penstock"));
    flags
}

/// Without debug information, and without the source lines that go with BTF.
fn strip(toolchain: &Toolchain, object: &Path) -> Result<Vec<u8>> {
    let stripped = object.with_extension("stripped");
    let mut objcopy = Command::new(&toolchain.objcopy);
    objcopy.args(["--strip-debug", "--remove-section=.BTF.ext", "--remove-section=.rel.BTF.ext"]);
    let status = objcopy.args([object, &stripped]).status().context("starting llvm-objcopy")?;
    ensure!(status.success(), "llvm-objcopy failed ({status})");
    fs::read(&stripped).with_context(|| format!("reading {}", stripped.display()))
}

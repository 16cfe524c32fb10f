//! What a virtual machine boots with: the program that checks, linked statically, busybox, and a script that starts them.
//!
//! In: the project, a busybox. Out: an archive for the kernel to unpack (initramfs). Never: a file outside the target
//! folder.

use crate::agent::project;
use crate::cri::find_program;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program that checks.
const PROGRAM: &str = "penstock-vm-checks";

/// The arguments come from the kernel's command line, after `checks=`, with `+` for blanks.
const INIT: &str = "#!/bin/sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mount -t securityfs none /sys/kernel/security
$b ip link set lo up
args=$($b sed -n 's/.*checks=\\([^ ]*\\).*/\\1/p' /proc/cmdline | $b tr + ' ')
/checks all $args >/dev/ttyS1 2>&1
$b poweroff -f
";

/// Builds the program and packs it; returns the archive.
pub(super) fn make(folder: &Path) -> Result<PathBuf> {
    let program = build()?;
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for name in ["bin", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(name))?;
    }
    let busybox = find_program("busybox").context("there is no busybox: run `cargo xtask setup`")?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    symlink("busybox", root.join("bin/sh"))?;
    fs::write(root.join("init"), INIT)?;
    fs::set_permissions(root.join("init"), PermissionsExt::from_mode(0o755))?;
    // Debug information is many times what the program is.
    run(Command::new("objcopy").arg("--strip-all").arg(&program).arg(root.join("checks")))?;
    let archive = folder.join("initramfs.gz");
    let mut pack = Command::new("sh");
    pack.args(["-c", "find . | cpio -o -H newc --quiet | gzip -1 > ../initramfs.gz"]).current_dir(&root);
    run(&mut pack)?;
    Ok(archive)
}

/// The checks, for a machine without libraries. All but the last step is shared with the usual build.
fn build() -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(project()).args(["rustc", "--quiet", "--package", "penstock-bench", "--bin", PROGRAM]);
    run(cargo.args(["--features", "shared-with-tests", "--", "-C", "target-feature=+crt-static"]))?;
    Ok(project().join("target/debug").join(PROGRAM))
}

fn run(command: &mut Command) -> Result<()> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("starting {shown}: `cargo xtask setup` installs it"))?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

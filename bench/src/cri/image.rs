//! The one image of the tests: Debian's static busybox with all its applets.
//!
//! In: busybox, and tar and sha256sum of the machine. Out: a tar that `ctr images import` takes. Never: a
//! download.

use super::find_program;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Its name, for pods and for the pause container alike.
pub const IMAGE: &str = "local/app:1";

/// Makes the tar, with what it needs in `folder`.
///
/// # Errors
/// busybox is missing or not static, or a program failed.
pub fn make(folder: &Path) -> Result<std::path::PathBuf> {
    let busybox = find_program("busybox").context("busybox is missing: cargo xtask setup installs it")?;
    let root = folder.join("rootfs");
    for name in ["bin", "tmp", "etc"] {
        fs::create_dir_all(root.join(name))?;
    }
    fs::copy(&busybox, root.join("bin/busybox"))?;
    let applets = output(Command::new(&busybox).arg("--list"))?;
    for applet in applets.lines().filter(|applet| *applet != "busybox" && !applet.contains('/')) {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
    }
    let layer = folder.join("layer.tar");
    output(Command::new("tar").arg("-C").arg(&root).args(["--owner=0", "--group=0", "-cf"]).arg(&layer).arg("."))?;
    let sum = output(Command::new("sha256sum").arg(&layer))?;
    let digest = sum.split(' ').next().unwrap_or_default();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sleep", "1000000000"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    fs::write(folder.join("config.json"), config.to_string())?;
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    fs::write(folder.join("manifest.json"), manifest.to_string())?;
    let image = folder.join("image.tar");
    let parts = ["manifest.json", "config.json", "layer.tar"];
    output(Command::new("tar").arg("-C").arg(folder).arg("-cf").arg(&image).args(parts))?;
    Ok(image)
}

/// Runs a program and returns what it printed.
///
/// # Errors
/// It cannot be started or failed; the message has its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {name}"))?;
    ensure!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

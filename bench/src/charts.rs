//! The Helm charts of `deploy/helm`: rendered by the real helm, each manifest held against Kubernetes' own types.
//!
//! In: a chart, values. Out: manifests as JSON values, or what is wrong with them. Never: a cluster, or a chart from elsewhere.

pub mod manifest;

use crate::agent::project;
use crate::tools::Tool;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A release to render.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// The chart's folder.
    pub chart: PathBuf,
    /// The release's name.
    pub name: String,
    /// Files with values, the last counts.
    pub values: Vec<PathBuf>,
    /// `KEY=VALUE`, as `--set` takes them, above the files.
    pub set: Vec<String>,
    /// What the cluster has beside Kubernetes' own kinds, as `--api-versions` takes it.
    pub api_versions: Vec<String>,
}

/// The folder with the charts.
#[must_use]
pub fn folder() -> PathBuf {
    project().join("deploy/helm")
}

impl Release {
    /// Of one of our charts.
    #[must_use]
    pub fn new(chart: &str, name: &str) -> Self {
        Self { chart: folder().join(chart), name: name.into(), ..Self::default() }
    }

    /// Runs a helm command on it and returns what it printed.
    ///
    /// # Errors
    /// helm is missing or refuses; the message is helm's.
    pub fn helm(&self, command: &[&str]) -> Result<String> {
        let mut helm = Command::new(Tool::Helm.path()?);
        helm.args(command).arg(&self.chart).args(["--namespace", "logs"]);
        for file in &self.values {
            helm.arg("--values").arg(file);
        }
        for set in &self.set {
            helm.args(["--set", set]);
        }
        let output = helm.output().context("starting helm")?;
        if !output.status.success() {
            bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What `helm template` prints.
    ///
    /// # Errors
    /// As above.
    pub fn text(&self) -> Result<String> {
        let versions = self.api_versions.iter().flat_map(|version| ["--api-versions", version]);
        self.helm(&["template", &self.name].into_iter().chain(versions).collect::<Vec<_>>())
    }

    /// The manifests, in the order in which helm prints them.
    ///
    /// # Errors
    /// As above, or helm printed what is not YAML.
    pub fn manifests(&self) -> Result<Vec<Value>> {
        manifest::read(&self.text()?)
    }
}

/// A copy of `penstock-stack` in `to` with charts beside it that stand for Loki's and MinIO's, which are not ours and are not
/// kept here: same names, and the keys of values that ours sets.
///
/// # Errors
/// The folders cannot be copied.
pub fn stack_with_standins(to: &Path) -> Result<PathBuf> {
    let stack = to.join("penstock-stack");
    copy(&folder().join("penstock-stack"), &stack)?;
    copy(&folder().join("penstock"), &stack.join("charts/penstock"))?;
    for name in ["loki", "minio"] {
        copy(&folder().join("tests/standins").join(name), &stack.join("charts").join(name))?;
    }
    Ok(stack)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    ensure!(from.is_dir(), "{} is no folder", from.display());
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

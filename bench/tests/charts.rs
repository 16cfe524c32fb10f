//! The Helm charts, rendered by the real helm: held against Kubernetes' types, the agent's own reader, and snapshots. Dashboards and
//! alerts, held against the agent's metrics and promtool.
//!
//! Where there is no helm or promtool they pass unseen; `cargo xtask test` says so, and `cargo xtask setup` fetches it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "charts/agent.rs"]
mod agent;
#[path = "charts/grafana.rs"]
mod grafana;
#[path = "charts/refused.rs"]
mod refused;
#[path = "charts/rendered.rs"]
mod rendered;

use penstock_bench::charts::{self, Release};
use penstock_bench::tools::Tool;
use std::path::{Path, PathBuf};

/// Whether there is a helm to test with.
fn is_left_out() -> bool {
    Tool::Helm.missing().is_some()
}

/// The files with values of one of the folders beside the charts, by their names.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(charts::folder().join("tests").join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn name(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The chart of the agent alone, with the values of a file.
fn alone(file: &Path) -> Release {
    let api_versions = vec!["monitoring.coreos.com/v1".to_owned()];
    Release { values: vec![file.to_path_buf()], api_versions, ..Release::new("penstock", "mif") }
}

/// The umbrella, made in `folder`, with the values of a file.
fn stack(folder: &Path, file: &Path) -> Release {
    let chart = charts::stack_with_standins(folder).unwrap();
    Release { chart, ..alone(file) }
}

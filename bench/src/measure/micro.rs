//! The hot rooms alone, by criterion: `bench/benches/hot_rooms.rs`.
//!
//! In: nothing. Out: a row for each of its benches. Never: a result that was there before.

use super::Bench;
use super::row::{Row, Rows};
use crate::agent::project;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is done in one iteration, as criterion writes it down.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Throughput,
}

#[derive(Deserialize)]
enum Throughput {
    Bytes(u64),
    Elements(u64),
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    /// Nanoseconds of one iteration.
    point_estimate: f64,
}

/// Plays it.
///
/// # Errors
/// The benches cannot be built or run, or wrote nothing.
pub fn play(_: &Bench, rows: &mut Rows) -> Result<()> {
    let results = project().join("target/criterion");
    if results.exists() {
        fs::remove_dir_all(&results).with_context(|| format!("clearing {}", results.display()))?;
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["bench", "--quiet", "--package", "penstock-bench", "--bench", "hot_rooms", "--"]);
    cargo.args(["--warm-up-time", "1", "--measurement-time", "2", "--noplot", "--quiet"]);
    let status = cargo.current_dir(project()).status().context("starting cargo bench")?;
    ensure!(status.success(), "cargo bench: {status}");
    let mut found = Vec::new();
    look_in(&results, &mut found)?;
    found.sort();
    ensure!(!found.is_empty(), "there is nothing in {}", results.display());
    found.iter().try_for_each(|folder| tell(folder, rows))
}

/// The folders named `new`.
fn look_in(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "new") {
            found.push(path);
        } else if path.is_dir() {
            look_in(&path, found)?;
        }
    }
    Ok(())
}

fn tell(folder: &Path, rows: &mut Rows) -> Result<()> {
    let benchmark: Benchmark = serde_json::from_slice(&fs::read(folder.join("benchmark.json"))?)?;
    let estimates: Estimates = serde_json::from_slice(&fs::read(folder.join("estimates.json"))?)?;
    let ns = estimates.median.point_estimate;
    let (mb_per_cpu_s, ns_each) = match benchmark.throughput {
        Throughput::Bytes(bytes) => (Some(bytes as f64 / ns * 1e3), None),
        Throughput::Elements(count) => (None, Some(ns / count as f64)),
    };
    rows.tell(Row {
        scenario: "micro".into(),
        target: benchmark.full_id,
        corpus: String::new(),
        mb_per_cpu_s,
        ns_each,
        ..Row::default()
    })
}

//! A result: one line for people, one JSON object for programs.
//!
//! In: figures. Out: a row on stdout, an object appended to `results.jsonl`. Never: a figure rounded up.

use crate::scenarios::stage::quantile;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Figures of one scenario, target and corpus. What was not measured is `None`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub scenario: String,
    /// What was measured: `penstock`, a rival, or a part of the floor.
    pub target: String,
    /// What was read.
    pub corpus: String,
    /// Which witness.
    pub capture: Option<String>,
    /// Bytes of log files, 10^6, a second.
    pub mb_per_s: Option<f64>,
    /// The same a second of processor time, of its own and of the kernel for it.
    pub mb_per_cpu_s: Option<f64>,
    /// `mb_per_cpu_s` over that of the floor, measured just before; the median of the runs.
    pub floor_share: Option<f64>,
    /// Processor time over time.
    pub cores: Option<f64>,
    /// The most memory that was resident, 2^20 bytes.
    pub rss_mib: Option<f64>,
    /// Lines written.
    pub lines: Option<u64>,
    /// Lines that arrived, a second.
    pub lines_per_s: Option<f64>,
    /// Bytes that Loki counts, lines and structured metadata, 10^6, a second.
    pub counted_mb_per_s: Option<f64>,
    /// Of these, the share of the metadata.
    pub metadata_share: Option<f64>,
    /// Pushes a second.
    pub requests_per_s: Option<f64>,
    /// Bodies as sent, compressed, 10^6 bytes.
    pub wire_mb: Option<f64>,
    /// Of these, how many did not arrive.
    pub lost: Option<u64>,
    /// Lines that arrived once more.
    pub doubled: Option<u64>,
    /// From the write to the receiver's having it, milliseconds.
    pub lag_ms_p50: Option<f64>,
    /// As above, 99 of 100.
    pub lag_ms_p99: Option<f64>,
    /// As above, the longest.
    pub lag_ms_max: Option<f64>,
    /// Bytes stored over those that the tenant's limit allows.
    pub limit_share: Option<f64>,
    /// Answers of 429.
    pub refused: Option<u64>,
    /// The same a second.
    pub refused_per_s: Option<f64>,
    /// The same over all answers.
    pub refused_share: Option<f64>,
    /// Jain's index of fairness of what the agents got: 1 where all got the same.
    pub jain: Option<f64>,
    /// From a change of the fleet until it was even again, seconds.
    pub converged_s: Option<f64>,
    /// What one takes, nanoseconds.
    pub ns_each: Option<f64>,
    /// What a call takes longer, nanoseconds.
    pub more_ns: Option<f64>,
    /// Smallest and largest of the runs over the median, of `mb_per_cpu_s`, else of `cores`, else of `lag_ms_p99`.
    pub spread: Option<[f64; 2]>,
}

impl Row {
    /// With these lags, milliseconds, shortest first. No figure where no line arrived.
    #[must_use]
    pub fn with_lags(self, sorted_ms: &[f64]) -> Self {
        let at = |share| sorted_ms.first().map(|_| quantile(sorted_ms, share));
        Self { lag_ms_p50: at(0.5), lag_ms_p99: at(0.99), lag_ms_max: at(1.0), ..self }
    }
}

/// Where rows go; the rows of this run.
#[derive(Debug)]
pub struct Rows {
    file: File,
    /// Told so far, oldest first.
    pub told: Vec<Row>,
}

impl Rows {
    /// Appends to the file, which is made where it is not there.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        Ok(Self { file: file.with_context(|| format!("opening {}", path.display()))?, told: Vec::new() })
    }

    /// Prints and appends a row.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn tell(&mut self, row: Row) -> Result<()> {
        println!("   {row}");
        let mut line = serde_json::to_vec(&row)?;
        line.push(b'\n');
        self.file.write_all(&line).context("appending to results.jsonl")?;
        self.told.push(row);
        Ok(())
    }
}

/// A share; 0 of nothing.
#[must_use]
pub fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

impl fmt::Display for Row {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&text(self))
    }
}

fn text(row: &Row) -> String {
    let capture = row.capture.as_deref().unwrap_or_default();
    let mut text = format!("{:<12} {:<10} {capture:<4}", row.target, row.corpus);
    let mut add = |value: Option<f64>, digits: usize, unit: &str| {
        if let Some(value) = value {
            text.push_str(&format!(" {value:>9.digits$} {unit}"));
        }
    };
    add(row.mb_per_s, 1, "MB/s");
    add(row.mb_per_cpu_s, 1, "MB per CPU-s");
    add(row.floor_share.map(|share| share * 100.0), 1, "% of the floor");
    add(row.cores, 3, "cores");
    add(row.rss_mib, 1, "MiB");
    add(row.lines.map(|lines| lines as f64), 0, "lines");
    add(row.lines_per_s, 0, "lines/s");
    add(row.counted_mb_per_s, 1, "MB/s as Loki counts");
    add(row.metadata_share.map(|share| share * 100.0), 1, "% of it metadata");
    add(row.requests_per_s, 1, "requests/s");
    add(row.wire_mb, 1, "MB sent");
    add(row.lost.map(|lines| lines as f64), 0, "lost");
    add(row.doubled.map(|lines| lines as f64), 0, "doubled");
    add(row.lag_ms_p50, 2, "ms median");
    add(row.lag_ms_p99, 2, "ms 99th");
    add(row.lag_ms_max, 2, "ms at most");
    add(row.limit_share.map(|share| share * 100.0), 1, "% of the limit");
    add(row.refused.map(|answers| answers as f64), 0, "429s");
    add(row.refused_per_s, 1, "429s/s");
    add(row.refused_share.map(|share| share * 100.0), 1, "% refused");
    add(row.jain, 3, "fairness");
    add(row.converged_s, 0, "s to converge");
    add(row.ns_each, 1, "ns");
    add(row.more_ns, 0, "ns more");
    if let Some([least, most]) = row.spread {
        text.push_str(&format!("  (runs: {:.0} to {:.0} % of that)", least * 100.0, most * 100.0));
    }
    text
}

//! From a line's write to its arrival, at low and at higher rates, from the log file and from the pipe.
//!
//! In: 1, 100 and 10,000 lines a second. Out: how late they were. Never: a setting that is not the default.

use super::Bench;
use super::row::{Row, Rows};
use super::target::Subject;
use super::turns;
use crate::scenarios::latency::{measure, start};
use anyhow::Result;

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    for rate in [1.0, 100.0, 10_000.0] {
        let medians = turns::medians(&Subject::all(bench), bench.runs, |subject| {
            let mut stage = subject.stage(bench)?;
            start(&mut stage, rate)?;
            let lags_ms = measure(&mut stage, subject.capture, bench.time)?;
            Ok(Row {
                lines: Some(lags_ms.len() as u64),
                ..subject.row("latency", format!("{rate} lines/s")).with_lags(&lags_ms)
            })
        })?;
        turns::tell(rows, medians)?;
    }
    Ok(())
}

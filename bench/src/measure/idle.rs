//! 250 containers that write nothing.
//!
//! In: each witness, each rival. Out: processor time and memory. Never: a setting that is not the default.

use super::Bench;
use super::row::{Row, Rows};
use super::target::Subject;
use super::turns;
use crate::scenarios::idle::{FILES, measure};
use anyhow::Result;

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    let medians = turns::medians(&Subject::all(bench), bench.runs, |subject| {
        let idle = measure(&mut subject.stage(bench)?, bench.time)?;
        Ok(Row {
            cores: Some(idle.cores),
            rss_mib: Some(idle.resident_bytes as f64 / f64::from(1 << 20)),
            ..subject.row("idle", format!("{FILES} files"))
        })
    })?;
    turns::tell(rows, medians)
}

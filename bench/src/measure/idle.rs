//! 250 containers that write nothing.
//!
//! In: each witness. Out: processor time and memory. Never: a setting that is not the default.

use super::Bench;
use super::row::{Row, Rows};
use crate::scenarios::idle::{FILES, measure};
use crate::scenarios::stage::Stage;
use anyhow::Result;

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    for capture in ["file", "ebpf"] {
        let mut stage = Stage::set(&bench.agent, bench.seed)?;
        stage.settings.capture = capture.to_owned();
        let idle = measure(&mut stage, bench.time)?;
        rows.tell(Row {
            scenario: "idle".into(),
            target: "penstock".into(),
            corpus: format!("{FILES} files"),
            capture: Some(capture.into()),
            cores: Some(idle.cores),
            rss_mib: Some(idle.resident_bytes as f64 / f64::from(1 << 20)),
            ..Row::default()
        })?;
    }
    Ok(())
}

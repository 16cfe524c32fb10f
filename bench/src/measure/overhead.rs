//! What those pay who make system calls: the application its writes, the runtime's shim its reads, everybody the rest.
//!
//! In: each hook that this kernel allows, on pipes that are followed and that are not. Out: nanoseconds more than without.
//! Never: the agent's own time.

use super::Bench;
use super::row::{Row, Rows};
use crate::scenarios::cost::measure;
use anyhow::Result;
use penstock::metrics::label::Label as _;

/// Plays it.
///
/// # Errors
/// A pipe cannot be made.
pub fn play(_bench: &Bench, rows: &mut Rows) -> Result<()> {
    for cost in measure(20, 170)? {
        for (pipe, more_ns) in [("not followed", cost.attached_ns), ("followed", cost.followed_ns)] {
            rows.tell(Row {
                scenario: "overhead".into(),
                target: format!("{}, {pipe}", cost.call),
                corpus: format!("{:.0} ns bare", cost.bare_ns),
                capture: Some(cost.hook.value().into()),
                more_ns: Some(more_ns),
                ..Row::default()
            })?;
        }
    }
    Ok(())
}

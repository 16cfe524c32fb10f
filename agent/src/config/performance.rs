//! The section `performance`: what `cargo xtask bench --tune` chooses for a node.
//!
//! In: the section's node. Out: [`Performance`]. Never: a look at the node's processors.

use super::error::Problem;
use super::form::Form;
use super::yaml::Node;
use super::{Performance, value};
use crate::limits::{LOOK_AGAIN, LOOK_AGAIN_MAX, RING_BYTES_MAX, RING_BYTES_MIN, THREADS_MAX};
use std::time::Duration;

const KEYS: &[&str] = &["threads", "look_again", "ring_bytes"];

/// Reads the section; absent keys have their defaults.
pub(super) fn read(form: &mut Form<'_>, node: Option<&Node>) -> Performance {
    let mut performance = Performance { threads: 1, look_again: LOOK_AGAIN, ring_bytes: None };
    let Some(node) = node else { return performance };
    let section = form.section(node, "performance", KEYS);
    performance.threads = form.value(&section, "threads", performance.threads, threads);
    performance.look_again = form.value(&section, "look_again", performance.look_again, look_again);
    performance.ring_bytes = form.optional(&section, "ring_bytes", ring_bytes);
    performance
}

fn threads(text: &str) -> Result<usize, Problem> {
    value::count(text, 1..=THREADS_MAX)
}

fn look_again(text: &str) -> Result<Duration, Problem> {
    let time = value::duration(text)?;
    if time <= LOOK_AGAIN_MAX && !time.is_zero() {
        return Ok(time);
    }
    Err(Problem::Range(format!("`{text}` is out of range; write more than 0 and at most {LOOK_AGAIN_MAX:?}")))
}

fn ring_bytes(text: &str) -> Result<u32, Problem> {
    let bytes = value::size(text)?;
    let is_good = |bytes: &u32| (RING_BYTES_MIN..=RING_BYTES_MAX).contains(bytes) && bytes.is_power_of_two();
    u32::try_from(bytes).ok().filter(is_good).ok_or_else(|| {
        Problem::Range(format!("`{text}` is no size of a ring; write a power of two from 1MiB to 64MiB"))
    })
}

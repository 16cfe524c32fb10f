//! Long lines everywhere at once, first while Loki is away: each std stream of each container has one open, and all of
//! them end later.
//!
//! In: a stage. Out: every line, and the most memory that the agent took meanwhile. Never: containers' processes; files
//! are enough.

use super::Size;
use super::stage::{Stage, log_line};
use crate::producer::lines::Kind;
use crate::receiver::Fault;
use crate::store::Store;
use anyhow::Result;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

/// Containers of a full node.
const FILES: usize = 250;
/// A part as runtimes write it.
const PART_BYTES: usize = 16 * 1024;
/// Parts of a line before its last, of 3 bytes: the line is longer than Loki takes.
const PARTS: usize = 16;
/// What the agent may have beyond `memory_bytes_max`.
const BEYOND_MIB: u64 = 32;

/// Plays it.
///
/// # Errors
/// Something could not be written or started, or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let (files, budget_mib) = if size == Size::Small { (50, 8) } else { (FILES, 64) };
    let lines = 4 * files as u64;
    stage.settings.capture = "auto".into();
    writeln!(stage.settings.more, "memory_bytes_max: {budget_mib}MiB")?;
    stage.start_agent()?;
    let mut most = 0;
    let mut logs = stage.create_logs(Kind::Vllm, files)?;
    for fault in [Some(Fault::Refuse), None] {
        stage.receiver.set_fault(fault);
        for _ in 0..PARTS {
            write_parts(&mut logs, &mut stage.rng, "P", PART_BYTES)?;
            stage.pass(Duration::from_millis(100), |bytes| most = most.max(bytes))?;
        }
        write_parts(&mut logs, &mut stage.rng, "F", 3)?;
    }
    stage.drain(lines, Duration::from_secs(20), |bytes| most = most.max(bytes))?;
    let arrived = stage.receiver.count().lines;
    let (most, allowed) = (most >> 20, budget_mib + BEYOND_MIB);
    println!(
        "   {lines} lines of 256 KiB in {files} containers, {arrived} arrived; most memory: {most} MiB of {allowed} MiB"
    );
    stage.stop_agent()?;
    Ok(arrived == lines && most <= allowed)
}

/// A part to each std stream of each log file.
fn write_parts(logs: &mut [File], rng: &mut fastrand::Rng, tag: &str, bytes: usize) -> Result<()> {
    for log in logs {
        for name in ["stdout", "stderr"] {
            let content: String = std::iter::repeat_with(|| rng.alphanumeric()).take(bytes).collect();
            log.write_all(log_line(name, tag, &content).as_bytes())?;
        }
    }
    Ok(())
}

//! Loki is away while the containers go on writing and their files are rotated away.
//!
//! In: a stage. Out: all of it arrives when Loki is back, oldest first, in bounded memory. Never: a crash.

use super::Size;
use super::stage::Stage;
use crate::producer::lines::Kind;
use crate::receiver::Fault;
use crate::runtime::{Format, Rotation};
use anyhow::Result;
use std::time::Duration;

/// `memory_bytes_max` of the configuration, and the 32 MiB that the process may have beside it.
const MEMORY_BYTES_MAX: u64 = (64 + 32) << 20;

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let seconds = if size == Size::Small { 8 } else { 120 };
    // About 30 MB/s together, of which a file of 10 MiB holds a second.
    let programs = if size == Size::Small { [(Kind::Vllm, 10_000.0); 3] } else { [(Kind::Vllm, 75_000.0); 3] };
    stage.rotate(Rotation { bytes_max: 10 << 20, files_max: 3, interval: Duration::from_secs(1) });
    stage.start_containers(Format::Containerd, &programs)?;
    stage.start_agent()?;
    let mut memory = 0;
    stage.pass(Duration::from_secs(3), |bytes| memory = memory.max(bytes))?;
    stage.receiver.set_fault(Some(Fault::Refuse));
    stage.pass(Duration::from_secs(seconds), |bytes| memory = memory.max(bytes))?;
    stage.receiver.set_fault(None);
    let (lines, bytes) = stage.stop_containers()?;
    println!("   {lines} lines, {} MB written, Loki away for {seconds} s", bytes / 1_000_000);
    stage.drain(lines, Duration::from_secs(60), |bytes| memory = memory.max(bytes))?;
    let tally = stage.finish()?;
    println!("   most memory: {} MiB of {} MiB", memory >> 20, MEMORY_BYTES_MAX >> 20);
    Ok(tally.is_exact() && memory <= MEMORY_BYTES_MAX)
}

//! 250 containers that write nothing.
//!
//! In: a stage. Out: what the agent costs meanwhile, by the kernel's count. Never: containers' processes; files are
//! enough.

use super::Size;
use super::stage::{Stage, log_line};
use crate::clock;
use crate::producer::lines::Kind;
use crate::store::Store;
use anyhow::{Result, ensure};
use std::io::Write as _;
use std::time::Duration;

/// Containers of a full node.
pub const FILES: usize = 250;
/// Of one core.
const PERCENT_MAX: f64 = 0.2;

/// What it costs.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Processor time over time.
    pub cores: f64,
    /// The most memory that was resident, bytes.
    pub resident_bytes: u64,
}

/// Plays it.
///
/// # Errors
/// Something could not be written or started, or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let idle = measure(stage, Duration::from_secs(if size == Size::Small { 10 } else { 30 }))?;
    let percent = idle.cores * 100.0;
    println!("   {FILES} idle files: {percent:.2} % of a core, {PERCENT_MAX} % allowed");
    Ok(percent < PERCENT_MAX)
}

/// Starts the agent, lets it come to rest, and looks for so long.
///
/// # Errors
/// Something could not be written or started, the agent ended by itself, or the lines did not arrive.
pub fn measure(stage: &mut Stage, time: Duration) -> Result<Idle> {
    for mut log in stage.create_logs(Kind::Vllm, FILES)? {
        log.write_all(log_line("stdout", "F", "it says this and nothing more").as_bytes())?;
    }
    stage.start_agent()?;
    let begun = clock::monotonic();
    while stage.receiver.count().lines < FILES as u64 && clock::monotonic() - begun < Duration::from_secs(30) {
        stage.pass(Duration::from_millis(100), |_| ())?;
    }
    // What a start leaves to be done is done a few seconds later.
    stage.pass(Duration::from_secs(5), |_| ())?;
    let (before, begun) = (stage.agent_cpu()?, clock::monotonic());
    let mut resident_bytes = 0;
    stage.pass(time, |bytes| resident_bytes = resident_bytes.max(bytes))?;
    let cores = (stage.agent_cpu()? - before).as_secs_f64() / (clock::monotonic() - begun).as_secs_f64();
    stage.stop_agent()?;
    let arrived = stage.receiver.count().lines;
    ensure!(arrived == FILES as u64, "{arrived} of {FILES} lines arrived");
    Ok(Idle { cores, resident_bytes })
}

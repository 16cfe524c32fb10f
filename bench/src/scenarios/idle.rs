//! 250 containers that write nothing.
//!
//! In: a stage. Out: what the agent costs meanwhile, by the kernel's count. Never: containers' processes; files are
//! enough.

use super::Size;
use super::stage::{Stage, log_line};
use crate::clock;
use crate::producer::lines::Kind;
use crate::store::Store;
use anyhow::Result;
use std::io::Write as _;
use std::time::Duration;

/// Containers of a full node.
const FILES: usize = 250;
/// Of one core.
const PERCENT_MAX: f64 = 0.2;

/// Plays it.
///
/// # Errors
/// Something could not be written or started, or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let time = Duration::from_secs(if size == Size::Small { 10 } else { 30 });
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
    let before = stage.agent_cpu()?;
    let begun = clock::monotonic();
    stage.pass(time, |_| ())?;
    let percent = (stage.agent_cpu()? - before).as_secs_f64() / (clock::monotonic() - begun).as_secs_f64() * 100.0;
    println!("   {FILES} idle files: {percent:.2} % of a core, {PERCENT_MAX} % allowed");
    stage.stop_agent()?;
    Ok(percent < PERCENT_MAX && stage.receiver.count().lines == FILES as u64)
}

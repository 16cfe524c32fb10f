//! The agent with the rights that it needs and no other, and with one of them missing.
//!
//! In: a stage. Out: lines from the kernel, or from the files, all of them once. Never: an exit because of a missing right,
//! unless the kernel was asked for by name.

use super::Size;
use super::stage::Stage;
use crate::producer::lines::Kind;
use crate::runtime::{Format, Rotation};
use anyhow::Result;
use std::time::Duration;

const NEEDED: [&str; 4] = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];
/// The bits of those that are kept once the hooks are attached: CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.
const KEPT: u64 = 1 << 19 | 1 << 2;
/// CAP_BPF, where the kernel wants it for following a pipe (5.10: yes, 6.1: no).
const KEPT_BEFORE_6_1: u64 = 1 << 39;
/// Where no hook could be attached: CAP_DAC_READ_SEARCH alone.
const KEPT_FOR_FILES: u64 = 1 << 2;

/// Plays it.
///
/// # Errors
/// Something could not be started (it takes root and `setpriv`), or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let time = Duration::from_secs(if size == Size::Small { 4 } else { 20 });
    stage.rotate(Rotation { bytes_max: 1 << 20, files_max: 5, interval: Duration::from_secs(1) });
    stage.settings.capture = "ebpf".to_owned();
    stage.start_agent_with(&NEEDED)?;
    stage.start_containers(Format::Containerd, &[(Kind::Vllm, 500.0), (Kind::Heimdall, 500.0)])?;
    stage.pass(time, |_| ())?;
    let rights = u64::from_str_radix(&stage.agent_status("CapPrm")?, 16)?;
    println!("   with {}: {}", NEEDED.join(", "), stage.settings.witnesses());
    println!("   rights once attached: {rights:x}");
    let has_captured = stage.settings.metric("lines_total{source=\"ebpf\"}") > 0.0;
    stage.stop_agent()?;

    let [_, others @ ..] = NEEDED;
    stage.start_agent_with(&others)?;
    let (words, is_success) = stage.agent_ends()?;
    println!("   without bpf, asked for by name: {}", words.lines().last().unwrap_or_default());

    stage.settings.capture = "auto".to_owned();
    stage.start_agent_with(&others)?;
    stage.pass(time, |_| ())?;
    let of_files = u64::from_str_radix(&stage.agent_status("CapPrm")?, 16)?;
    println!("   without bpf: {}; rights: {of_files:x}", stage.settings.witnesses());
    let is_from_files = stage.settings.metric("lines_total{source=\"ebpf\"}") == 0.0;
    let (lines, _) = stage.stop_containers()?;
    stage.drain(lines, Duration::from_secs(20), |_| ())?;
    let is_exact = stage.finish()?.is_exact();
    let kept = if is_before_6_1() { KEPT | KEPT_BEFORE_6_1 } else { KEPT };
    let are_few = rights == kept && of_files == KEPT_FOR_FILES;
    Ok(is_exact && has_captured && is_from_files && !is_success && are_few)
}

fn is_before_6_1() -> bool {
    let system = rustix::system::uname();
    let mut numbers = system.release().to_str().unwrap_or_default().split(['.', '-']).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (6, 1))
}

//! Why a hook is not taken, in words, with the remedy.
//!
//! In: what the kernel or the loader said, this process's rights, the lockdown in force. Out: a sentence. Never: a guess
//! at a cause that was not looked at.

use crate::metrics::label::{Hook, Label};
use std::error::Error;
use std::fmt;

/// Bits of `CapEff`.
const BPF: u32 = 39;
const CAPABILITIES: [(u32, &str); 2] = [(BPF, "CAP_BPF"), (38, "CAP_PERFMON")];
const CAP_SYS_ADMIN: u32 = 21;

/// No hook could be taken; for each that was tried, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(
    /// In the order in which they were tried.
    pub Vec<(Hook, String)>,
);

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no kernel hook can be used")?;
        for (hook, why) in &self.0 {
            write!(out, "; {}: {why}", hook.value())?;
        }
        Ok(())
    }
}

impl Error for Refused {}

/// Everything that an error says, its causes included.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// What the machine says about a refusal: missing capabilities, or lockdown.
pub(super) fn remedy() -> String {
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    remedy_from(&status(), &lockdown)
}

/// What the machine says where maps are refused: the right to make them, or how much memory may be locked, against which
/// kernels before 5.11 count them. `locked_bytes_max` is what this process could not raise; `None`: no limit.
pub(super) fn maps_remedy(locked_bytes_max: Option<u64>) -> String {
    maps_remedy_from(&status(), locked_bytes_max).unwrap_or_else(remedy)
}

fn maps_remedy_from(status: &str, locked_bytes_max: Option<u64>) -> Option<String> {
    let is_allowed = [BPF, CAP_SYS_ADMIN].iter().any(|bit| effective(status) >> bit & 1 == 1);
    let bytes = locked_bytes_max.filter(|_| is_allowed)?;
    Some(format!(
        "; this process may lock {bytes} bytes, and kernels before 5.11 count maps against that: grant CAP_SYS_RESOURCE, or \
         raise the limit (RLIMIT_MEMLOCK)"
    ))
}

fn status() -> String {
    std::fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// The capabilities in effect; all, where they are not told.
fn effective(status: &str) -> u64 {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    hex.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX)
}

fn remedy_from(status: &str, lockdown: &str) -> String {
    let effective = effective(status);
    let has = |bit: u32| effective >> bit & 1 == 1;
    let missing: Vec<_> = CAPABILITIES.iter().filter(|(bit, _)| !has(*bit)).map(|(_, name)| *name).collect();
    if !missing.is_empty() && !has(CAP_SYS_ADMIN) {
        return format!("; this process lacks {}: grant it", missing.join(" and "));
    }
    if lockdown.contains("[confidentiality]") {
        return "; the kernel is locked down (confidentiality): boot with lockdown=integrity".to_owned();
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_maps_are_a_matter_of_the_limit_only_where_the_right_is_there() {
        let status = |effective: u64| format!("CapEff:\t{effective:016x}\n");
        let words = maps_remedy_from(&status(1 << 39), Some(65_536)).unwrap();
        assert!(words.contains("65536 bytes") && words.contains("CAP_SYS_RESOURCE"), "{words}");
        assert_eq!(maps_remedy_from(&status(1 << 38), Some(65_536)), None, "CAP_BPF is what it lacks");
        assert_eq!(maps_remedy_from(&status(1 << 39), None), None);
    }

    #[test]
    fn the_remedy_names_what_is_missing() {
        let status = |effective: u64| format!("Name:\tx\nCapEff:\t{effective:016x}\n");
        let both = 1 << 39 | 1 << 38;
        assert_eq!(remedy_from(&status(both), "none [integrity] confidentiality"), "");
        assert!(remedy_from(&status(1 << 38), "").contains("lacks CAP_BPF: grant"));
        assert!(remedy_from(&status(0), "").contains("CAP_BPF and CAP_PERFMON"));
        assert_eq!(remedy_from(&status(1 << CAP_SYS_ADMIN), ""), "", "CAP_SYS_ADMIN stands for both");
        assert!(remedy_from(&status(both), "none integrity [confidentiality]").contains("lockdown=integrity"));
        assert_eq!(remedy_from("", ""), "");
    }
}

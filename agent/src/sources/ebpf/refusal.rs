//! Why a hook is not taken, in words, with the remedy.
//!
//! In: what the kernel or the loader said, this process's rights, the lockdown in force. Out: a sentence. Never: a guess
//! at a cause that was not looked at.

use crate::metrics::label::Hook;
use std::error::Error;
use std::fmt;

/// Bits of `CapEff`.
const CAPABILITIES: [(u32, &str); 2] = [(39, "CAP_BPF"), (38, "CAP_PERFMON")];
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
            write!(out, "; {hook:?}: {why}")?;
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
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    remedy_from(&status, &lockdown)
}

fn remedy_from(status: &str, lockdown: &str) -> String {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX);
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

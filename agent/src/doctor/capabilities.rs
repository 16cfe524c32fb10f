//! The capabilities of this process, by name.
//!
//! In: the text of `/proc/self/status`. Out: a finding. Never: a verdict on the file source, which is tried
//! instead (`files`).

use super::finding::Finding;

/// What the capture can need: bit, name, what for.
const WANTED: [(u32, &str, &str); 6] = [
    (2, "CAP_DAC_READ_SEARCH", "log files and /proc/PID/fd of others"),
    (19, "CAP_SYS_PTRACE", "/proc/PID/fd of others"),
    (21, "CAP_SYS_ADMIN", "kprobe; stands in for CAP_BPF and CAP_PERFMON"),
    (24, "CAP_SYS_RESOURCE", "RLIMIT_MEMLOCK on 5.10"),
    (38, "CAP_PERFMON", "hooks"),
    (39, "CAP_BPF", "hooks"),
];

pub(super) fn examine() -> Finding {
    judge(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn judge(status: &str) -> Finding {
    let Some(effective) = effective(status) else {
        let detail = "no CapEff in /proc/self/status".to_owned();
        return Finding::warn("capabilities", detail, "is /proc mounted?");
    };
    let has = |bit: u32| effective & (1 << bit) != 0;
    let present: Vec<&str> = WANTED.iter().filter(|(bit, ..)| has(*bit)).map(|(_, name, _)| *name).collect();
    let present = if present.is_empty() { "none of those the capture can use".to_owned() } else { present.join(" ") };
    let detail = format!("{present} (CapEff {effective:016x})");
    if has(21) || (has(38) && has(39)) {
        return Finding::ok("capabilities", detail);
    }
    let missing: Vec<String> =
        WANTED.iter().filter(|(bit, ..)| !has(*bit)).map(|(_, name, what)| format!("{name}: {what}")).collect();
    Finding::warn(
        "capabilities",
        detail,
        format!("for the capture add {}; the log file needs none of them", missing.join("; ")),
    )
}

/// `CapEff:` in hexadecimal.
fn effective(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn bits_become_names() {
        let all = judge("Name:\tx\nCapEff:\t000001ffffffffff\n");
        assert_eq!((all.level, all.detail.contains("CAP_SYS_PTRACE CAP_SYS_ADMIN")), (Level::Ok, true));
        let two = judge("CapEff:\t000000c000000000\n");
        assert_eq!((two.level, two.detail.as_str()), (Level::Ok, "CAP_PERFMON CAP_BPF (CapEff 000000c000000000)"));
        let none = judge("CapEff:\t0000000000000000\n");
        assert_eq!(none.level, Level::Warn);
        assert!(none.remedy.unwrap().contains("CAP_BPF: hooks"));
        assert_eq!(judge("CapEff:\tx").level, Level::Warn);
        assert_eq!(judge("").level, Level::Warn);
    }
}

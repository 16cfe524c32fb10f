//! Whether each kind of hook can be had: it is attached with the programs that `run` uses, and has to see a line of its
//! own. Where it is called at every system call of the node, what that costs is measured.
//!
//! In: the kernel's answers. Out: one finding per hook. Never: a program left behind (each is let go before the finding is
//! made), or bytes of another process read.

use super::finding::Finding;
use super::tax::call_ns;
use crate::limits::RING_BYTES_MIN;
use crate::metrics::label::Hook;
use crate::sources::ebpf::{Kernel, Refused};

pub(super) fn examine() -> Vec<Finding> {
    let hooks = [
        ("hook fentry", Hook::Fentry, "the next hook is taken; x86-64 5.8 or arm64 6.4 have it"),
        ("hook tp_btf", Hook::TpBtf, "the next hook is taken"),
        ("hook raw_tp", Hook::RawTp, "the log file alone is taken where no hook can be had"),
    ];
    hooks.map(|(what, hook, remedy)| finding(what, hook, try_out(hook), remedy)).into()
}

/// Time of a system call without the hook and with it, nanoseconds.
type Calls = (f64, f64);

fn try_out(hook: Hook) -> Result<Calls, Refused> {
    let kernel = Kernel::attach(&[hook], RING_BYTES_MIN)?;
    let with = call_ns();
    drop(kernel);
    Ok((call_ns(), with))
}

/// A hook that is refused costs speed, never lines; so it is a warning at most.
fn finding(what: &'static str, hook: Hook, answer: Result<Calls, Refused>, remedy: &str) -> Finding {
    match answer {
        Ok(_) if hook == Hook::Fentry => Finding::ok(what, "attached and seen to work".to_owned()),
        Ok((without, with)) => Finding::ok(
            what,
            format!(
                "attached and seen to work; with it every system call of the node takes {:.0} ns longer (getppid: \
                {without:.0} ns, then {with:.0} ns)",
                (with - without).max(0.0)
            ),
        ),
        Err(Refused(whys)) => {
            let whys: Vec<String> = whys.into_iter().map(|(_, why)| why).collect();
            Finding::warn(what, format!("refused: {}", whys.join("; ")), remedy)
        }
    }
}

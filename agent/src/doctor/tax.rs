//! What a hook costs every system call of the node, measured with the shortest one.
//!
//! In: the clock. Out: nanoseconds a call. Never: more than a tenth of a second, or a figure of one moment alone (medians
//! of many blocks, so that what else the node does counts little).

use crate::clock::Clock;
use rustix::process::getppid;

/// Blocks of calls that are timed.
const BLOCKS: usize = 101;
/// Calls a block.
const CALLS: u32 = 1_000;

/// Median time of one `getppid`, nanoseconds.
pub(super) fn call_ns() -> f64 {
    let clock = Clock::start();
    let mut blocks: Vec<f64> = (0..BLOCKS)
        .map(|_| {
            let begun = clock.now().mono;
            for _ in 0..CALLS {
                let _parent = getppid();
            }
            (clock.now().mono - begun).as_secs_f64() * 1e9 / f64::from(CALLS)
        })
        .collect();
    blocks.sort_unstable_by(f64::total_cmp);
    blocks.get(BLOCKS / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_call_takes_a_while_and_not_long() {
        let ns = call_ns();
        assert!((10.0..100_000.0).contains(&ns), "{ns}");
    }
}

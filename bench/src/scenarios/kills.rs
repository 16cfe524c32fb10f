//! The agent is killed at random moments under load and started again.
//!
//! In: a stage. Out: every line at least once, and how much arrived twice. Never: an orderly end but the last.

use super::Size;
use super::stage::Stage;
use crate::clock;
use crate::producer::lines::Kind;
use crate::receiver::Repeat;
use crate::runtime::{Format, Rotation};
use anyhow::Result;
use std::time::Duration;

/// What may arrive twice had arrived this long before the kill at most: positions are written within 100 ms of an
/// answer, and the answer of what was in flight takes its time on a machine that does all of this at once. The small
/// form, whose agent and receiver are not optimised, only prints it.
const REPEATED_MAX: Duration = Duration::from_millis(250);

/// Plays it.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let kills = if size == Size::Small { 3 } else { 30 };
    // What is deleted while the agent is down is lost to everybody: enough files are kept.
    stage.rotate(Rotation { bytes_max: 4 << 20, files_max: 20, interval: Duration::from_millis(500) });
    stage.start_containers(
        Format::Containerd,
        &[(Kind::Vllm, 5_000.0), (Kind::Heimdall, 3_000.0), (Kind::Aigateway, 1_000.0)],
    )?;
    let mut killed_ns = Vec::new();
    for kill in 1..=kills {
        stage.start_agent()?;
        let moment = Duration::from_millis(stage.rng.u64(300..3_000));
        stage.pass(moment, |_| ())?;
        killed_ns.push(clock::wall_ns());
        stage.kill_agent()?;
        println!("   kill {kill} of {kills} after {} ms", moment.as_millis());
    }
    stage.start_agent()?;
    stage.pass(Duration::from_secs(1), |_| ())?;
    let (lines, _) = stage.stop_containers()?;
    stage.drain(lines, Duration::from_secs(20), |_| ())?;
    let twice = stage.receiver.stats().entries_received_twice;
    let oldest = oldest_repeat(&stage.receiver.repeats(), &killed_ns);
    let tally = stage.finish()?;
    println!("   arrived twice with the same time and text: {twice} ({} a kill)", twice / kills);
    println!("   the oldest of these had arrived {} ms before the kill", oldest.as_millis());
    // A line sent again under another time is one that Loki cannot know again.
    Ok(tally.is_whole() && tally.doubled == tally.doubled_same_time && (size == Size::Small || oldest <= REPEATED_MAX))
}

/// How long before the kill an entry that came again had first arrived, at the most. One that came again without a kill
/// in between was under way at the kill before: it had not arrived yet.
fn oldest_repeat(repeats: &[Repeat], killed_ns: &[i64]) -> Duration {
    let age = |repeat: &Repeat| {
        let killed = killed_ns.iter().find(|killed| **killed > repeat.first_ns)?;
        if *killed > repeat.again_ns {
            return None;
        }
        u64::try_from(killed - repeat.first_ns).ok()
    };
    Duration::from_nanos(repeats.iter().filter_map(age).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_counts_back_from_the_first_kill_after_the_first_arrival() {
        let repeat = |first_ns, again_ns| Repeat { first_ns, again_ns, entries: 1 };
        let repeats = [repeat(90, 130), repeat(195, 320), repeat(199, 230)];
        assert_eq!(oldest_repeat(&repeats, &[100, 200, 300]), Duration::from_nanos(10));
        assert_eq!(oldest_repeat(&[], &[100]), Duration::ZERO);
        assert_eq!(oldest_repeat(&[repeat(105, 190)], &[100, 200]), Duration::ZERO, "under way at the first kill");
    }
}

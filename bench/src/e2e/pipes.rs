//! Whose pipes are whose, asked of a real runtime: the agent's finder beside a real container, with exec probes.
//!
//! In: a containerd. Out: an error where the finder is wrong. Never: an agent, or a byte of a log.

use crate::clock;
use crate::cri::Containerd;
use crate::pods::SamplePod;
use anyhow::{Context, Result, ensure};
use penstock::sources::ebpf::pipes::{FoundPipe, Looker, Places};
use penstock::types::position::StdStream;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Probes, each of which lives for a tenth of a second.
const PROBES: usize = 5;
/// From one look to the next.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long pipes may take to be found, or to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a container and probes, and looks all the while.
///
/// # Errors
/// The container's two pipes were not found, another was, or they stayed after its end.
pub fn check(containerd: &Containerd, pods_root: &Path) -> Result<()> {
    let places = Places { procfs: "/proc".into(), log_dir: pods_root.canonicalize()?, link_dirs: Vec::new() };
    let mut looker = Looker::new(places)?;
    looker.look(true)?;
    let pod = containerd.run_pod(&SamplePod::new("pipes", &[]), pods_root)?;
    let script = "sleep 60 | cat & wait";
    let id = containerd.start_container(&pod, 0, ["/bin/sh", "-c", script].map(String::from).to_vec(), &[])?;
    until(&mut looker, 2).context("a container that has just started")?;
    let found: Vec<FoundPipe> = looker.pipes().cloned().collect();
    let std_streams: BTreeSet<_> = found.iter().map(|pipe| pipe.std_stream).collect();
    ensure!(
        std_streams == BTreeSet::from([Some(StdStream::Stdout), Some(StdStream::Stderr)]),
        "the pipes are taken for {std_streams:?}"
    );
    let is_over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let looks = scope.spawn(|| look_until(&mut looker, &is_over));
        let probes = (0..PROBES)
            .try_for_each(|_| containerd.exec(&id, &["sh", "-c", "sleep 0.1 | cat; echo well"], 10).map(drop));
        is_over.store(true, Ordering::Relaxed);
        let seen = looks.join().map_err(|_| anyhow::anyhow!("the looking thread panicked"))?;
        probes.and(seen)
    })?;
    ensure!(seen.is_empty(), "beside probes these were taken for a container's pipes: {seen:?}");
    let stayed: Vec<_> = looker.pipes().cloned().collect();
    ensure!(stayed == found, "after the probes the pipes are {stayed:?}");
    containerd.stop_container(&id, 0)?;
    until(&mut looker, 0).context("a container that has ended")
}

/// All that was found while others do something.
fn look_until(looker: &mut Looker, is_over: &AtomicBool) -> Result<Vec<FoundPipe>> {
    let mut found = Vec::new();
    for look in 0.. {
        found.extend(looker.look(look % 10 == 0)?.found);
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(found)
}

fn until(looker: &mut Looker, count: usize) -> Result<()> {
    let begun = clock::monotonic();
    while looker.pipes().count() != count {
        ensure!(
            clock::monotonic() - begun < PATIENCE,
            "{count} pipes expected, these found: {:?}",
            looker.pipes().collect::<Vec<_>>()
        );
        looker.look(false)?;
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

//! Whether there is a kernel source: by the configuration, and by what the node allows.
//!
//! In: the configuration. Out: the source, or none and why. Never: an exit because of a missing right, unless the kernel
//! source was asked for by name.

use super::inbox::Senders;
use crate::clock::Clock;
use crate::config::{Capture, Config, Hook as Wanted};
use crate::limits::{RING_BYTES_MAX, RING_BYTES_MIN};
use crate::metrics::Metrics;
use crate::metrics::label::{Hook, Label as _};
use crate::sources::ebpf::pipes::Places;
use crate::sources::ebpf::shared::{SharedTap, Wake};
use crate::sources::ebpf::{EbpfSource, Kernel, Refused};
use anyhow::{Context as _, bail};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use std::path::Path;
use tracing::{info, warn};

/// What is needed once the agent runs: other users' log files; leases, which tell whether a file has a writer; a low port for
/// `admin`.
const KEPT: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::LEASE)
    .union(CapabilitySet::NET_BIND_SERVICE);
/// Beside that where a hook is attached: other users' processes and their descriptors.
const KEPT_FOR_PIPES: CapabilitySet = KEPT.union(CapabilitySet::SYS_PTRACE);

/// Attaches the best hook that the node allows, and gives up the rights that are not needed any more. To be called before any
/// thread is started, as each has rights of its own. `None`: the log files alone.
///
/// # Errors
/// `capture: ebpf`, and no hook can be had.
pub(super) fn attach(config: &Config) -> anyhow::Result<Option<Kernel>> {
    let mut kernel = best_kernel(config)?;
    match &mut kernel {
        Some(kernel) => drop_rights_of(kernel),
        None => set_rights(KEPT, KEPT),
    }
    super::memory::give_back();
    Ok(kernel)
}

fn best_kernel(config: &Config) -> anyhow::Result<Option<Kernel>> {
    if config.capture == Capture::File {
        info!("capture: file: lines are taken from the log files");
        return Ok(None);
    }
    match attach_best(config) {
        Ok(kernel) => {
            for (hook, why) in kernel.better_refused() {
                info!("hook {} cannot be used: {why}", hook.value());
            }
            Ok(Some(kernel))
        }
        Err(refused) if config.capture == Capture::Ebpf => {
            bail!("capture: ebpf: {refused}. Mend that (`penstock doctor` tells more), or set capture to auto or file")
        }
        Err(refused) => {
            warn!("lines are taken from the log files alone: {refused}");
            Ok(None)
        }
    }
}

/// Attaches the best hook that the node allows, of those that the configuration names.
///
/// # Errors
/// None can be had; says why, for each.
pub(crate) fn attach_best(config: &Config) -> Result<Kernel, Refused> {
    let hooks: Vec<Hook> = config.capture_hooks.iter().map(|hook| of(*hook)).collect();
    let ring_bytes = config.performance.ring_bytes.unwrap_or_else(|| ring_bytes(config.memory_bytes_max));
    Kernel::attach(&hooks, ring_bytes)
}

/// Begins to look for pipes; what comes of it is for each data thread. `log_dir` with its symlinks resolved.
///
/// # Errors
/// The system has no descriptor or thread left.
pub(super) fn start(
    kernel: Option<Kernel>,
    log_dir: &Path,
    clock: Clock,
    senders: &Senders,
    metrics: &Metrics,
) -> anyhow::Result<Option<Vec<SharedTap<EbpfSource>>>> {
    metrics.hook.set(kernel.as_ref().map_or(Hook::None, Kernel::hook), 1);
    let Some(kernel) = kernel else { return Ok(None) };
    // The kubelet links a container's ID to its log there.
    let link_dirs = log_dir.parent().map(|parent| parent.join("containers")).into_iter().collect();
    let places = Places { procfs: "/proc".into(), log_dir: log_dir.to_path_buf(), link_dirs };
    let all = senders.clone();
    let wake = Box::new(move || all.ring());
    let source = EbpfSource::start(kernel, places, clock, wake).context("starting to look for containers' pipes")?;
    let hook = source.hook().value();
    info!("capture: hook {hook}: lines are taken from the containers' pipes, ahead of the log files");
    let wakes = senders.0.iter().cloned().map(|sender| -> Wake { Box::new(move || sender.ring()) });
    Ok(Some(SharedTap::for_each(source, wakes.collect())))
}

fn of(wanted: Wanted) -> Hook {
    match wanted {
        Wanted::Fentry => Hook::Fentry,
        Wanted::TpBtf => Hook::TpBtf,
        Wanted::RawTp => Hook::RawTp,
        Wanted::Kprobe => Hook::Kprobe,
    }
}

/// An eighth of the memory budget.
fn ring_bytes(memory_bytes_max: u64) -> u32 {
    let share = u32::try_from(memory_bytes_max / 8).unwrap_or(u32::MAX);
    // The largest power of two that is not more.
    1 << share.clamp(RING_BYTES_MIN, RING_BYTES_MAX).ilog2()
}

/// Whether the map of followed pipes takes CAP_BPF is the kernel's matter (5.10: yes, 6.1: no), so it is tried.
fn drop_rights_of(kernel: &mut Kernel) {
    let with_bpf = KEPT_FOR_PIPES.union(CapabilitySet::BPF);
    set_rights(KEPT_FOR_PIPES, with_bpf);
    let needed = if kernel.works() { KEPT_FOR_PIPES } else { with_bpf };
    set_rights(needed, needed);
}

/// What this thread may do now, and what it may take back later, as far as it has that.
fn set_rights(effective: CapabilitySet, permitted: CapabilitySet) {
    let dropped = capabilities(None).and_then(|now| {
        let permitted = now.permitted.intersection(permitted);
        let inheritable = now.inheritable.intersection(permitted);
        set_capabilities(None, CapabilitySets { effective: permitted.intersection(effective), permitted, inheritable })
    });
    if let Err(error) = dropped {
        warn!("rights that are not needed any more could not be given up: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_an_eighth_of_the_memory_at_the_most() {
        assert_eq!(ring_bytes(64 << 20), 8 << 20);
        assert_eq!(ring_bytes(100 << 20), 8 << 20);
        assert_eq!(ring_bytes(1), RING_BYTES_MIN);
        assert_eq!(ring_bytes(u64::MAX), RING_BYTES_MAX);
    }
}

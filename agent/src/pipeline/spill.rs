//! Open lines count against the memory budget: above a quarter of it the longest is let go, and read again from its
//! file when its end comes.

use super::InstanceKey;
use super::Pipeline;
use super::containers::{Container, StreamState};
use crate::limits::LINE_KEPT_BYTES_MAX;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::disk::Disk;
use std::collections::BTreeMap;

/// What open lines may take of `memory_bytes_max`.
pub(super) fn budget(memory_bytes_max: u64) -> usize {
    usize::try_from(memory_bytes_max / 4).unwrap_or(usize::MAX)
}

/// Whether a line of this container that was let go waits to be read again until others are done with it: those that are
/// being read again are not let go once more, so only as many begin as there is room for; one always may.
pub(super) fn waits_for_room(
    container: &Container,
    containers: &BTreeMap<InstanceKey, Container>,
    budget: usize,
) -> bool {
    fn reread(container: &Container) -> impl Iterator<Item = &StreamState> {
        container.ready.iter().flat_map(|ready| &ready.streams).filter(|stream| stream.is_reread)
    }
    let has_begun = |stream: &StreamState| stream.joiner.open_start().is_some();
    if !reread(container).any(|stream| !has_begun(stream)) || reread(container).any(has_begun) {
        return false;
    }
    let begun = containers.values().flat_map(reread).filter(|stream| has_begun(stream)).count();
    begun > 0 && (begun + 1) * LINE_KEPT_BYTES_MAX > budget
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    pub(super) fn keep_open_lines_within_budget(&mut self) {
        let budget = budget(self.settings.memory_bytes_max);
        while self.open_bytes > budget {
            let streams = self.containers.values_mut().filter_map(|container| container.ready.as_mut());
            let open = streams.flat_map(|ready| ready.streams.iter_mut()).filter(|stream| !stream.is_reread);
            let Some(longest) = open.max_by_key(|stream: &&mut StreamState| stream.joiner.memory_bytes()) else {
                return;
            };
            if longest.joiner.memory_bytes() == 0 {
                return;
            }
            self.open_bytes -= longest.joiner.memory_bytes();
            longest.joiner.let_go();
        }
    }
}

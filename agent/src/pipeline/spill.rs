//! Open lines count against the memory budget: above a quarter of it the longest is let go, and read again from its
//! file when its end comes.

use super::Pipeline;
use super::containers::StreamState;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::disk::Disk;

impl<D: Disk, T: Tap> Pipeline<D, T> {
    pub(super) fn keep_open_lines_within_budget(&mut self) {
        let budget = usize::try_from(self.settings.memory_bytes_max / 4).unwrap_or(usize::MAX);
        while self.open_bytes > budget {
            let streams = self.containers.values_mut().filter_map(|container| container.ready.as_mut());
            let open = streams.flat_map(|ready| ready.streams.iter_mut()).filter(|stream| !stream.is_reread);
            let Some(longest) = open.max_by_key(|stream: &&mut StreamState| stream.joiner.kept_bytes()) else { return };
            if longest.joiner.kept_bytes() == 0 {
                return;
            }
            self.open_bytes -= longest.joiner.kept_bytes();
            longest.joiner.let_go();
        }
    }
}

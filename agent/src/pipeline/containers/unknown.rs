//! Containers whose pod does not become known: let go and counted, file by file, byte by byte.
//!
//! What is let go stays known to the source as dealt with. The slow look finds the file again; what it has grown by
//! until then is counted too, and where the pod becomes known after all, reading begins behind what was counted.

use crate::limits::METADATA_WAIT;
use crate::metrics::label::DropReason;
use crate::pipeline::Pipeline;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::sources::file::names::pod_folder;
use crate::types::position::{FilePosition, Mark};
use crate::types::time::Now;

/// Behind the last file that an instance can have.
const BEHIND_ALL: Mark =
    Mark { at: FilePosition { file: u32::MAX, offset: 0 }, stream_position: 0, last_time_ns: 0, ahead: 0 };

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// Gives up what waits for a pod that does not become known, with every container of that pod.
    pub(in crate::pipeline) fn drop_unknown(&mut self, now: Now) {
        self.pods.forget_given_up(now);
        let waiting = self.containers.iter().filter(|(_, container)| container.ready.is_none());
        let waiting: Vec<InstanceKey> = waiting.map(|(key, _)| *key).collect();
        for key in &waiting {
            self.give_up_late(*key, now);
        }
        for key in waiting {
            self.let_go(key, now);
        }
    }

    fn give_up_late(&mut self, key: InstanceKey, now: Now) {
        let Some(container) = self.containers.get(&key) else { return };
        let Some(folder) = pod_folder(&container.pod_folder) else { return };
        if now.mono < container.appeared_at + METADATA_WAIT || !self.pods.give_up(folder.uid, now) {
            return;
        }
        let message = format!(
            "the pod of {}/{} did not become known in {} s; its log is not shipped. Is it on this node, and may the \
             agent list pods? See penstock doctor",
            container.pod_folder,
            container.name,
            METADATA_WAIT.as_secs()
        );
        self.report("no metadata".to_owned(), &message, now);
    }

    /// Counts and lets go of a container whose pod was given up.
    fn let_go(&mut self, key: InstanceKey, now: Now) {
        let Some(container) = self.containers.get(&key) else { return };
        let Some(folder) = pod_folder(&container.pod_folder) else { return };
        if !self.pods.is_given_up(folder.uid) {
            return;
        }
        let is_named = self.source.file_id(key, self.source.position(key).file).is_some();
        let is_new = self.pods.count_once(folder.uid, &container.name, container.restart, now);
        self.metrics.dropped_files.add(DropReason::NoMetadata, u64::from(is_new));
        if !is_named && !container.is_gone {
            // Without a whole line it has no name by which it would be known again, and would be counted twice.
            return;
        }
        self.metrics.dropped_bytes.add(DropReason::NoMetadata, self.source.backlog_of(key));
        self.source.retire(key, Some([BEHIND_ALL; 2]));
        self.containers.remove(&key);
    }
}

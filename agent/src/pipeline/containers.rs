//! The containers whose logs are held, and the pods they belong to: who is wanted, who waits for its pod, who is
//! gone.

mod pods;
mod stream;
#[cfg(test)]
mod tests;
mod unknown;

use super::Pipeline;
use crate::batch::Batch;
use crate::checkpoint::journal::instance_hash;
use crate::framing::join::Joiner;
use crate::framing::split::MidLine;
use crate::handover::stream::Handover;
use crate::label::{ContainerLabels, Origin};
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::disk::Disk;
use crate::sources::file::names::pod_folder;
use crate::sources::file::{Event, InstanceKey, Resume};
use crate::types::part::LabelSetId;
use crate::types::pod::{Pod, PodSnapshot};
use crate::types::position::{FilePosition, Mark, StdStream};
use crate::types::time::Now;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

pub(super) use pods::KnownPods;
pub(super) use stream::{Moved, StreamState};

/// A container whose pod is known.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) pod: Arc<Pod>,
    pub(super) labels: ContainerLabels,
    /// By the index that `labels` gives.
    pub(super) label_sets: Vec<Option<LabelSetId>>,
    pub(super) group: LabelSetId,
    pub(super) streams: [StreamState; 2],
    pub(super) mid_line: Option<MidLine>,
    /// Where the physical line that `mid_line` is about starts.
    pub(super) mid_start: FilePosition,
    pub(super) file_seen: Option<u32>,
    /// The time of the next record, as far as known, while there is more to read.
    pub(super) next_ns: Option<i64>,
    pub(super) looked_at: Option<Duration>,
}

/// One container instance.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) pod_folder: String,
    pub(super) name: String,
    pub(super) restart: u32,
    pub(super) resume: [Option<Resume>; 2],
    pub(super) appeared_at: Duration,
    /// It had something to read when it appeared.
    pub(super) has_backlog_at_first: bool,
    pub(super) is_gone: bool,
    /// `None` while it waits for its pod.
    pub(super) ready: Option<Box<Ready>>,
}

impl Container {
    /// How the journal names it.
    pub(super) fn hash(&self) -> u64 {
        instance_hash(&format!("{}/{}", self.pod_folder, self.name), self.restart)
    }

    /// Encoded bytes that wait for its label sets.
    pub(super) fn waiting_bytes(&self, batch: &Batch) -> usize {
        match &self.ready {
            // Held: nothing may be read.
            None => usize::MAX,
            Some(ready) => ready.label_sets.iter().flatten().map(|id| batch.waiting_bytes_of(*id)).sum(),
        }
    }
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// Takes in the pods of the node as they are now.
    pub fn pods_changed(&mut self, snapshot: &PodSnapshot, now: Now) {
        self.pods.update(snapshot, now);
        let (pods, shard) = (&self.pods, self.settings.shard);
        self.source.reconsider(now, &|folder, container| shard.owns(folder.uid) && pods.is_wanted(folder, container));
        self.take_events(now);
        let keys: Vec<InstanceKey> = self.containers.keys().copied().collect();
        for key in keys {
            self.resolve(key, now);
        }
        self.pods.begun(snapshot);
    }

    pub(super) fn take_event(&mut self, event: Event, now: Now) {
        match event {
            Event::Appeared { key, pod_folder, container, restart, resume } => {
                let (name, appeared_at) = (container, now.mono);
                let has_backlog_at_first = self.source.backlog_of(key) > 0;
                let (is_gone, ready) = (false, None);
                let container =
                    Container { pod_folder, name, restart, resume, appeared_at, has_backlog_at_first, is_gone, ready };
                self.containers.insert(key, container);
                self.resolve(key, now);
                self.find_pipes_of(key);
                if let Some(tap) = &mut self.capture.tap {
                    tap.nudge();
                }
            }
            Event::Gone(key) => {
                if let Some(container) = self.containers.get_mut(&key) {
                    container.is_gone = true;
                }
            }
            Event::Unwanted(key) => {
                let marks = self.answered_marks(key);
                self.source.retire(key, marks);
                self.forget(key);
            }
            Event::Dropped { reason, bytes, files } => {
                self.metrics.dropped_bytes.add(reason, bytes);
                self.metrics.dropped_files.add(reason, files);
                self.saving.touch(now);
                if (bytes, files) != (0, 0) {
                    let message =
                        format!("{bytes} bytes of {files} log files are lost ({reason:?}), see docs/metrics.md");
                    self.report(format!("dropped {reason:?}"), &message, now);
                }
            }
            Event::Refused { path, why } => {
                let message = format!("{} {why}", path.display());
                self.report(format!("refused {}", path.display()), &message, now);
            }
            Event::Rescanned { why } => self.metrics.rescans.add(why, 1),
            Event::WatchRefused => {
                self.metrics.watch_refused.add(1);
                let message = "the kernel refused an inotify watch; raise fs.inotify.max_user_watches. Until then \
                               changes are seen by the slow rescan";
                self.report("watch refused".to_owned(), message, now);
            }
        }
    }

    /// Logs a warning, the same one once a minute with the number of times it came.
    pub(super) fn report(&mut self, key: String, message: &str, now: Now) {
        match self.repeats.report(key, now.mono) {
            Some(0) => warn!("{message}"),
            Some(suppressed) => warn!(suppressed, "{message}"),
            None => {}
        }
    }

    /// Gives a container the labels of its pod, where that is known; follows a change of them.
    fn resolve(&mut self, key: InstanceKey, now: Now) {
        let Some(container) = self.containers.get(&key) else { return };
        let resume = container.resume;
        let Some(folder) = pod_folder(&container.pod_folder) else { return };
        let Some(pod) = self.pods.get(folder.uid).cloned() else { return };
        if container.ready.as_ref().is_some_and(|ready| ready.pod == pod) {
            return;
        }
        let origin = Origin { pod: &pod, container: &container.name, node_name: &self.settings.node_name };
        let levels = self.pods.levels(folder.uid, &container.name);
        let mut labels =
            ContainerLabels::new(origin, &self.settings.labels, &self.settings.structured_metadata, levels);
        let is_late = self.pods.was_left_out(folder.uid, &container.name);
        let group = self.label_set_id(labels.label_set(None).text);
        let was_ready = self.containers.get_mut(&key).and_then(|container| container.ready.take());
        let ready = match was_ready {
            Some(mut ready) => {
                self.leave_group(key, ready.group);
                ready.streams.iter_mut().for_each(|stream| stream.sent_closed = stream.sent.len());
                Box::new(Ready { pod, labels, label_sets: Vec::new(), group, ..*ready })
            }
            None => {
                if is_late {
                    self.source.skip_rotated(key);
                }
                let streams = self.open_streams(key, resume, now);
                Box::new(Ready {
                    pod,
                    labels,
                    label_sets: Vec::new(),
                    group,
                    streams,
                    mid_line: None,
                    mid_start: FilePosition::default(),
                    file_seen: None,
                    next_ns: None,
                    looked_at: None,
                })
            }
        };
        self.groups.entry(group).or_default().join(key);
        if let Some(container) = self.containers.get_mut(&key) {
            info!(pod = container.pod_folder, container = container.name, restart = container.restart, "collecting");
            container.ready = Some(ready);
        }
        self.tell_behind(key, now);
        self.saving.touch(now);
    }

    fn open_streams(&mut self, key: InstanceKey, resume: [Option<Resume>; 2], now: Now) -> [StreamState; 2] {
        let start = self.source.position(key);
        let instance = self.containers.get(&key).map_or(0, Container::hash);
        [StdStream::Stdout, StdStream::Stderr].map(|std_stream| {
            let resume = resume.get(std_stream.index()).copied().flatten();
            let saved = resume.map(|resume| resume.saved).unwrap_or_default();
            let at = resume.map_or(start, |resume| resume.at.max(start));
            let (stream_position, last_time_ns) = (saved.position, saved.last_time_ns);
            let mark = Mark { at, stream_position, last_time_ns, ahead: saved.ahead };
            let stream = self.tracker.open(mark);
            let is_here = |(known, owner, _): &&(u64, StdStream, u64)| *known == instance && *owner == std_stream;
            let recovered = self.recovered.ahead.keys().filter(is_here).map(|(.., position)| position + 1);
            let place = stream.0 as usize;
            if self.owners.len() <= place {
                self.owners.resize(place + 1, None);
            }
            if let Some(owner) = self.owners.get_mut(place) {
                *owner = Some((key, std_stream));
            }
            StreamState {
                key: stream,
                joiner: Joiner::default(),
                skip_until: at,
                stream_position,
                last_time_ns,
                file_time_ns: last_time_ns,
                instance,
                handover: Handover::new(at == FilePosition { offset: 0, ..start } && stream_position == 0, now.mono),
                pipe: None,
                try_at: Duration::ZERO,
                tries: 0,
                ahead_position: stream_position,
                confirmed: VecDeque::new(),
                recovered_ahead_to: recovered.max().unwrap_or(0),
                answered_ahead: saved.ahead,
                resend_until: None,
                is_reread: false,
                sent: Vec::new(),
                sent_closed: 0,
                saved_to: mark,
                moved: Vec::new(),
                lines: 0,
                bytes: 0,
            }
        })
    }

    /// Lets go of containers that are gone and answered for.
    pub(super) fn release_gone(&mut self) {
        let is_done = |container: &Container| match &container.ready {
            Some(ready) => container.is_gone && ready.streams.iter().all(|stream| self.tracker.is_settled(stream.key)),
            None => false,
        };
        let done: Vec<InstanceKey> =
            self.containers.iter().filter(|(_, container)| is_done(container)).map(|(key, _)| *key).collect();
        for key in done {
            self.source.release(key);
            self.forget(key);
        }
        let Self { closing, tracker, owners, .. } = self;
        closing.retain(|stream| {
            let is_settled = tracker.is_settled(*stream);
            if is_settled {
                tracker.close(*stream);
                if let Some(owner) = owners.get_mut(stream.0 as usize) {
                    *owner = None;
                }
            }
            !is_settled
        });
    }

    fn forget(&mut self, key: InstanceKey) {
        let Some(container) = self.containers.remove(&key) else { return };
        self.unbind_pipes_of(key);
        let Some(mut ready) = container.ready else { return };
        self.leave_group(key, ready.group);
        for stream in &mut ready.streams {
            self.end_handover(stream);
            self.open_bytes = self.open_bytes.saturating_sub(stream.joiner.memory_bytes());
            self.closing.push(stream.key);
        }
    }

    fn leave_group(&mut self, key: InstanceKey, group: LabelSetId) {
        if self.groups.get_mut(&group).is_some_and(|members| members.leave(key)) {
            self.groups.remove(&group);
        }
    }
}

//! What `/streams` and the gauges show.

use super::Pipeline;
use super::containers::StreamState;
use crate::metrics::label::{Label, Mode};
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::disk::Disk;
use crate::sources::file::names::pod_folder;
use crate::types::position::StdStream;
use crate::types::view::StreamView;

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// One row per std stream that is held.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamView> {
        let mut rows = Vec::new();
        for (key, container) in &self.containers {
            let Some(folder) = pod_folder(&container.pod_folder) else { continue };
            for std_stream in [StdStream::Stdout, StdStream::Stderr] {
                let state = container.ready.as_ref().and_then(|ready| ready.streams.get(std_stream.index()));
                let answered = state.map_or(0, |state| self.tracker.answered_to(state.key).stream_position);
                let unanswered = state.map_or(0, |state| state.stream_position.saturating_sub(answered));
                rows.push(StreamView {
                    namespace: folder.namespace.to_owned(),
                    pod: folder.pod.to_owned(),
                    container: container.name.clone(),
                    restart: container.restart,
                    std_stream: std_stream.as_str(),
                    mode: state.map_or("held", |state| state.handover.mode().value()),
                    why: self.why(state),
                    position: answered,
                    lag_bytes: self.source.backlog_of(*key) + unanswered,
                    lines: state.map_or(0, |state| state.lines),
                    bytes: state.map_or(0, |state| state.bytes),
                });
            }
        }
        rows.sort_by(|a, b| {
            (&a.namespace, &a.pod, &a.container, a.restart, a.std_stream).cmp(&(
                &b.namespace,
                &b.pod,
                &b.container,
                b.restart,
                b.std_stream,
            ))
        });
        rows
    }

    /// Lines that went out without their log file, and that it has not shown: it is not certain where they stand, so after
    /// a restart they go out again when it shows them. Asked at the end: the metrics have what the std streams did to here.
    pub fn unplaced_lines(&mut self) -> usize {
        self.tell_handover();
        let ready = self.containers.values().filter_map(|container| container.ready.as_ref());
        ready.flat_map(|ready| &ready.streams).map(|stream| stream.handover.unplaced()).sum()
    }

    fn why(&self, state: Option<&StreamState>) -> String {
        let Some(state) = state else { return "its pod is not known yet".to_owned() };
        match self.delivery.trouble_of(state.key) {
            Some(trouble) => format!("its lines wait to be sent again: {}", trouble.words),
            None if self.capture.tap.is_none() => {
                "there is no kernel source, see the log and `penstock doctor`".to_owned()
            }
            None => format!("{}{}", state.handover.why().as_str(), if state.pipe.is_some() { "" } else { ", no pipe" }),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and below 2^53")]
    pub(super) fn show_gauges(&self) {
        let unanswered = self.batch.waiting_bytes() + self.delivery.bytes();
        self.metrics.backlog_bytes.set(self.source.backlog_bytes() + unanswered as u64);
        self.metrics.memory_bytes.set(self.memory_bytes() as u64);
        self.metrics.rate_limit_bytes_per_second.set(self.delivery.rate() as u64);
        self.metrics.label_sets.set(self.batch.label_sets() as u64);
        self.metrics.held_label_sets.set(self.delivery.held_label_sets() as u64);
        self.metrics.files_open.set(self.source.files_open() as u64);
        let ready = self.containers.values().filter_map(|container| container.ready.as_ref());
        let modes: Vec<Mode> = ready.flat_map(|ready| &ready.streams).map(|stream| stream.handover.mode()).collect();
        for mode in Mode::ALL {
            self.metrics.streams.set(*mode, modes.iter().filter(|other| *other == mode).count() as u64);
        }
    }
}

//! What `/streams` and the gauges show.

use super::Pipeline;
use super::containers::StreamState;
use crate::metrics::label::{Label, Mode};
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::disk::Disk;
use crate::sources::file::names::pod_folder;
use crate::types::position::StdStream;
use crate::types::view::StreamView;

/// What the gauges have of a pipeline.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    levels: [u64; 5],
    streams: [u64; Mode::ALL.len()],
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// One row per std stream that is held, in no order.
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
            None => format!(
                "{}{}",
                state.handover.why().as_str(),
                if state.pipe.is_some() { "" } else { ", no pipe is known to be it" }
            ),
        }
    }

    /// Other data threads add theirs to the same gauges.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and below 2^53")]
    pub(super) fn show_gauges(&mut self) {
        self.metrics.rate_limit_bytes_per_second.set(self.delivery.rate() as u64);
        let unanswered = self.batch.waiting_bytes() + self.delivery.bytes();
        let levels = [
            (&self.metrics.backlog_bytes, self.source.backlog_bytes() + unanswered as u64),
            (&self.metrics.memory_bytes, self.memory_bytes() as u64),
            (&self.metrics.label_sets, self.batch.label_sets() as u64),
            (&self.metrics.held_label_sets, self.delivery.held_label_sets() as u64),
            (&self.metrics.files_open, self.source.files_open() as u64),
        ];
        for ((gauge, level), told) in levels.into_iter().zip(&mut self.told.levels) {
            gauge.change(std::mem::replace(told, level), level);
        }
        let ready = self.containers.values().filter_map(|container| container.ready.as_ref());
        let modes: Vec<Mode> = ready.flat_map(|ready| &ready.streams).map(|stream| stream.handover.mode()).collect();
        for (mode, told) in Mode::ALL.iter().zip(&mut self.told.streams) {
            let count = modes.iter().filter(|other| *other == mode).count() as u64;
            self.metrics.streams.change(*mode, std::mem::replace(told, count), count);
        }
    }
}

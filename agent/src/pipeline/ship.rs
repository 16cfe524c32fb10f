//! One line on its way: its time, its shape, its label set, its place in a batch.

use super::Pipeline;
use super::containers::{Moved, Ready, StreamState};
use super::resend::Before;
use crate::batch::Appended;
use crate::batch::open::{OpenEntry, Place};
use crate::checkpoint::journal::label_set_hash;
use crate::checkpoint::tracker::Tracker;
use crate::framing::lift::lift;
use crate::handover::pending::Sent;
use crate::handover::window::Seen;
use crate::metrics::Metrics;
use crate::metrics::label::Source;
use crate::parse::ShapeContext;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::disk::Disk;
use crate::types::entry::Record;
use crate::types::part::LabelSetId;
use crate::types::position::{Mark, StdStream};
use crate::types::saved::Recovered;

/// Where a line comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    /// A log file. `has_prefix`: a runtime wrote it; what is no runtime's is never read as JSON.
    File { start: Mark, has_prefix: bool },
    /// A pipe, ahead of the file. It stands right behind the last line of its std stream.
    Captured(Seen),
}

/// What a step counts; added to the metrics once, at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// From the files.
    lines: u64,
    bytes: u64,
    captured_lines: u64,
    captured_bytes: u64,
    cut_lines: u64,
    own_time_refused: u64,
    levels_unlabelled: u64,
    clock_steps: u64,
    made_unique: u64,
}

impl Counts {
    fn add(&mut self, from: Line, bytes: u64) {
        let (lines, sum) = match from {
            Line::File { .. } => (&mut self.lines, &mut self.bytes),
            Line::Captured(_) => (&mut self.captured_lines, &mut self.captured_bytes),
        };
        *lines += 1;
        *sum += bytes;
    }

    pub(super) fn add_to(&mut self, metrics: &Metrics) {
        let counts = std::mem::take(self);
        if counts.lines + counts.captured_lines == 0 {
            return;
        }
        metrics.lines.add(Source::Ebpf, counts.captured_lines);
        metrics.bytes.add(Source::Ebpf, counts.captured_bytes);
        metrics.lines.add(Source::File, counts.lines);
        metrics.bytes.add(Source::File, counts.bytes);
        metrics.cut_lines.add(counts.cut_lines);
        metrics.own_time_refused.add(counts.own_time_refused);
        metrics.levels_unlabelled.add(counts.levels_unlabelled);
        metrics.clock_steps.add(counts.clock_steps);
        metrics.made_unique.add(counts.made_unique);
    }
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// Shapes a line and appends it to the open part of its label set.
    pub(super) fn ship(&mut self, ready: &mut Ready, std_stream: StdStream, whole: Record<'_>, from: Line) {
        let Some(stream) = ready.streams.get_mut(std_stream.index()) else { return };
        let lifted = lift(stream.last_time_before(from), whole.time_ns);
        let record = Record { time_ns: lifted.time_ns, ..whole };
        let has_prefix = !matches!(from, Line::File { has_prefix: false, .. });
        let context = ShapeContext { is_json: ready.pod.json && has_prefix, envelope: ready.labels.envelope() };
        let shaped = self.shaper.shape(record, &context);

        let set = ready.labels.label_set(shaped.level);
        self.counts.levels_unlabelled += u64::from(set.is_level_refused);
        if ready.label_sets.len() <= set.index {
            ready.label_sets.resize(set.index + 1, None);
        }
        let label_set = match ready.label_sets.get(set.index) {
            Some(Some(id)) => *id,
            _ => {
                let id = find_label_set(&mut self.batch, &mut self.recovered, set.text);
                if let Some(slot) = ready.label_sets.get_mut(set.index) {
                    *slot = Some(id);
                }
                id
            }
        };
        self.metadata.clear();
        let metadata_counted_bytes = ready.labels.append_metadata(shaped.trace_id, &mut self.metadata);

        let is_own = shaped.time_ns != lifted.time_ns;
        let shard = self.settings.shard;
        let time_ns = shard.free_ns(shaped.time_ns);
        let mut alone_ns = has_prefix.then(|| if is_own { time_ns } else { shard.free_ns(whole.time_ns) });
        let (place, sent_at_ns, written_ns) = match from {
            Line::File { start, .. } => {
                let file = || {
                    let (key, _) = self.owners.get(stream.key.0 as usize).copied().flatten()?;
                    self.source.file_id(key, start.at.file)
                };
                let labels = || label_set_hash(self.batch.text(label_set));
                let before = Before { recovered: &self.recovered, stream, std_stream, start };
                let sent = before.time(&whole, &mut alone_ns, file, labels);
                (Place::File(start), sent, lifted.time_ns)
            }
            Line::Captured(seen) => {
                let place = Place::Ahead { position: stream.ahead_position, hash: seen.print.hash };
                (place, None, seen.written_ns.unwrap_or(seen.read_ns))
            }
        };
        let entry = OpenEntry {
            line: shaped.line,
            time_ns,
            alone_ns,
            sent_at_ns,
            metadata: &self.metadata,
            metadata_counted_bytes,
            written_ns,
            stream: stream.key,
            place,
        };
        let mut last_time_ns = lifted.time_ns;
        if let Some(appended) = self.batch.append(label_set, &entry) {
            self.counts.made_unique += u64::from(appended.time_ns != time_ns);
            note_appended(&mut self.tracker, stream, from, label_set, appended, alone_ns);
            if !is_own {
                // Moved to a free nanosecond: the next record does not go back behind it.
                last_time_ns = appended.time_ns;
            }
        }
        self.counts.cut_lines += u64::from(shaped.cut_bytes > 0);
        self.counts.own_time_refused += u64::from(shaped.is_time_refused);
        self.counts.clock_steps += u64::from(lifted.is_step);
        self.counts.add(from, whole.full_bytes);
        stream.passed(from, whole.full_bytes, last_time_ns);
    }

    pub(super) fn label_set_id(&mut self, text: &str) -> LabelSetId {
        find_label_set(&mut self.batch, &mut self.recovered, text)
    }
}

impl StreamState {
    /// The time before which the next line's must not go.
    fn last_time_before(&self, from: Line) -> i64 {
        match from {
            // As it was when the line began: it may be read again after others.
            Line::File { start, .. } if self.file_time_ns == self.last_time_ns => start.last_time_ns,
            _ => self.last_time_ns,
        }
    }

    /// A line went out.
    fn passed(&mut self, from: Line, full_bytes: u64, time_ns: i64) {
        match from {
            Line::File { start, .. } => {
                self.stream_position = start.stream_position + full_bytes + 1;
                self.file_time_ns = time_ns;
            }
            Line::Captured(_) => self.ahead_position += full_bytes + 1,
        }
        self.lines += 1;
        self.bytes += full_bytes;
        self.last_time_ns = time_ns;
    }
}

/// An entry was appended: what it holds until it is answered for, and what the journal has to know.
fn note_appended(
    tracker: &mut Tracker,
    stream: &mut StreamState,
    from: Line,
    label_set: LabelSetId,
    appended: Appended,
    alone_ns: Option<i64>,
) {
    let Appended { time_ns, part, is_new_share } = appended;
    match from {
        Line::File { start, .. } => {
            if is_new_share {
                tracker.hold(part, stream.key, start);
            }
            if Some(time_ns) != alone_ns {
                stream.moved.push(Moved { at: start.at, time_ns, label_set, part });
            }
        }
        Line::Captured(Seen { print, read_ns, .. }) => {
            let position = stream.ahead_position;
            if is_new_share {
                tracker.expect(part, stream.key, position);
            }
            let is_placed = !stream.handover.is_searching();
            if is_placed {
                tracker.ahead_to(stream.key, position + print.advance());
            }
            stream.handover.shipped(Sent { print, read_ns, position, is_placed, time_ns, label_set, part });
        }
    }
}

/// The label set with this text; what the last run sent of it is remembered.
fn find_label_set(batch: &mut crate::batch::Batch, recovered: &mut Recovered, text: &str) -> LabelSetId {
    let before = batch.label_sets();
    let id = batch.label_set(text);
    if batch.label_sets() > before
        && let Some(fingerprints) = recovered.fingerprints.remove(&label_set_hash(text))
    {
        batch.remember(id, &fingerprints);
    }
    id
}

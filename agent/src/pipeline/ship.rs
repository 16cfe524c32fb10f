//! One line on its way: its time, its shape, its label set, its place in a batch.

use super::Pipeline;
use super::containers::Ready;
use crate::batch::open::OpenEntry;
use crate::checkpoint::journal::label_set_hash;
use crate::framing::join::Joined;
use crate::framing::lift::lift;
use crate::metrics::Metrics;
use crate::metrics::label::Source;
use crate::parse::ShapeContext;
use crate::sources::file::disk::Disk;
use crate::types::entry::Record;
use crate::types::part::LabelSetId;
use crate::types::position::StdStream;

/// What a step counts; added to the metrics once, at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    lines: u64,
    bytes: u64,
    cut_lines: u64,
    own_time_refused: u64,
    levels_unlabelled: u64,
    clock_steps: u64,
    made_unique: u64,
}

impl Counts {
    pub(super) fn add_to(&mut self, metrics: &Metrics) {
        let counts = std::mem::take(self);
        if counts.lines == 0 {
            return;
        }
        metrics.lines.add(Source::File, counts.lines);
        metrics.bytes.add(Source::File, counts.bytes);
        metrics.cut_lines.add(counts.cut_lines);
        metrics.own_time_refused.add(counts.own_time_refused);
        metrics.levels_unlabelled.add(counts.levels_unlabelled);
        metrics.clock_steps.add(counts.clock_steps);
        metrics.made_unique.add(counts.made_unique);
    }
}

impl<D: Disk> Pipeline<D> {
    /// `has_prefix`: a runtime wrote it; what is no runtime's is never read as JSON.
    pub(super) fn ship(&mut self, ready: &mut Ready, std_stream: StdStream, joined: &Joined<'_>, has_prefix: bool) {
        let Some(stream) = ready.streams.get_mut(std_stream.index()) else { return };
        let lifted = lift(joined.start.last_time_ns, joined.record.time_ns);
        let record = Record { time_ns: lifted.time_ns, ..joined.record };
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

        let start = joined.start.at;
        let is_own = shaped.time_ns != lifted.time_ns;
        let alone_ns = has_prefix.then_some(if is_own { shaped.time_ns } else { joined.record.time_ns });
        let sent_at_ns = stream.resend_until.filter(|until| start <= *until).and_then(|_| {
            let (key, _) = self.owners.get(stream.key.0 as usize).copied().flatten()?;
            let id = self.source.file_id(key, start.file)?;
            let sent = self.recovered.sent.get(&(id, std_stream, label_set_hash(self.batch.text(label_set))))?;
            let moved = self.recovered.moved.get(&(id, std_stream, start.offset)).copied();
            sent.contains(&start.offset).then(|| moved.or(alone_ns).unwrap_or(shaped.time_ns))
        });
        let entry = OpenEntry {
            line: shaped.line,
            time_ns: shaped.time_ns,
            alone_ns,
            sent_at_ns,
            metadata: &self.metadata,
            metadata_counted_bytes,
            runtime_ns: lifted.time_ns,
            stream: stream.key,
            start: joined.start,
        };
        let mut last_time_ns = lifted.time_ns;
        if let Some(appended) = self.batch.append(label_set, &entry) {
            if appended.is_new_share {
                self.tracker.hold(appended.part, stream.key, joined.start);
            }
            if appended.time_ns != shaped.time_ns {
                self.counts.made_unique += 1;
            }
            if Some(appended.time_ns) != alone_ns {
                stream.moved.push((start, appended.time_ns));
            }
            if !is_own {
                // Moved to a free nanosecond: the next record does not go back behind it.
                last_time_ns = appended.time_ns;
            }
        }
        self.counts.lines += 1;
        self.counts.bytes += joined.record.full_bytes;
        self.counts.cut_lines += u64::from(shaped.cut_bytes > 0);
        self.counts.own_time_refused += u64::from(shaped.is_time_refused);
        self.counts.clock_steps += u64::from(lifted.is_step);
        stream.lines += 1;
        stream.bytes += joined.record.full_bytes;
        stream.stream_position = joined.start.stream_position + joined.record.full_bytes + 1;
        stream.last_time_ns = last_time_ns;
    }

    pub(super) fn label_set_id(&mut self, text: &str) -> LabelSetId {
        find_label_set(&mut self.batch, &mut self.recovered, text)
    }
}

/// The label set with this text; what the last run sent of it is remembered.
fn find_label_set(
    batch: &mut crate::batch::Batch,
    recovered: &mut crate::types::saved::Recovered,
    text: &str,
) -> LabelSetId {
    let before = batch.label_sets();
    let id = batch.label_set(text);
    if batch.label_sets() > before
        && let Some(fingerprints) = recovered.fingerprints.remove(&label_set_hash(text))
    {
        batch.remember(id, &fingerprints);
    }
    id
}

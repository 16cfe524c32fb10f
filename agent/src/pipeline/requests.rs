//! From waiting parts to requests on their way: what is due is journaled, encoded, compressed and handed out.

use super::containers::Container;
use super::gate::Share;
use super::{Outside, Pipeline};
use crate::checkpoint::journal::{Record, label_set_hash};
use crate::encode;
use crate::limits::COPY_FOUND_WITHIN;
use crate::limits::REQUEST_BYTES_MAX;
use crate::send::deliver::Due;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::types::part::{self, LabelSetId, Part, PartId};
use crate::types::position::{FileId, FilePosition, StdStream};
use crate::types::request::Request;
use crate::types::saved::WentAhead;
use crate::types::time::Now;
use bytes::Bytes;
use std::collections::HashSet;
use std::time::Duration;

/// With pushes slower than this, requests are filled to their limit instead of to `batch_bytes`.
const SLOW_PUSH: Duration = Duration::from_millis(100);

impl<D: Disk, T: Tap> Pipeline<D, T> {
    pub(super) fn pump(&mut self, now: Now, outside: &mut dyn Outside) {
        if self.delivery.is_in_trouble() {
            // Two probes may go. One is for what has not failed, so that what fails for good cannot take both.
            self.begin_request(now, outside);
        }
        loop {
            self.send_due(now, outside);
            if !self.begin_request(now, outside) {
                return;
            }
        }
    }

    /// Makes a request of what waits, if one may go now; false where none was made.
    fn begin_request(&mut self, now: Now, outside: &mut dyn Outside) -> bool {
        if self.batch.waiting_bytes() == 0 || !self.delivery.may_start(now.mono) {
            return false;
        }
        let is_urgent = self.is_urgent();
        let Self { batch, delivery, linger, .. } = self;
        let is_busy = |id: LabelSetId| delivery.is_busy(id);
        // More than the pace gives is refused as a whole.
        let paced = usize::try_from(delivery.request_bytes_max()).unwrap_or(usize::MAX);
        let is_full = || batch.ready_bytes(&is_busy) >= self.settings.batch_bytes.min(paced);
        if !(is_urgent || now.mono >= linger.due() || is_full()) {
            return false;
        }
        let is_slow = linger.push_time() > SLOW_PUSH;
        // What is above the tenant's burst never passes.
        let burst = usize::try_from(self.settings.burst).unwrap_or(usize::MAX);
        let wanted = if is_slow { burst } else { self.settings.batch_bytes };
        let bytes_max = wanted.min(REQUEST_BYTES_MAX).min(paced);
        let now_ms = u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX);
        let parts = batch.take(bytes_max, now_ms, &is_busy);
        if parts.is_empty() {
            return false;
        }
        self.journal(&parts, now, outside);
        self.delivery.add(parts);
        true
    }

    /// Whether what waits goes out as soon as it may: a probe waits for nothing else than its turn, and while memory is
    /// full, nothing can join what waits.
    pub(super) fn is_urgent(&self) -> bool {
        self.is_stopping || self.delivery.is_in_trouble() || !self.gate().is_open(0, Share::Common)
    }

    fn send_due(&mut self, now: Now, outside: &mut dyn Outside) {
        loop {
            for split in self.delivery.cut(now.mono) {
                self.tracker.split(split.from, split.into, &split.shares);
            }
            let Some(Due { id, parts, is_again }) = self.delivery.due(now.mono) else { return };
            if is_again {
                self.metrics.resent_entries.add(parts.iter().map(|part| u64::from(part.count)).sum());
            }
            let mut runs: Vec<(LabelSetId, Vec<&[u8]>)> = Vec::with_capacity(parts.len());
            for part in parts {
                match runs.last_mut() {
                    Some((label_set, runs)) if *label_set == part.label_set => runs.push(&part.entries),
                    _ => runs.push((part.label_set, vec![&part.entries])),
                }
            }
            let named = runs.iter().map(|(id, runs)| (self.batch.text(*id), runs.iter().copied()));
            let packed = encode::push_request(named, &mut self.packer).unwrap_or_else(|error| {
                // Requests are far below the limit of the compressor.
                tracing::error!("{error}");
                &[]
            });
            let body = Bytes::copy_from_slice(packed);
            self.linger.sent(now.mono);
            outside.send(Request { id, body });
        }
    }

    /// Writes down what goes out, before it does.
    fn journal(&mut self, parts: &[Part], now: Now, outside: &mut dyn Outside) {
        let mut record = Record::default();
        for part in parts {
            self.metrics.resent_entries.add(part.resent.len() as u64);
            let labels = label_set_hash(self.batch.text(part.label_set));
            record.fingerprints(labels, &part.fingerprints);
            for share in &part.shares {
                self.journal_share(&mut record, share, part.label_set, labels);
            }
            for ahead in &part.ahead {
                let Some((key, std_stream)) = self.owners.get(ahead.stream.0 as usize).copied().flatten() else {
                    continue;
                };
                if let Some(instance) = self.stream_mut(key, std_stream).map(|state| state.instance) {
                    let line = WentAhead { hash: ahead.hash, time_ns: ahead.time_ns, labels };
                    record.ahead(instance, std_stream, ahead.position, line);
                }
            }
            for moved in &part.moved {
                let owner = self.owners.get(moved.stream.0 as usize).copied().flatten();
                let Some((key, std_stream)) = owner else { continue };
                if let Some(id) = self.source.file_id(key, moved.start.at.file) {
                    record.moved(id, std_stream, labels, moved.start.at.offset, moved.time_ns);
                }
            }
        }
        let written = if outside.is_journal_full() {
            let mut all = self.journal_so_far(now);
            all.extend_from_slice(&record.finish());
            outside.begin_journal(&all)
        } else {
            outside.append_journal(&record.finish())
        };
        if let Err(error) = written {
            self.metrics.journal_errors.add(1);
            let message = format!(
                "cannot write the journal in data_dir: {error}; lines are sent all the same, but after a crash some \
                 may arrive twice. Free space there"
            );
            self.report("journal".to_owned(), &message, now);
        }
    }

    fn journal_share(&mut self, record: &mut Record, share: &part::Share, label_set: LabelSetId, labels: u64) {
        let Some((key, std_stream)) = self.owners.get(share.stream.0 as usize).copied().flatten() else { return };
        let Some([first, last]) = share.records else { return };
        let sent = [first.at, last.at];
        let Some(state) = self.stream_mut(key, std_stream) else { return };
        let open = state.sent.get_mut(state.sent_closed..).unwrap_or_default();
        let so_far = match open.iter_mut().find(|(known, _)| *known == label_set) {
            Some((_, so_far)) => {
                *so_far = [sent[0].min(so_far[0]), sent[1].max(so_far[1])];
                *so_far
            }
            None => {
                state.sent.push((label_set, sent));
                sent
            }
        };
        self.journal_sent(record, key, std_stream, labels, sent[0].file, so_far);
    }

    /// Notes what went out of a std stream in one label set, per file from the one with number `from` on.
    fn journal_sent(
        &self,
        record: &mut Record,
        key: InstanceKey,
        std_stream: StdStream,
        labels: u64,
        from: u32,
        [first, last]: [FilePosition; 2],
    ) {
        for number in from.max(first.file)..=last.file {
            let Some(id) = self.source.file_id(key, number) else { continue };
            let begin = if number == first.file { first.offset } else { 0 };
            let end = if number == last.file { last.offset } else { u64::MAX };
            record.sent(id, std_stream, labels, begin..=end);
        }
    }

    /// Everything that an earlier journal said and that still counts.
    pub(super) fn journal_so_far(&self, now: Now) -> Vec<u8> {
        let mut record = Record::default();
        self.journal_recovered(&mut record, now);
        for (labels, fingerprints) in self.batch.fingerprints() {
            record.fingerprints(label_set_hash(labels), &fingerprints);
        }
        let waiting = self.batch.waiting_parts();
        for (key, container) in &self.containers {
            let Some(ready) = &container.ready else { continue };
            for std_stream in [StdStream::Stdout, StdStream::Stderr] {
                let Some(state) = ready.streams.get(std_stream.index()) else { continue };
                self.journal_stream(&mut record, *key, std_stream, state, &waiting);
            }
        }
        record.finish()
    }

    /// What the last run had sent and this one has not come to yet: a second crash must find it too.
    fn journal_recovered(&self, record: &mut Record, now: Now) {
        let here = self.source.file_ids();
        // A file may be found late: its folder could not be looked at, or its head not be read.
        let is_kept = |file: &FileId| now.mono < COPY_FOUND_WITHIN || here.contains(file);
        for (labels, fingerprints) in &self.recovered.fingerprints {
            record.fingerprints(*labels, fingerprints);
        }
        for ((file, std_stream, labels), ranges) in &self.recovered.sent {
            for offsets in ranges.iter().filter(|_| is_kept(file)) {
                record.sent(*file, *std_stream, *labels, offsets.clone());
            }
        }
        for ((file, std_stream, labels, offset), time_ns) in &self.recovered.moved {
            if is_kept(file) {
                record.moved(*file, *std_stream, *labels, *offset, *time_ns);
            }
        }
        let instances: HashSet<u64> = self.containers.values().map(Container::hash).collect();
        for ((instance, std_stream, position), line) in &self.recovered.ahead {
            if now.mono < COPY_FOUND_WITHIN || instances.contains(instance) {
                record.ahead(*instance, *std_stream, *position, *line);
            }
        }
    }

    fn journal_stream(
        &self,
        record: &mut Record,
        key: InstanceKey,
        std_stream: StdStream,
        state: &super::containers::StreamState,
        waiting: &HashSet<PartId>,
    ) {
        // Also what is answered for: the positions on disk may be older than that.
        let oldest = self.source.oldest_file(key);
        for (label_set, sent) in &state.sent {
            let labels = label_set_hash(self.batch.text(*label_set));
            self.journal_sent(record, key, std_stream, labels, oldest, *sent);
        }
        // What waits has not gone out, and must not look so after a crash: others may take its times then.
        for moved in state.moved.iter().filter(|moved| !waiting.contains(&moved.part)) {
            if let Some(id) = self.source.file_id(key, moved.at.file) {
                let labels = label_set_hash(self.batch.text(moved.label_set));
                record.moved(id, std_stream, labels, moved.at.offset, moved.time_ns);
            }
        }
        let ahead = state.confirmed.iter().chain(state.handover.pending().iter());
        for sent in ahead.filter(|sent| !waiting.contains(&sent.part)) {
            let labels = label_set_hash(self.batch.text(sent.label_set));
            let line = WentAhead { hash: sent.print.hash, time_ns: sent.time_ns, labels };
            record.ahead(state.instance, std_stream, sent.position, line);
        }
    }

    pub(super) fn stream_mut(
        &mut self,
        key: InstanceKey,
        std_stream: StdStream,
    ) -> Option<&mut super::containers::StreamState> {
        self.containers.get_mut(&key)?.ready.as_mut()?.streams.get_mut(std_stream.index())
    }
}

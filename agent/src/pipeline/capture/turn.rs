//! When a std stream goes ahead of its file, or goes on alone; and what becomes of a file line that was shipped ahead.

use super::kept_record;
use crate::framing::join::Joined;
use crate::handover::fingerprint::Fingerprint;
use crate::handover::pending::{FileLine, Sent};
use crate::handover::why::Counts;
use crate::limits::{ALIGN_AGAIN_MAX, ALIGN_AGAIN_MIN};
use crate::metrics::Metrics;
use crate::metrics::label::{DropReason, Label};
use crate::pipeline::Pipeline;
use crate::pipeline::containers::{Ready, StreamState};
use crate::pipeline::ship::Line;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::types::capture::Cookie;
use crate::types::position::StdStream;
use crate::types::time::Now;
use std::collections::BTreeSet;

/// Attempts in vain that make the next one wait longer.
const TRIES_MAX: u32 = 16;

/// What a std stream may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    FromStart,
    Ahead,
    Alone,
    /// Before the file's next line, with this fingerprint and time.
    Past(Fingerprint, i64),
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// A file line is complete: whether it is still to be shipped. One that was shipped ahead is not, and holds the
    /// position until it is answered for.
    pub(in crate::pipeline) fn is_to_be_shipped(
        &mut self,
        key: InstanceKey,
        ready: &mut Ready,
        std_stream: StdStream,
        joined: &Joined<'_>,
        now: Now,
    ) -> bool {
        let Some(stream) = ready.streams.get(std_stream.index()) else { return true };
        if self.capture.tap.is_none() && joined.start.stream_position >= stream.recovered_ahead_to {
            return true;
        }
        let (print, written_ns) = (Fingerprint::of(&joined.record), joined.record.time_ns);
        if stream.handover.may_go_past(written_ns)
            && let Some(cookie) = stream.pipe.or_else(|| self.capture.pipes.certain(key, std_stream))
            && self.may_ship_captured(key, ready, written_ns, now)
        {
            self.begin_captured(key, ready, std_stream, cookie, Attempt::Past(print, written_ns), now);
        }
        let Some(stream) = ready.streams.get_mut(std_stream.index()) else { return true };
        let was_searching = stream.handover.is_searching();
        let time_ns = match stream.handover.file_line(print, written_ns, now.mono) {
            FileLine::Confirmed(sent) => {
                self.tracker.confirm(sent.part, stream.key, joined.start);
                if sent.position == joined.start.stream_position {
                    stream.confirmed.push_back(sent);
                }
                Some(sent.time_ns)
            }
            FileLine::Ship => {
                let sent = self.answered_before(stream, std_stream, print, joined.start.stream_position);
                if let Some(time_ns) = sent.filter(|_| stream.file_time_ns == stream.last_time_ns) {
                    // It is the newest that went out: the next one does not go back behind it.
                    stream.last_time_ns = time_ns;
                }
                sent
            }
        };
        if stream.handover.is_searching() {
            self.tracker.ahead_to(stream.key, 0);
        }
        let Some(time_ns) = time_ns else { return true };
        stream.stream_position = joined.start.stream_position + print.advance();
        stream.file_time_ns = time_ns;
        if was_searching && !stream.handover.is_searching() {
            // It is known again where the next captured line stands: behind those that are pending.
            stream.ahead_position = stream.stream_position + stream.handover.pending().advance();
        }
        false
    }

    /// The time of a line that was shipped ahead and answered for before a restart.
    fn answered_before(
        &self,
        stream: &StreamState,
        std_stream: StdStream,
        print: Fingerprint,
        position: u64,
    ) -> Option<i64> {
        if position >= stream.answered_ahead {
            return None;
        }
        let ahead = self.recovered.ahead.get(&(stream.instance, std_stream, position))?;
        (ahead.hash == print.hash).then_some(ahead.time_ns)
    }

    /// A file was read to its end: its std streams may be able to go ahead.
    pub(in crate::pipeline) fn file_read(&mut self, key: InstanceKey, ready: &mut Ready) {
        if self.capture.tap.is_some() {
            ready.streams.iter_mut().for_each(|stream| stream.handover.file_read());
            self.capture.due.insert(key);
        }
    }

    /// Lets std streams go ahead that are captured from their first line on, before their files are looked at.
    pub(in crate::pipeline) fn go_from_start_where_due(&mut self, now: Now) {
        let due: Vec<InstanceKey> = self.capture.due.iter().copied().collect();
        for key in due {
            self.attempt(key, Attempt::FromStart, now);
        }
    }

    /// Lets std streams go ahead whose place in the file is certain.
    pub(in crate::pipeline) fn go_ahead_where_due(&mut self, now: Now) {
        for key in std::mem::take(&mut self.capture.due) {
            if self.source.backlog_of(key) == 0 {
                self.attempt(key, Attempt::Ahead, now);
            }
        }
    }

    /// Lets std streams go on alone whose file is at rest while lines were captured. To be called about every second.
    pub(in crate::pipeline) fn go_alone_where_due(&mut self, now: Now) {
        let is_pending = |ready: &Ready| ready.streams.iter().any(|stream| !stream.handover.pending().is_empty());
        let pending =
            self.containers.iter().filter(|(_, container)| container.ready.as_deref().is_some_and(is_pending));
        let mut keys: BTreeSet<InstanceKey> = pending.map(|(key, _)| *key).collect();
        keys.extend(self.capture.pipes.with_lines());
        for key in keys {
            if self.source.is_at_rest(key) {
                self.attempt(key, Attempt::Alone, now);
            }
        }
    }

    /// For each std stream of an instance and each pipe that may be it: where the attempt succeeds the pipe is bound, and
    /// what is in its window goes out.
    fn attempt(&mut self, key: InstanceKey, attempt: Attempt, now: Now) {
        let Some(mut ready) = self.containers.get_mut(&key).and_then(|container| container.ready.take()) else {
            return;
        };
        if self.may_ship_captured(key, &ready, now.wall_ns, now) {
            for std_stream in [StdStream::Stdout, StdStream::Stderr] {
                let Some(stream) = ready.streams.get_mut(std_stream.index()) else { continue };
                let is_waiting = attempt == Attempt::Ahead && now.mono < stream.try_at;
                let is_in_vain = attempt == Attempt::FromStart && !stream.handover.may_go_from_start();
                if stream.is_reread || is_waiting || is_in_vain {
                    continue;
                }
                let candidates = stream.pipe.map_or_else(|| self.capture.pipes.candidates(key), |pipe| vec![pipe]);
                if attempt == Attempt::Ahead {
                    stream.tries = (stream.tries + 1).min(TRIES_MAX);
                    stream.try_at = now.mono + (ALIGN_AGAIN_MIN * (1 << stream.tries)).min(ALIGN_AGAIN_MAX);
                }
                for cookie in candidates {
                    if self.begin_captured(key, &mut ready, std_stream, cookie, attempt, now) {
                        break;
                    }
                }
            }
        }
        if let Some(container) = self.containers.get_mut(&key) {
            container.ready = Some(ready);
        }
    }

    fn begin_captured(
        &mut self,
        key: InstanceKey,
        ready: &mut Ready,
        std_stream: StdStream,
        cookie: Cookie,
        attempt: Attempt,
        now: Now,
    ) -> bool {
        let Some(stream) = ready.streams.get_mut(std_stream.index()) else { return false };
        let Some(mut pipe) = self.capture.pipes.take(cookie, now) else { return false };
        let before = pipe.memory_bytes();
        let is_this_one = stream.pipe == Some(cookie) || pipe.is_certainly(std_stream);
        let was_ahead = stream.handover.takes_captured();
        let has_begun = match attempt {
            Attempt::FromStart => stream.handover.go_from_start(&mut pipe.window, is_this_one),
            Attempt::Ahead => stream.handover.go_ahead(&mut pipe.window, is_this_one),
            Attempt::Alone => stream.handover.go_alone(&mut pipe.window, is_this_one, now.wall_ns, now.mono),
            Attempt::Past(print, time_ns) => stream.handover.go_past(&mut pipe.window, is_this_one, print, time_ns),
        };
        if has_begun {
            tell(&self.metrics, stream.handover.take_counts());
            (stream.pipe, stream.tries) = (Some(cookie), 0);
            pipe.bound = Some((key, std_stream));
            if !was_ahead {
                stream.ahead_position = stream.stream_position;
            }
            while let Some(seen) = pipe.window.first() {
                if let Some(content) = pipe.window.first_content() {
                    self.ship(ready, std_stream, kept_record(seen, content), Line::Captured(seen));
                }
                pipe.window.drop_first();
            }
        }
        self.capture.bytes = (self.capture.bytes + pipe.memory_bytes()).saturating_sub(before);
        self.capture.pipes.put_back(cookie, pipe);
        has_begun
    }

    /// What the std streams did, into the metrics; and their memory.
    pub(in crate::pipeline) fn tell_handover(&mut self) {
        let mut bytes = 0;
        for ready in self.containers.values_mut().filter_map(|container| container.ready.as_mut()) {
            for stream in &mut ready.streams {
                tell(&self.metrics, stream.handover.take_counts());
                bytes += stream.handover.memory_bytes() + stream.confirmed.len() * size_of::<Sent>();
            }
        }
        self.capture.pending_bytes = bytes;
    }

    /// A std stream is let go: what its file has not shown is not confirmed any more.
    pub(in crate::pipeline) fn end_handover(&self, stream: &mut StreamState) {
        stream.handover.ended();
        tell(&self.metrics, stream.handover.take_counts());
    }

    /// Shares the memory for windows out among the pipes.
    pub(in crate::pipeline) fn share_capture_memory(&mut self) {
        let budget = usize::try_from(self.settings.memory_bytes_max / 8).unwrap_or(usize::MAX);
        self.capture.pipes.set_budget(budget);
    }
}

fn tell(metrics: &Metrics, counts: Counts) {
    metrics.confirmed_lines.add(counts.confirmed);
    metrics.unconfirmed_lines.add(counts.unconfirmed);
    metrics.mismatched_lines.add(counts.mismatched);
    metrics.dropped_bytes.add(DropReason::WindowFull, counts.forgotten_bytes);
    for (mode, why) in counts.changes {
        metrics.handover.add(&[mode.value(), why.as_str()], 1);
    }
}

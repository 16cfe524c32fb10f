//! What comes from the kernel: fragments become lines, and these go out ahead of the file or wait in a window.
//!
//! In: pipe events and fragments from the tap, the time. Out: lines on their way to `ship`. Never: a wait for a pipe.

mod pipes;
mod turn;

use super::Pipeline;
use super::containers::Ready;
use super::gate::Share;
use super::ship::Line;
use crate::framing::fragments::Captured;
use crate::framing::join::Joined;
use crate::handover::fingerprint::Fingerprint;
use crate::handover::why::Why;
use crate::handover::window::Seen;
use crate::limits::CAPTURED_BYTES_PER_TURN;
use crate::sources::ebpf::tap::{Counters, Tap};
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::types::capture::{Fragment, PipeEvent};
use crate::types::entry::Record;
use crate::types::position::StdStream;
use crate::types::time::{Now, wait_after};
use pipes::{PipeState, Pipes};
use std::collections::BTreeSet;
use std::time::Duration;

/// The most that the wall clock is slewed between two turns; more is a step.
const CLOCK_SLEWED_MAX_NS: u64 = 10_000_000;

/// The kernel's side of the pipeline.
#[derive(Debug)]
pub(super) struct Capture<T> {
    /// `None`: the log files alone.
    pub(super) tap: Option<T>,
    pub(super) pipes: Pipes,
    /// Container instances whose std streams may be able to go ahead.
    due: BTreeSet<InstanceKey>,
    events: Vec<PipeEvent>,
    /// Memory of the tap, bytes.
    pub(super) tap_bytes: usize,
    /// Memory of all windows and open lines, bytes.
    pub(super) bytes: usize,
    /// Of the std streams' lines that wait for the file, bytes, as of the last second.
    pub(super) pending_bytes: usize,
    told: Counters,
    /// When the ring, which gave something, is looked at again (monotonic).
    next_look: Option<Duration>,
    /// The wall clock less the monotonic one, nanoseconds, as of the last turn.
    clock_ns: i64,
}

impl<T: Tap> Capture<T> {
    pub(super) fn new(tap: Option<T>) -> Self {
        Self {
            tap_bytes: tap.as_ref().map_or(0, Tap::memory_bytes),
            tap,
            pipes: Pipes::default(),
            due: BTreeSet::new(),
            events: Vec::new(),
            bytes: 0,
            pending_bytes: 0,
            told: Counters::default(),
            next_look: None,
            clock_ns: 0,
        }
    }
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// Takes in what the kernel saw until now. True where there was anything.
    pub(super) fn drain_captured(&mut self, now: Now) -> bool {
        self.look_at_clock(now);
        let Some(mut tap) = self.capture.tap.take() else { return false };
        let mut events = std::mem::take(&mut self.capture.events);
        let (mut bytes, mut has_any, mut has_more) = (0, false, true);
        while has_more && bytes < CAPTURED_BYTES_PER_TURN {
            tap.events(&mut events);
            for event in events.drain(..) {
                self.take_pipe_event(event, now);
            }
            has_more = tap.drain(CAPTURED_BYTES_PER_TURN, &mut |fragment| {
                has_any = true;
                bytes += fragment.bytes.len();
                self.take_fragment(&fragment, now);
            });
        }
        self.capture.events = events;
        if has_any {
            self.capture.next_look = Some(now.mono + wait_after(self.settings.look_again, bytes));
            self.metrics.captured_bytes.add(bytes as u64);
        }
        if !has_more {
            self.end_gone_pipes(now);
        }
        self.capture.tap = Some(tap);
        has_any
    }

    /// The times of the two witnesses are compared only while the wall clock goes on: after a step the lines that wait
    /// for their place are left to the file.
    fn look_at_clock(&mut self, now: Now) {
        let clock_ns = now.wall_ns.saturating_sub(i64::try_from(now.mono.as_nanos()).unwrap_or(i64::MAX));
        let before = std::mem::replace(&mut self.capture.clock_ns, clock_ns);
        if clock_ns.abs_diff(before) <= CLOCK_SLEWED_MAX_NS {
            return;
        }
        self.capture.bytes = self.capture.bytes.saturating_sub(self.capture.pipes.clear_windows());
        let ready = self.containers.values_mut().filter_map(|container| container.ready.as_mut());
        ready.flat_map(|ready| &mut ready.streams).for_each(|stream| stream.handover.clock_stepped());
    }

    fn take_fragment(&mut self, fragment: &Fragment<'_>, now: Now) {
        let Some(mut pipe) = self.capture.pipes.take(fragment.cookie, now) else { return };
        let before = pipe.memory_bytes();
        let bound = pipe.bound.filter(|(key, _)| self.containers.contains_key(key));
        let mut ready = bound.and_then(|(key, _)| self.containers.get_mut(&key)?.ready.take());
        if let (Some((key, std_stream)), Some(ready)) = (bound, &mut ready)
            && !self.may_ship_captured(key, ready, fragment.read_ns, now)
        {
            hold(ready, std_stream);
        }
        let mut lines = std::mem::take(&mut pipe.lines);
        lines.take(fragment, &mut |captured| {
            let target = bound.zip(ready.as_mut()).map(|((_, std_stream), ready)| (&mut **ready, std_stream));
            match captured {
                Captured::First => pipe.window.begin(),
                Captured::Gap => lose(&mut pipe, target, Why::Gap),
                Captured::Line(joined) => self.take_captured(&mut pipe, target, &joined, fragment),
            }
        });
        pipe.lines = lines;
        let bytes_max = self.capture.pipes.window_bytes;
        if self.capture.bytes > self.capture.pipes.bytes_max && pipe.lines.let_go(bytes_max) {
            let target = bound.zip(ready.as_mut()).map(|((_, std_stream), ready)| (&mut **ready, std_stream));
            lose(&mut pipe, target, Why::Held);
        }
        if let (Some((key, _)), Some(ready)) = (bound, ready)
            && let Some(container) = self.containers.get_mut(&key)
        {
            container.ready = Some(ready);
        }
        self.capture.bytes = (self.capture.bytes + pipe.memory_bytes()).saturating_sub(before);
        if !pipe.window.is_empty() {
            self.capture.due.extend(pipe.instances());
        }
        self.capture.pipes.put_back(fragment.cookie, pipe);
    }

    fn take_captured(
        &mut self,
        pipe: &mut PipeState,
        target: Option<(&mut Ready, StdStream)>,
        joined: &Joined<'_>,
        fragment: &Fragment<'_>,
    ) {
        let record = joined.record;
        let seen = Seen { print: Fingerprint::of(&record), read_ns: record.time_ns, written_ns: fragment.written_ns };
        if let Some((ready, std_stream)) = target
            && ready.streams.get(std_stream.index()).is_some_and(|stream| stream.handover.takes_captured())
        {
            self.ship(ready, std_stream, record, Line::Captured(seen));
            return;
        }
        pipe.window.push(seen, record.content, self.capture.pipes.window_bytes);
    }

    /// Whether captured lines of a container may go out now: there is room, and the others of its label set are not
    /// far behind.
    pub(super) fn may_ship_captured(&self, key: InstanceKey, ready: &Ready, read_ns: i64, now: Now) -> bool {
        let own = ready.label_sets.iter().flatten().map(|id| self.batch.waiting_bytes_of(*id)).sum();
        let share = if own == 0 { Share::All } else { Share::Common };
        !self.is_stopping && self.gate().is_open(own, share) && !self.is_beyond_limit(key, ready, read_ns, now)
    }

    /// The ring had nothing: it calls when it has something.
    pub(super) fn capture_rests(&mut self) {
        self.capture.next_look = None;
    }

    /// What the kernel counted, into the metrics; and whether it lost bytes since the last look.
    pub(super) fn tell_capture(&mut self, now: Now) {
        let Some(tap) = &mut self.capture.tap else { return };
        let (counters, words) = (tap.counters(), tap.take_words());
        for text in words {
            let kind = text.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
            self.report(format!("kernel program {kind}"), &format!("kernel program: {text}"), now);
        }
        let lost = counters.lost_bytes.saturating_sub(self.capture.told.lost_bytes);
        self.metrics.captured_bytes.add(lost);
        self.metrics.capture_lost_bytes.add(lost);
        self.capture.told = counters;
    }

    /// When the ring is to be looked at although it does not call: shortly after it had something, so that a busy one
    /// need not call for every record.
    pub(super) fn capture_deadline(&self) -> Duration {
        self.capture.next_look.unwrap_or(Duration::MAX)
    }

    /// Whether the ring calls when it has something; a busy one is looked at when its time has come instead.
    #[must_use]
    pub fn is_ring_quiet(&self) -> bool {
        self.capture.next_look.is_none()
    }

    /// The kernel source, to sleep on.
    #[must_use]
    pub fn tap(&self) -> Option<&T> {
        self.capture.tap.as_ref()
    }
}

/// Captured lines must not go out now: the file has them.
fn hold(ready: &mut Ready, std_stream: StdStream) {
    if let Some(stream) = ready.streams.get_mut(std_stream.index())
        && stream.handover.takes_captured()
    {
        stream.handover.fall_back(Why::Held);
    }
}

/// Bytes of a pipe are missing: what is open is not shipped from the capture.
pub(super) fn lose(pipe: &mut PipeState, target: Option<(&mut Ready, StdStream)>, why: Why) {
    pipe.window.clear();
    if let Some((ready, std_stream)) = target
        && let Some(stream) = ready.streams.get_mut(std_stream.index())
    {
        stream.handover.lost_captured(why);
    }
}

/// A captured line whose bytes were kept.
pub(super) fn kept_record(seen: Seen, content: &[u8]) -> Record<'_> {
    Record { content, full_bytes: seen.print.bytes, time_ns: seen.read_ns }
}

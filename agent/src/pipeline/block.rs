//! One block of a log file: its lines go to their std streams, complete ones on to `ship`.

use super::Pipeline;
use super::containers::Ready;
use super::ship::Line;
use crate::framing::join::Joiner;
use crate::framing::split::{BlockEnd, MidLine, Piece, split};
use crate::metrics::label::DropReason;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::types::position::{FileId, FilePosition, Mark, StdStream};
use crate::types::time::Now;

/// A line whose bytes were let go.
#[derive(Clone, Copy)]
struct LetGo {
    std_stream: StdStream,
    from: FilePosition,
    bytes: u64,
}

/// What became of a piece.
enum Taken {
    /// It is dealt with.
    Yes,
    /// It completes a line whose bytes were let go: they are to be read again.
    ReadAgain(LetGo),
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// Takes the lines of `block`, which begins at `at`, as far as they are whole and may be sent now.
    pub(super) fn take_block(&mut self, key: InstanceKey, at: FilePosition, block: &[u8], end: BlockEnd, now: Now) {
        let Some(mut ready) = self.containers.get_mut(&key).and_then(|container| container.ready.take()) else {
            return;
        };
        let mut limit_ns = self.sure_catch_up_limit(key, &ready, now);
        let mut scratch = std::mem::take(&mut self.scratch);
        self.note_file(key, &mut ready, at);
        let (mut consumed, mut again, mut next_ns) = (0, None, None);
        ready.looked_at = Some(now.mono);
        while let Some(piece) = split(block.get(consumed..).unwrap_or_default(), end, ready.mid_line, &mut scratch) {
            let start = FilePosition { file: at.file, offset: at.offset + consumed as u64 };
            if ready.mid_line.is_none() && piece.line.time_ns.is_some_and(|time| time > limit_ns) {
                limit_ns = self.catch_up_limit(key, &ready, now);
                next_ns = piece.line.time_ns.filter(|time| *time > limit_ns);
                if next_ns.is_some() {
                    break;
                }
            }
            let line_start = if ready.mid_line.is_some() { ready.mid_start } else { start };
            match self.take_piece(key, &mut ready, &piece, line_start, now) {
                Taken::Yes => {}
                Taken::ReadAgain(line) => {
                    again = Some((line, start));
                    break;
                }
            }
            consumed += piece.consumed;
            ready.mid_line = piece.mid_line;
            ready.mid_start = line_start;
        }
        self.scratch = scratch;
        let read_to = FilePosition { file: at.file, offset: at.offset + consumed as u64 };
        self.source.consumed(key, consumed, ready.mid_line.is_some());
        if let Some((line, until)) = again {
            self.read_again(key, &mut ready, line, until);
        }
        self.move_marks(&ready, read_to);
        if end == BlockEnd::Open && next_ns.is_none() && again.is_none() {
            self.file_read(key, &mut ready);
        }
        let last_ns = ready.streams.iter().map(|stream| stream.last_time_ns).max();
        ready.next_ns = next_ns.or_else(|| last_ns.filter(|_| self.source.backlog_of(key) > 0));
        if let Some(container) = self.containers.get_mut(&key) {
            container.ready = Some(ready);
        }
    }

    /// A file of an earlier run: up to where its records were handed to the sender then.
    fn note_file(&mut self, key: InstanceKey, ready: &mut Ready, at: FilePosition) {
        if ready.file_seen == Some(at.file) {
            return;
        }
        ready.file_seen = Some(at.file);
        if self.recovered.sent.is_empty() {
            return;
        }
        let Some(id) = self.source.file_id(key, at.file) else { return };
        for std_stream in [StdStream::Stdout, StdStream::Stderr] {
            let Some(stream) = ready.streams.get_mut(std_stream.index()) else { continue };
            let of_stream = |(file, owner, _): &(FileId, StdStream, u64)| *file == id && *owner == std_stream;
            let ranges = self.recovered.sent.iter().filter(|(key, _)| of_stream(key)).flat_map(|(_, ranges)| ranges);
            if let Some(offset) = ranges.map(|offsets| *offsets.end()).max() {
                stream.resend_until = Some(FilePosition { file: at.file, offset });
            }
        }
    }

    fn take_piece(
        &mut self,
        key: InstanceKey,
        ready: &mut Ready,
        piece: &Piece<'_>,
        line_start: FilePosition,
        now: Now,
    ) -> Taken {
        let Some(stream) = ready.streams.get_mut(piece.line.std_stream.index()) else { return Taken::Yes };
        if line_start < stream.skip_until {
            return Taken::Yes;
        }
        if piece.hole_bytes > 0 {
            self.metrics.dropped_bytes.add(DropReason::Hole, piece.hole_bytes as u64);
        }
        if piece.is_hole() {
            return Taken::Yes;
        }
        if !piece.is_well_formed() && piece.is_end {
            self.metrics.malformed_lines.add(1);
        }
        let last_time_ns = stream.last_time_ns;
        let time_ns = piece.line.time_ns.unwrap_or(if last_time_ns == 0 { now.wall_ns } else { last_time_ns });
        let mark = stream.mark(line_start);
        if !piece.is_well_formed() && piece.is_end && ready.mid_line.is_none() {
            // No part of an open line, as nobody knows whose it is; but read again together with that.
            let at = stream.joiner.open_start().map_or(mark.at, |open| open.at);
            let joined = Joiner::whole(piece.content, Mark { at, ..mark }, time_ns);
            let from = Line::File { start: joined.start, has_prefix: false };
            self.ship(ready, piece.line.std_stream, joined.record, from);
            return Taken::Yes;
        }
        let held_before = stream.joiner.memory_bytes();
        if !piece.is_end {
            stream.joiner.push(piece.content, mark, time_ns);
            self.open_bytes = self.open_bytes + stream.joiner.memory_bytes() - held_before;
            return Taken::Yes;
        }
        self.open_bytes -= held_before;
        let mut joiner;
        let joined = if stream.joiner.open_start().is_some() {
            joiner = std::mem::take(&mut stream.joiner);
            joiner.finish(piece.content, mark, time_ns)
        } else {
            Joiner::whole(piece.content, mark, time_ns)
        };
        let taken = if joined.was_let_go && !stream.is_reread {
            let bytes = joined.record.full_bytes;
            Taken::ReadAgain(LetGo { std_stream: piece.line.std_stream, from: joined.start.at, bytes })
        } else {
            let (std_stream, has_prefix) = (piece.line.std_stream, piece.is_well_formed());
            if !has_prefix || self.is_to_be_shipped(key, ready, std_stream, &joined, now) {
                self.ship(ready, std_stream, joined.record, Line::File { start: joined.start, has_prefix });
            }
            Taken::Yes
        };
        if let Some(stream) = ready.streams.get_mut(piece.line.std_stream.index()) {
            stream.is_reread = false;
        }
        taken
    }

    /// Goes back to a line that was let go, of which the end is at `until`. What the other std stream had since then
    /// is skipped. Where the file is not held any more, the line is lost but for its last part.
    /// True where the file is held.
    fn read_again(&mut self, key: InstanceKey, ready: &mut Ready, line: LetGo, until: FilePosition) -> bool {
        let is_held = self.source.rewind(key, line.from);
        if !is_held {
            self.metrics.dropped_bytes.add(DropReason::Unreadable, line.bytes);
        }
        for std_stream in [StdStream::Stdout, StdStream::Stderr] {
            let Some(stream) = ready.streams.get_mut(std_stream.index()) else { continue };
            let is_own = std_stream == line.std_stream;
            stream.is_reread |= is_own;
            if is_own && is_held {
                // Also where another line was read again meanwhile: nothing from here on was dealt with.
                stream.joiner.forget();
                stream.skip_until = line.from;
            } else {
                stream.skip_until = stream.skip_until.max(until);
            }
        }
        ready.mid_line = None;
        ready.file_seen = None;
        is_held
    }

    fn move_marks(&mut self, ready: &Ready, read_to: FilePosition) {
        for stream in &ready.streams {
            if stream.is_reread && stream.joiner.open_start().is_none() {
                // The line is not open now, but will be: its mark stays.
                continue;
            }
            let here = stream.mark(read_to.max(stream.skip_until));
            self.tracker.read_to(stream.key, stream.joiner.open_start().unwrap_or(here));
        }
    }

    /// The file ends: a physical line that it broke off is complete. With `is_cut` bytes are missing before the next
    /// one, and the open lines go as they are.
    pub(super) fn file_ended(&mut self, key: InstanceKey, is_cut: bool, now: Now) {
        if is_cut {
            return self.instance_ended(key, now);
        }
        let Some(mut ready) = self.containers.get_mut(&key).and_then(|container| container.ready.take()) else {
            return;
        };
        if let Some(MidLine { std_stream, is_partial: false, .. }) = ready.mid_line.take() {
            self.ship_open(&mut ready, std_stream);
        }
        let read_to = self.source.position(key);
        self.move_marks(&ready, read_to);
        if let Some(container) = self.containers.get_mut(&key) {
            container.ready = Some(ready);
        }
        self.saving.touch(now);
    }

    /// Nothing follows on what is open: it goes as it is.
    pub(super) fn instance_ended(&mut self, key: InstanceKey, now: Now) {
        let Some(mut ready) = self.containers.get_mut(&key).and_then(|container| container.ready.take()) else {
            return;
        };
        let read_to = self.source.position(key);
        if let Some(line) = let_go_line(&ready) {
            // Once more, with its bytes; the end is told again then.
            if self.read_again(key, &mut ready, line, read_to) {
                if let Some(container) = self.containers.get_mut(&key) {
                    container.ready = Some(ready);
                }
                return;
            }
        }
        ready.mid_line = None;
        for std_stream in [StdStream::Stdout, StdStream::Stderr] {
            self.ship_open(&mut ready, std_stream);
        }
        ready.streams.iter_mut().for_each(|stream| stream.handover.ended());
        self.move_marks(&ready, read_to);
        ready.next_ns = None;
        if let Some(container) = self.containers.get_mut(&key) {
            container.ready = Some(ready);
        }
        self.saving.touch(now);
    }

    fn ship_open(&mut self, ready: &mut Ready, std_stream: StdStream) {
        let Some(stream) = ready.streams.get_mut(std_stream.index()) else { return };
        self.open_bytes -= stream.joiner.memory_bytes();
        let mut joiner = std::mem::take(&mut stream.joiner);
        if let Some(joined) = joiner.finish_open() {
            self.ship(ready, std_stream, joined.record, Line::File { start: joined.start, has_prefix: true });
        }
        if let Some(stream) = ready.streams.get_mut(std_stream.index()) {
            stream.is_reread = false;
        }
    }
}

/// An open line whose bytes were let go and that is not being read again.
fn let_go_line(ready: &Ready) -> Option<LetGo> {
    [StdStream::Stdout, StdStream::Stderr].into_iter().find_map(|std_stream| {
        let stream = ready.streams.get(std_stream.index()).filter(|stream| !stream.is_reread)?;
        let (start, bytes) = stream.joiner.let_go_line()?;
        Some(LetGo { std_stream, from: start.at, bytes })
    })
}

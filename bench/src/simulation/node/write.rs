//! What a container writes, and how its runtime puts it into the file: whole lines, parts, lines held back, NUL holes.
//!
//! In: draws of the seed. Out: bytes in the live file, and where each line begins and ends, in the books.

use super::{Format, Node, Pending};
use std::time::Duration;

impl Node {
    /// Writes some: a line, a part of one, or what was held back.
    pub(in crate::simulation) fn write(&mut self, at: usize, now: Duration) {
        if self.containers[at].live.is_none() || now < self.containers[at].quiet_until {
            return;
        }
        for _ in 0..self.random.usize(1..6) {
            let std_stream = usize::from(self.random.u8(..4) == 0);
            if self.containers[at].pending[std_stream].is_none() {
                self.begin_line(at, std_stream);
            }
            if self.is_steady {
                self.emit(at, std_stream, true);
                continue;
            }
            let parts = self.random.usize(1..4);
            for _ in 0..parts {
                self.emit(at, std_stream, false);
            }
        }
        if !self.lag_max.is_zero() {
            let lag = Duration::from_micros(self.random.u64(..=self.lag_max.as_micros() as u64));
            self.containers[at].write_at.get_or_insert(now + lag);
            return;
        }
        self.containers[at].write_at = Some(now);
        self.flush_due(now);
    }

    /// The runtime writes what it has read a while ago.
    pub(in crate::simulation) fn flush_due(&mut self, now: Duration) {
        for at in 0..self.containers.len() {
            if self.containers[at].write_at.is_some_and(|due| due <= now) {
                self.containers[at].write_at = None;
                let unwritten = self.containers[at].unwritten.len();
                let holds_some = self.holds_back && self.random.u8(..3) == 0;
                let bytes = if holds_some { self.random.usize(0..=unwritten) } else { unwritten };
                self.flush(at, bytes);
            }
        }
    }

    /// Writes one line, whole.
    pub(in crate::simulation) fn write_line(&mut self, at: usize) {
        if self.containers[at].live.is_none() {
            return;
        }
        (self.poison_share, self.line_bytes_max) = (0.0, 20);
        self.begin_line(at, 0);
        self.emit(at, 0, true);
        let bytes = self.containers[at].unwritten.len();
        self.flush(at, bytes);
    }

    fn begin_line(&mut self, at: usize, std_stream: usize) {
        let number = self.book.lines.len();
        let (stream, is_json) = (self.containers[at].streams[std_stream], self.containers[at].is_json);
        let is_tick = self.random.f64() < self.tick_share;
        let filler = match self.random.u8(..40) {
            0 => 300_000.min(self.line_bytes_max * 40),
            1 => self.line_bytes_max * 10,
            _ => self.random.usize(0..self.line_bytes_max),
        };
        let text = if is_tick {
            self.containers[at].tick.clone()
        } else if is_json {
            let level = ["info", "warn", "error"][self.random.usize(..3)];
            let own = humantime_like(self.wall_ns - self.random.i64(0..2_000_000_000));
            let filler = "x".repeat(filler.min(3_000));
            format!(r##"{{"id":"#{number}#","level":"{level}","timestamp":"{own}","message":"{filler}"}}"##)
                .into_bytes()
        } else {
            let poison = if self.random.f64() < self.poison_share { " POISON" } else { "" };
            let mut text = format!("line #{number}#{poison} ").into_bytes();
            text.extend((0..filler).map(|place| b'a' + (place % 23) as u8));
            text
        };
        let mut rest = text.clone();
        rest.resize(rest.len() + [0, 0, 0, 0, 0, 1, 2][self.random.usize(..7)], b'\r');
        let line = self.book.begin(stream, text, is_tick);
        self.containers[at].pending[std_stream] = Some(Pending { line, rest });
    }

    /// Writes the next part of the pending line; `is_all`: the whole rest, and its end.
    pub(super) fn emit(&mut self, at: usize, std_stream: usize, is_all: bool) {
        let odd = self.random.f64() < self.odd_share;
        let cut = self.random.u8(..3) == 0;
        let Some(pending) = &mut self.containers[at].pending[std_stream] else { return };
        let length = pending.rest.len();
        let bytes = if is_all || length == 0 || (!cut && length < 16_384) {
            length
        } else {
            self.random.usize(1..length.max(2))
        };
        let bytes = bytes.min(16_384);
        let content: Vec<u8> = pending.rest.drain(..bytes).collect();
        let is_last = pending.rest.is_empty() && (is_all || !cut || bytes == length);
        let line = pending.line;
        if is_last {
            self.containers[at].pending[std_stream] = None;
        }
        if odd && std_stream == 0 && self.containers[at].pending[0].is_none() && is_last {
            self.hole(at);
        }
        let physical = self.physical(at, std_stream, &content, is_last);
        if self.containers[at].live.is_some() {
            self.leave_pipe(at, std_stream, &content, is_last);
        }
        let container = &mut self.containers[at];
        if let Some(live) = &container.live {
            let written = self.fs.borrow().node(live.inode).map_or(0, |node| node.bytes.len());
            self.book.part(line, std_stream, live.file, (written + container.unwritten.len()) as u64, is_last);
            container.unwritten.extend_from_slice(&physical);
        }
        if is_all && !is_last {
            self.emit(at, std_stream, true);
        }
    }

    /// The runtime reads these bytes out of a pipe.
    pub(super) fn leave_pipe(&mut self, at: usize, std_stream: usize, content: &[u8], is_last: bool) {
        let mut bytes = content.to_vec();
        bytes.extend(is_last.then_some(b'\n'));
        let pipe = self.containers[at].pipes[std_stream];
        self.kernel.borrow_mut().left(pipe, &bytes, self.wall_ns);
    }

    /// NUL bytes, as a crash of a node leaves them.
    fn hole(&mut self, at: usize) {
        let nuls = self.random.usize(1..40);
        let unwritten = self.containers[at].unwritten.len();
        if unwritten == 0 && self.containers[at].format == Format::Cri {
            self.containers[at].unwritten.resize(nuls, 0);
        }
    }

    pub(super) fn physical(&mut self, at: usize, std_stream: usize, content: &[u8], is_last: bool) -> Vec<u8> {
        // A runtime takes the time after it has read; and no two files begin at the same nanosecond.
        let coarse_ns = (self.wall_ns + self.stamp_ns - 1) / self.stamp_ns * self.stamp_ns;
        let file = self.containers[at].live.as_ref().map_or(0, |live| live.file);
        let time = humantime_like(coarse_ns + i64::try_from(file).unwrap_or(0));
        let name = ["stdout", "stderr"][std_stream];
        match self.containers[at].format {
            Format::Cri => {
                let mut line = format!("{time} {name} {} ", if is_last { 'F' } else { 'P' }).into_bytes();
                line.extend_from_slice(content);
                line.push(b'\n');
                line
            }
            Format::Docker => {
                let mut log = String::from_utf8_lossy(content).into_owned();
                if is_last {
                    log.push('\n');
                }
                format!("{}\n", serde_json::json!({ "log": log, "stream": name, "time": time })).into_bytes()
            }
        }
    }

    pub(super) fn flush(&mut self, at: usize, bytes: usize) {
        let container = &mut self.containers[at];
        let Some(live) = &container.live else { return };
        let written: Vec<u8> = container.unwritten.drain(..bytes).collect();
        if written.is_empty() {
            return;
        }
        let mut fs = self.fs.borrow_mut();
        fs.append(live.inode, &written);
        if let Some(node) = fs.node(live.inode) {
            self.book.learn_id(live.file, &node.bytes);
        }
    }
}

/// RFC 3339 with nine digits, trailing zeros cut as containerd does.
fn humantime_like(time_ns: i64) -> String {
    let since = Duration::from_nanos(u64::try_from(time_ns).unwrap_or(0));
    let text = humantime::format_rfc3339_nanos(std::time::UNIX_EPOCH + since).to_string();
    let text = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{text}Z")
}

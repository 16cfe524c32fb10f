//! What a container writes, cut into the lines of its log file.
//!
//! In: the bytes of one std stream, as they leave the pipe. Out: finished file lines, one at a time, so that
//! each is one write. Never: a file, a clock of its own.
//!
//! The rules were read off containerd 1.6 (`ioutil/logger`, `pkg/cri/io/logger.go`), docker's `Copier` with
//! its json-file driver, and conmon's `ctr_logging.c`.

use super::stamp::Stamp;
use std::io;

/// Bytes of content in one part of a long line (containerd's `max_container_log_line_size`, docker's buffer).
pub const PART_BYTES: usize = 16_384;

/// One of the two outputs of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StdStream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl StdStream {
    /// As it stands in log files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Whose log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Format {
    /// CRI lines; `P` after 16,384 bytes; one `\r` before the newline is dropped; the half line is flushed as
    /// `P` when the file is closed.
    Containerd,
    /// CRI lines; what is at the end of a buffer without a newline goes as `P` at once; every line of one
    /// buffer has the same time; `\r` is kept.
    Conmon,
    /// One JSON object a line; long lines in pieces of 16 KiB without `\n`; `\r` is kept.
    DockerJson,
}

impl Format {
    /// Bytes that this runtime reads from a pipe at once.
    #[must_use]
    pub fn read_bytes(self) -> usize {
        match self {
            Self::Containerd => 32 * 1024,
            Self::Conmon => 8_192,
            Self::DockerJson => PART_BYTES,
        }
    }
}

/// The line that is open, and how lines are written.
#[derive(Debug)]
pub struct Framer {
    format: Format,
    std_stream: StdStream,
    open: Vec<u8>,
    stamp: Stamp,
    out: Vec<u8>,
}

impl Framer {
    /// Nothing is open.
    #[must_use]
    pub fn new(format: Format, std_stream: StdStream) -> Self {
        Self { format, std_stream, open: Vec::new(), stamp: Stamp::default(), out: Vec::new() }
    }

    /// Takes what one read gave. `now` is asked when a line is written, `write` gets one whole file line.
    ///
    /// # Errors
    /// Those of `write`; the lines after it are then missing.
    pub fn feed(
        &mut self,
        chunk: &[u8],
        now: &mut impl FnMut() -> i64,
        write: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let one_time = (self.format == Format::Conmon).then(&mut *now);
        let mut rest = chunk;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = (&rest[..at], &rest[at + 1..]);
            rest = after;
            let open = std::mem::take(&mut self.open);
            if open.is_empty() {
                self.end_line(line, one_time, now, write)?;
            } else {
                let mut whole = open;
                whole.extend_from_slice(line);
                self.end_line(&whole, one_time, now, write)?;
                whole.clear();
                self.open = whole;
            }
        }
        self.open.extend_from_slice(rest);
        match one_time {
            Some(time) if !self.open.is_empty() => {
                let open = std::mem::take(&mut self.open);
                self.part(&open, b'P', time, write)
            }
            _ => self.long_parts(now, write),
        }
    }

    /// The pipe's end, or the end of a file that was renamed: what is open is written as the runtime does it.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn close(&mut self, now: i64, write: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let open = std::mem::take(&mut self.open);
        if open.is_empty() { Ok(()) } else { self.part(&open, b'P', now, write) }
    }

    /// A framer for the next file; what is open stays with `self`, for the old one, where the runtime leaves it
    /// there, and moves on otherwise.
    #[must_use]
    pub fn reopened(&mut self) -> Self {
        let mut next = Self::new(self.format, self.std_stream);
        if self.format == Format::DockerJson {
            std::mem::swap(&mut next.open, &mut self.open);
        }
        next
    }

    fn end_line(
        &mut self,
        line: &[u8],
        one_time: Option<i64>,
        now: &mut impl FnMut() -> i64,
        write: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut line = line;
        if self.format == Format::Containerd {
            line = line.strip_suffix(b"\r").unwrap_or(line);
        }
        while self.format != Format::Conmon && line.len() > PART_BYTES {
            let time = now();
            self.part(&line[..PART_BYTES], b'P', time, write)?;
            line = &line[PART_BYTES..];
        }
        let time = one_time.unwrap_or_else(now);
        self.part(line, b'F', time, write)
    }

    /// Parts of an open line that can be written although its end is not known. A `\r` at the end of what came
    /// may belong to the newline and does not count yet.
    fn long_parts(
        &mut self,
        now: &mut impl FnMut() -> i64,
        write: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut open = std::mem::take(&mut self.open);
        let counted = open.strip_suffix(b"\r").map_or(open.len(), <[u8]>::len);
        let mut done = 0;
        while counted - done > PART_BYTES {
            let time = now();
            self.part(&open[done..done + PART_BYTES], b'P', time, write)?;
            done += PART_BYTES;
        }
        open.drain(..done);
        self.open = open;
        Ok(())
    }

    fn part(
        &mut self,
        content: &[u8],
        tag: u8,
        time: i64,
        write: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        if self.format == Format::DockerJson {
            out.extend_from_slice(b"{\"log\":\"");
            docker_string(content, &mut out);
            out.extend_from_slice(if tag == b'F' { b"\\n\",\"stream\":\"" } else { b"\",\"stream\":\"" });
            out.extend_from_slice(self.std_stream.name().as_bytes());
            out.extend_from_slice(b"\",\"time\":\"");
            self.stamp.write(time, &mut out);
            out.extend_from_slice(b"\"}\n");
        } else {
            self.stamp.write(time, &mut out);
            out.push(b' ');
            out.extend_from_slice(self.std_stream.name().as_bytes());
            out.extend_from_slice(&[b' ', tag, b' ']);
            out.extend_from_slice(content);
            out.push(b'\n');
        }
        let result = write(&out);
        self.out = out;
        result
    }
}

/// As docker's encoder writes a string: HTML characters and U+2028/9 escaped, one U+FFFD per invalid byte.
fn docker_string(content: &[u8], out: &mut Vec<u8>) {
    for chunk in content.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes());
                }
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All file lines that the chunks give, times counted up from 1 s by a nanosecond a line.
    fn lines(format: Format, chunks: &[&[u8]]) -> Vec<String> {
        let mut framer = Framer::new(format, StdStream::Stdout);
        let mut out = Vec::new();
        let mut time = 1_000_000_000;
        let mut now = || {
            time += 1;
            time
        };
        let mut write = |line: &[u8]| {
            out.push(String::from_utf8_lossy(line).trim_end_matches('\n').to_string());
            Ok(())
        };
        for chunk in chunks {
            framer.feed(chunk, &mut now, &mut write).unwrap();
        }
        framer.close(now(), &mut write).unwrap();
        out
    }

    /// Tag and content, without times.
    fn contents(format: Format, chunks: &[&[u8]]) -> Vec<(String, String)> {
        lines(format, chunks)
            .iter()
            .map(|line| {
                let mut parts = line.splitn(4, ' ').skip(2);
                (parts.next().unwrap().to_string(), parts.next().unwrap().to_string())
            })
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(a, b)| ((*a).to_string(), (*b).to_string())).collect()
    }

    #[test]
    fn containerd_writes_one_line_per_newline() {
        let seen = lines(Format::Containerd, &[b"a\nb", b"c\n\n"]);
        let time = |n: u32| format!("1970-01-01T00:00:01.00000000{n}Z stdout F ");
        assert_eq!(seen, [time(1) + "a", time(2) + "bc", time(3)]);
    }

    #[test]
    fn containerd_drops_one_carriage_return_also_across_reads() {
        let seen = contents(Format::Containerd, &[b"a\r\n", b"b\r", b"\n", b"c\r\r\n", b"d\re\n"]);
        assert_eq!(seen, pairs(&[("F", "a"), ("F", "b"), ("F", "c\r"), ("F", "d\re")]));
    }

    #[test]
    fn containerd_cuts_after_16384_and_not_at_16384() {
        let exact = "x".repeat(PART_BYTES);
        let line = format!("{exact}\r\n{exact}y\n{exact}{exact}\n");
        let seen = contents(Format::Containerd, &[line.as_bytes()]);
        assert_eq!(seen, pairs(&[("F", &exact), ("P", &exact), ("F", "y"), ("P", &exact), ("F", &exact)]));
    }

    #[test]
    fn containerd_flushes_the_half_line_as_a_part() {
        assert_eq!(contents(Format::Containerd, &[b"whole\nhalf"]), pairs(&[("F", "whole"), ("P", "half")]));
    }

    #[test]
    fn conmon_gives_a_buffer_one_time_and_its_rest_a_part() {
        let seen = lines(Format::Conmon, &[b"a\nb\nha", b"lf\n"]);
        let time = |n: u32| format!("1970-01-01T00:00:01.00000000{n}Z stdout ");
        assert_eq!(seen, [time(1) + "F a", time(1) + "F b", time(1) + "P ha", time(2) + "F lf"]);
    }

    #[test]
    fn docker_keeps_the_newline_in_the_json_of_whole_lines_alone() {
        let seen = lines(Format::DockerJson, &["a<\"\u{7f}\\\u{2028}\r\n".as_bytes(), b"\xffha", b"lf"]);
        assert_eq!(
            seen,
            [
                "{\"log\":\"a\\u003c\\\"\u{7f}\\\\\\u2028\\r\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01.000000001Z\"}",
                "{\"log\":\"\\ufffdhalf\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01.000000002Z\"}",
            ]
        );
    }

    #[test]
    fn at_a_rotation_docker_keeps_the_half_line_and_containerd_leaves_it_behind() {
        for (format, moves) in [(Format::DockerJson, true), (Format::Containerd, false)] {
            let mut old = Framer::new(format, StdStream::Stderr);
            old.feed(b"half", &mut || 1, &mut |_| Ok(())).unwrap();
            let next = old.reopened();
            assert_eq!((old.open.is_empty(), next.open.is_empty()), (moves, !moves));
        }
    }

    proptest! {
        /// However the reads fall, the content of containerd's file is what was written, less one `\r` a line.
        #[test]
        fn containerd_content_does_not_depend_on_the_cuts(
            lines in prop::collection::vec(("[ab\r]{0,6}", 0usize..40_000), 0..6),
            cuts in prop::collection::vec(1usize..20_000, 1..20),
        ) {
            let mut whole = String::new();
            let mut expected = String::new();
            for (head, fill) in &lines {
                let line = format!("{head}{}", "z".repeat(*fill));
                whole.push_str(&format!("{line}\n"));
                expected.push_str(&format!("{}\n", line.strip_suffix('\r').unwrap_or(&line)));
            }
            let mut rest = whole.as_bytes();
            let mut chunks = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (a, b) = rest.split_at((*cut).min(rest.len()));
                chunks.push(a);
                rest = b;
            }
            let mut seen = String::new();
            for (tag, content) in contents(Format::Containerd, &chunks) {
                prop_assert!(tag == "F" || content.len() == PART_BYTES);
                seen.push_str(&content);
                if tag == "F" { seen.push('\n'); }
            }
            prop_assert_eq!(seen, expected);
        }
    }
}

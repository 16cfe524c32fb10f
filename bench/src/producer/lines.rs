//! Seeded lines as the programs of an inference cluster write them, each with a number of its own.
//!
//! In: kind, seed, the time. Out: a line with its newline, and the hash of the line as Loki should have it
//! (`msg` and `time` renamed). Never: two equal lines.

use crate::ledger::line_hash;
use crate::runtime::stamp::Stamp;
use std::io::Write;

/// Bytes added to a line that is to be longer than one part of the runtime (16 KiB).
pub const LONG_FILLER_BYTES: usize = 40_000;

/// What every line of Heimdall says, and none of the others.
pub const HEIMDALL_SAYS: &str = "endpoint picked";

/// Which program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Kind {
    /// `AIGateway` (Rust tracing, JSON): timestamp, level in capitals, target, message, `request_id`, `trace_id`.
    Aigateway,
    /// Heimdall (Go slog, JSON): time, level, msg.
    Heimdall,
    /// vLLM (Python logging and uvicorn, text).
    Vllm,
}

impl Kind {
    /// As on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aigateway => "aigateway",
            Self::Heimdall => "heimdall",
            Self::Vllm => "vllm",
        }
    }
}

/// Makes the lines of one std stream.
#[derive(Debug)]
pub struct LineMaker {
    kind: Kind,
    rng: fastrand::Rng,
    run: String,
    count: u64,
    stamp: Stamp,
    time: Vec<u8>,
    expected: Vec<u8>,
}

const LEVELS: [&str; 8] = ["INFO", "INFO", "INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"];
const TARGETS: [&str; 4] = ["aigateway::proxy", "aigateway::router", "aigateway::auth", "tower_http::trace"];
const DEEDS: [&str; 6] = [
    "request finished",
    "upstream \\\"decode-0\\\" picked",
    "token budget checked",
    "prefill done → decode",
    "client went away",
    "retrying upstream\\nafter 50 ms",
];

impl LineMaker {
    /// `run` stands in every line beside its number, and must be free of JSON's special characters.
    #[must_use]
    pub fn new(kind: Kind, seed: u64, run: &str) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        let run = run.to_string();
        Self { kind, rng, run, count: 0, stamp: Stamp::default(), time: Vec::new(), expected: Vec::new() }
    }

    /// Appends the next line and its newline to `out`. Returns the hash of the line as Loki should have it.
    pub fn next(&mut self, wall_ns: i64, filler_bytes: usize, out: &mut Vec<u8>) -> u64 {
        self.count += 1;
        let start = out.len();
        match self.kind {
            Kind::Aigateway => self.aigateway(wall_ns, filler_bytes, out),
            Kind::Heimdall => return self.heimdall(wall_ns, filler_bytes, out),
            Kind::Vllm => self.vllm(wall_ns, filler_bytes, out),
        }
        let hash = line_hash(&out[start..]);
        out.push(b'\n');
        hash
    }

    /// `run:count`, then filler.
    fn mark(&self, filler_bytes: usize, out: &mut Vec<u8>) {
        print(out, format_args!("{}:{}", self.run, self.count));
        if filler_bytes > 0 {
            out.push(b' ');
            out.resize(out.len() + filler_bytes, b'x');
        }
    }

    fn aigateway(&mut self, wall_ns: i64, filler_bytes: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"timestamp\":\"");
        self.stamp.write(wall_ns / 1_000 * 1_000, out);
        let level = LEVELS[self.rng.usize(..LEVELS.len())];
        let target = TARGETS[self.rng.usize(..TARGETS.len())];
        let deed = DEEDS[self.rng.usize(..DEEDS.len())];
        print(out, format_args!("\",\"level\":\"{level}\",\"target\":\"{target}\",\"message\":\"{deed} "));
        self.mark(filler_bytes, out);
        print(out, format_args!("\",\"request_id\":\"req-{:016x}\"", self.rng.u64(..)));
        if self.rng.u8(..4) > 0 {
            print(out, format_args!(",\"trace_id\":\"{:032x}\"", self.rng.u128(..)));
        }
        print(out, format_args!(",\"latency_ms\":{}.0,\"status\":200}}", self.rng.u16(..2_000)));
    }

    fn heimdall(&mut self, wall_ns: i64, filler_bytes: usize, out: &mut Vec<u8>) -> u64 {
        self.time.clear();
        self.stamp.write(wall_ns, &mut self.time);
        let level = LEVELS[self.rng.usize(..LEVELS.len())];
        let (pods, score) = (self.rng.u8(1..9), self.rng.u16(..1_000));
        let mut rest = std::mem::take(&mut self.expected);
        rest.clear();
        rest.extend_from_slice(b"{\"timestamp\":\"");
        rest.extend_from_slice(&self.time);
        print(&mut rest, format_args!("\",\"level\":\"{level}\",\"message\":\"{HEIMDALL_SAYS}\",\"run\":\""));
        self.mark(filler_bytes, &mut rest);
        print(&mut rest, format_args!("\",\"candidates\":{pods},\"score\":0.{score:03},\"nested\":{{\"msg\":null}}}}"));
        let hash = line_hash(&rest);
        let head = b"{\"timestamp\":\"".len() + self.time.len();
        let (before, after) = (b"\",\"level\":\"".len() + level.len() + b"\",\"".len(), b"message".len());
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(&self.time);
        out.extend_from_slice(&rest[head..head + before]);
        out.extend_from_slice(b"msg");
        out.extend_from_slice(&rest[head + before + after..]);
        out.push(b'\n');
        self.expected = rest;
        hash
    }

    fn vllm(&mut self, wall_ns: i64, filler_bytes: usize, out: &mut Vec<u8>) {
        if self.rng.bool() {
            let (host, port) = (self.rng.u8(..), self.rng.u16(1024..));
            print(out, format_args!("INFO:     10.0.0.{host}:{port} - \"POST /v1/chat/completions HTTP/1.1\" 200 OK "));
        } else {
            self.time.clear();
            self.stamp.write(wall_ns, &mut self.time);
            let clock = String::from_utf8_lossy(self.time.get(5..19).unwrap_or_default()).replace('T', " ");
            let (prompt, running, cache) = (self.rng.u16(..9_000), self.rng.u8(..64), self.rng.u8(..100));
            print(
                out,
                format_args!(
                    "INFO {clock} [loggers.py:116] Engine 000: Avg prompt throughput: {prompt}.4 tokens/s, Running: {running} reqs, Waiting: 0 reqs, GPU KV cache usage: {cache}.0% "
                ),
            );
        }
        self.mark(filler_bytes, out);
    }
}

fn print(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    // A Vec takes whatever is written to it.
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: Kind, seed: u64, count: usize) -> Vec<(Vec<u8>, u64)> {
        let mut maker = LineMaker::new(kind, seed, "r");
        (0..count)
            .map(|n| {
                let mut line = Vec::new();
                let hash = maker.next(1_787_392_800_123_456_789, n * 10, &mut line);
                assert_eq!(line.pop(), Some(b'\n'));
                (line, hash)
            })
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_lines_and_no_line_twice() {
        for kind in [Kind::Aigateway, Kind::Heimdall, Kind::Vllm] {
            let lines = made(kind, 5, 200);
            assert_eq!(lines, made(kind, 5, 200));
            assert_ne!(lines, made(kind, 6, 200));
            let hashes: std::collections::HashSet<_> = lines.iter().map(|(_, hash)| hash).collect();
            assert_eq!(hashes.len(), 200);
        }
    }

    #[test]
    fn json_lines_are_json_and_no_line_holds_a_newline() {
        for kind in [Kind::Aigateway, Kind::Heimdall, Kind::Vllm] {
            for (line, hash) in made(kind, 1, 100) {
                assert!(!line.contains(&b'\n'));
                if kind == Kind::Vllm {
                    assert_eq!(hash, line_hash(&line));
                } else {
                    serde_json::from_slice::<serde_json::Value>(&line).unwrap();
                }
            }
        }
    }

    #[test]
    fn heimdalls_hash_is_that_of_the_line_with_its_two_keys_renamed() {
        for (line, hash) in made(Kind::Heimdall, 1, 20) {
            let text = String::from_utf8(line).unwrap();
            let renamed = text.replacen("\"time\":", "\"timestamp\":", 1).replacen("\"msg\":", "\"message\":", 1);
            assert_ne!(text, renamed);
            assert_eq!(hash, line_hash(renamed.as_bytes()));
        }
    }
}

//! The kinds of containers that are run, and what they write.
//!
//! In: a folder. Out: files that the containers write out byte by byte with `cat`, and the lines that Loki should
//! have of them. Never: a container.

use crate::clock;
use crate::expect::text_lines;
use crate::ledger::line_hash;
use crate::pods::SamplePod;
use crate::producer::lines::{Kind, LineMaker};
use crate::tally::Written;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// The case that is run first and alone, to see how much of it goes out ahead of its file.
pub const STEADY: &str = "steady";
/// Bytes of the burst.
const BURST_BYTES: usize = 60_000_000;
/// Pieces into which the slow containers' output is cut, at any byte.
const PIECES: usize = 40;
/// All of `out`, then all of `err`.
const CAT: &str = "cat /data/out; cat /data/err >&2";

/// One pod: what it writes in each run.
pub struct Case {
    /// Its name is that of the case.
    pub pod: SamplePod,
    /// For people.
    pub what: &'static str,
    /// One shell script a run; the files of the run are in `/data`.
    pub scripts: Vec<String>,
    /// Whether its files are rotated while it runs.
    pub is_rotated: bool,
    /// Whether anything of it may arrive.
    pub is_selected: bool,
    /// Whose processes it has; root's where nothing is said.
    pub user: Option<i64>,
    /// What run `n` writes to stdout and stderr.
    make: fn(u32) -> Output,
}

/// What one run writes.
#[derive(Default)]
struct Output {
    out: Vec<u8>,
    err: Vec<u8>,
    /// Hashes of the lines of `out` where they do not follow from its bytes.
    out_hashes: Option<Vec<u64>>,
}

/// All cases.
#[must_use]
pub fn all() -> Vec<Case> {
    let cat = || vec![CAT.to_string()];
    // By `write`, as programs do; busybox's `cat` uses sendfile.
    let steady =
        "usleep 300000; i=0; while [ $i -lt 40 ]; do dd if=/data/out.$i bs=64k 2>&-; usleep 50000; i=$((i+1)); done";
    let slow = "i=0; while [ $i -lt 40 ]; do cat /data/out.$i; cat /data/err.$i >&2; usleep 50000; i=$((i+1)); done";
    vec![
        Case::new(
            STEADY,
            "a steady container, whose first line comes after its start",
            vec![steady.to_string()],
            |_| text(Kind::Vllm, 4_000),
        ),
        Case::new("text", "5,000 lines of text", cat(), |_| text(Kind::Vllm, 5_000)),
        Case::new("json", "5,000 lines of JSON", cat(), |_| text(Kind::Heimdall, 5_000)),
        Case::new("long-16k", "lines around 16 KiB and its multiples, with CR LF", cat(), |_| lengths(&LONG, "\r\n")),
        Case::new("long-256k", "lines around 256 KiB and up to 2 MB", cat(), |_| lengths(&HUGE, "\n")),
        Case::new("no-newline", "no newline at the end of either", cat(), |_| no_newline()),
        Case::new("odd-bytes", "1 MB of random bytes", cat(), |_| random_bytes()),
        Case::new("mixed", "stdout and stderr mixed, lines cut anywhere", vec![slow.to_string()], |_| mixed()),
        Case::new("burst", "60 MB at once", cat(), |_| burst()),
        Case::new("short", "a container that lives 50 ms", vec![format!("{CAT}; usleep 50000")], |_| {
            text(Kind::Vllm, 100)
        }),
        Case::new("restarted", "runs 0, 1 and 2", vec![CAT.to_string(); 3], |run| {
            let mut output = text(Kind::Vllm, 1_000);
            output.out.extend_from_slice(format!("the last words of run {run}").as_bytes());
            output
        }),
        Case {
            is_rotated: true,
            ..Case::new("rotated", "rotated as the kubelet does", vec![slow.to_string()], |_| mixed())
        },
        Case {
            is_selected: false,
            ..Case::new("unselected", "nothing of it may arrive", cat(), |_| text(Kind::Vllm, 100))
        },
    ]
}

impl Case {
    fn new(name: &str, what: &'static str, scripts: Vec<String>, make: fn(u32) -> Output) -> Self {
        let mut labels = vec![("app.kubernetes.io/name", name)];
        if name != "unselected" {
            labels.push(("mif.moreh.io/log.collect", "true"));
        }
        if name == "json" {
            labels.push(("mif.moreh.io/log.format", "json"));
        }
        let pod = SamplePod::new(name, &labels);
        Self { pod, what, scripts, is_rotated: false, is_selected: true, user: None, make }
    }

    /// Whether its lines are parsed as JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.pod.labels.contains_key("mif.moreh.io/log.format")
    }

    /// Where the files of a run are.
    #[must_use]
    pub fn folder(&self, data: &Path, attempt: u32) -> PathBuf {
        data.join(&self.pod.name).join(attempt.to_string())
    }

    /// Writes the files of all runs. Returns the source, and what should arrive of it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn prepare(&self, data: &Path) -> Result<(String, Vec<Written>)> {
        let mut written = Vec::new();
        for (run, script) in (0..).zip(&self.scripts) {
            let folder = self.folder(data, run);
            fs::create_dir_all(&folder)?;
            let output = (self.make)(run);
            for (name, bytes, hashes) in [("out", &output.out, output.out_hashes), ("err", &output.err, None)] {
                if script == CAT || script.starts_with(CAT) {
                    fs::write(folder.join(name), bytes)?;
                } else {
                    let piece = bytes.len() / PIECES;
                    for n in 0..PIECES {
                        let end = if n + 1 == PIECES { bytes.len() } else { (n + 1) * piece };
                        fs::write(folder.join(format!("{name}.{n}")), &bytes[n * piece..end])?;
                    }
                }
                let of_text = || text_lines(bytes).iter().map(|line| line_hash(line.as_bytes())).collect();
                let hashes = if self.is_selected { hashes.unwrap_or_else(of_text) } else { Vec::new() };
                written.push(Written { name: format!("run {run} std{name}"), hashes });
            }
        }
        Ok((self.pod.source(&self.pod.containers[0]), written))
    }
}

const PART: usize = crate::runtime::framer::PART_BYTES;
const LONG: [usize; 10] =
    [PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, 3 * PART, 40_000, 100_000, 200_001];
const MAX: usize = 262_144;
const HUGE: [usize; 8] = [MAX - 1, MAX, MAX + 1, MAX + 2, 300_000, 600_001, 1_000_000, 2_000_003];

/// Lines of a program; their hashes follow from the maker, as JSON keys are renamed.
fn text(kind: Kind, lines: usize) -> Output {
    let mut output = Output::default();
    let mut maker = LineMaker::new(kind, 1, "e2e");
    let mut now = clock::wall_ns();
    let hashes = (0..lines).map(|n| {
        now += 1_001;
        maker.next(now, if n % 100 == 99 { 20_000 } else { 0 }, &mut output.out)
    });
    output.out_hashes = Some(hashes.collect());
    if kind == Kind::Vllm {
        output.out_hashes = None;
    }
    output
}

/// Lines of given lengths without their ends, of one, two and three-byte characters; short ones between them.
fn lengths(lengths: &[usize], end: &str) -> Output {
    let mut output = Output::default();
    for (n, length) in lengths.iter().enumerate() {
        for filler in ["x", "é", "…"] {
            let mut line = format!("{n} {filler} {length} ");
            while line.len() + filler.len() <= *length {
                line.push_str(filler);
            }
            while line.len() < *length {
                line.push('.');
            }
            line.push_str(end);
            line.push_str(&format!("after {n} {filler}{end}"));
            output.out.extend_from_slice(line.as_bytes());
        }
    }
    output
}

fn no_newline() -> Output {
    let long = "z".repeat(PART + 10);
    Output { out: b"one\ntwo without end".to_vec(), err: format!("three\nfour {long}").into_bytes(), out_hashes: None }
}

/// Any bytes, NUL and invalid UTF-8 among them, in numbered lines of text between.
fn random_bytes() -> Output {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut output = Output::default();
    for n in 0..4_000 {
        output.out.extend_from_slice(format!("{n}:").as_bytes());
        let bytes = rng.usize(0..500);
        output.out.extend(std::iter::repeat_with(|| rng.u8(..)).take(bytes));
        output.out.push(b'\n');
    }
    output
}

fn mixed() -> Output {
    let mut output = text(Kind::Vllm, 4_000);
    let mut maker = LineMaker::new(Kind::Aigateway, 2, "e2e-err");
    for _ in 0..4_000 {
        maker.next(clock::wall_ns(), 0, &mut output.err);
    }
    output
}

fn burst() -> Output {
    let mut output = Output::default();
    let mut maker = LineMaker::new(Kind::Vllm, 3, "burst");
    let now = clock::wall_ns();
    while output.out.len() < BURST_BYTES {
        maker.next(now, 0, &mut output.out);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_run_are_its_whole_and_its_lines_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let case = all().into_iter().find(|case| case.pod.name == "rotated").unwrap();
        let (source, written) = case.prepare(folder.path()).unwrap();
        assert_eq!((source.as_str(), written.len()), ("rotated/main", 2));
        assert_eq!(written[0].hashes.len(), 4_000);
        let run = case.folder(folder.path(), 0);
        let whole: Vec<u8> = (0..PIECES).flat_map(|n| fs::read(run.join(format!("out.{n}"))).unwrap()).collect();
        assert_eq!(text_lines(&whole).len(), 4_000);
    }

    #[test]
    fn every_length_is_met_to_the_byte() {
        let output = lengths(&[100, 101], "\r\n");
        let lengths: Vec<_> = text_lines(&output.out).iter().map(String::len).filter(|length| *length > 20).collect();
        assert_eq!(lengths, [100, 100, 100, 101, 101, 101]);
    }
}

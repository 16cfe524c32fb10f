//! The parts of the work alone, on one core, over the same input: reading, finding newlines, looking at JSON, and, over the
//! very bodies that the agent sends, appending, compressing, writing to a socket.
//!
//! In: corpora, and what the agent makes of them. Out: MB of log files a second of processor time, for each part and for
//! all one after the other. Never: work that an agent with these parts could leave out; the agent's own look at JSON is
//! quicker than simd-json's tape.

use super::Bench;
use super::corpus::{self, Corpus, Made};
use super::row::{Row, Rows};
use super::sink::Sink;
use super::target::settings;
use crate::agent::AgentProcess;
use crate::clock;
use crate::stop;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;
use tokio::runtime::Runtime;

/// So much input is enough to measure a part.
const BYTES_MAX: u64 = 200_000_000;
/// What is read at once.
const BLOCK_BYTES: usize = 256 * 1024;
/// What the runtime puts before the content of a line.
const PREFIX_BYTES: usize = "2026-08-22T10:00:00.123456789Z stdout F ".len();
/// How long the agent may take to send it all.
const PATIENCE: Duration = Duration::from_secs(120);

/// The parts, over a corpus, ready to be measured.
pub struct Floor {
    corpus: Corpus,
    made: Made,
    /// Bodies of pushes, before compression and as sent.
    plain: Vec<Vec<u8>>,
    packed: Vec<Bytes>,
    /// The log files are in it.
    _folder: tempfile::TempDir,
}

/// One of the parts.
type Part = (&'static str, fn(&Floor) -> Result<()>);

/// The part that text does not have.
const JSON: &str = "simd-json";

const PARTS: [Part; 6] = [
    ("read", |floor| read(&floor.made, &mut |_| ())),
    ("newlines", |floor| newlines(&floor.made)),
    (JSON, |floor| if floor.corpus == Corpus::Text { Ok(()) } else { json(&floor.made) }),
    ("append", |floor| append(&floor.plain)),
    ("snappy", |floor| snappy(&floor.plain)),
    ("socket", |floor| socket(&floor.packed)),
];

/// Plays it.
///
/// # Errors
/// Something could not be written or started.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    for corpus in [Corpus::Json, Corpus::Text, Corpus::Mixed] {
        let floor = Floor::prepare(bench, corpus)?;
        let runs = (0..bench.runs).map(|_| floor.seconds()).collect::<Result<Vec<_>>>()?;
        let median = |of: &dyn Fn(&[f64; PARTS.len()]) -> f64| {
            let mut seconds: Vec<f64> = runs.iter().map(of).collect();
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 2]
        };
        let megabytes = floor.megabytes();
        let has_part = |name| corpus != Corpus::Text || name != JSON;
        for (number, (name, _)) in PARTS.iter().enumerate().filter(|(_, (name, _))| has_part(*name)) {
            tell(rows, name, corpus, megabytes / median(&|seconds| seconds[number]))?;
        }
        tell(rows, "all parts", corpus, megabytes / median(&|seconds| seconds.iter().sum()))?;
    }
    Ok(())
}

fn tell(rows: &mut Rows, target: &str, corpus: Corpus, mb_per_cpu_s: f64) -> Result<()> {
    rows.tell(Row {
        scenario: "floor".into(),
        target: target.into(),
        corpus: corpus.name().into(),
        mb_per_cpu_s: Some(mb_per_cpu_s),
        ..Row::default()
    })
}

impl Floor {
    /// Writes log files, and has the agent send them.
    ///
    /// # Errors
    /// Something could not be written or started.
    pub fn prepare(bench: &Bench, corpus: Corpus) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("floor-").tempdir_in(&bench.folder)?;
        let bytes = bench.bytes.min(BYTES_MAX);
        // What is in a thousand files is in four as well: the parts alone do not open them.
        let corpus = if corpus == Corpus::ManyFiles { Corpus::Mixed } else { corpus };
        let made = corpus::make(corpus, bytes, bench.seed, folder.path(), corpus::half_an_hour_ago())?;
        let packed = bodies(bench, &made)?;
        let unpack =
            |body: &Bytes| snap::raw::Decoder::new().decompress_vec(body).context("a body that is no snappy block");
        let plain = packed.iter().map(unpack).collect::<Result<_>>()?;
        Ok(Self { corpus, made, plain, packed, _folder: folder })
    }

    /// MB of log files for a second of processor time, all parts one after the other, now.
    ///
    /// # Errors
    /// Something could not be read.
    pub fn mb_per_cpu_s(&self) -> Result<f64> {
        Ok(self.megabytes() / self.seconds()?.iter().sum::<f64>())
    }

    fn megabytes(&self) -> f64 {
        self.made.bytes as f64 / 1e6
    }

    /// Processor time of each part, seconds.
    fn seconds(&self) -> Result<[f64; PARTS.len()]> {
        let mut seconds = [0.0; PARTS.len()];
        for ((_, part), seconds) in PARTS.iter().zip(&mut seconds) {
            let begun = clock::thread_cpu();
            part(self)?;
            *seconds = (clock::thread_cpu() - begun).as_secs_f64();
        }
        // The second and third read as well, to have something to look at, and the third finds newlines.
        let [reading, newlines, json, ..] = &mut seconds;
        *json = (*json - *newlines).max(1e-9);
        *newlines = (*newlines - *reading).max(1e-9);
        Ok(seconds)
    }
}

/// What the agent sends of these files.
fn bodies(bench: &Bench, made: &Made) -> Result<Vec<Bytes>> {
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&bench.folder)?;
    let runtime = Runtime::new()?;
    let sink = runtime.block_on(Sink::start())?;
    let settings = settings(made, folder.path(), &sink.url(), "file")?;
    let mut running = AgentProcess::start(&bench.agent, &settings, folder.path())?;
    let begun = clock::monotonic();
    while settings.metric("lines_total{source=\"file\"}") < made.lines as f64 {
        stop::check()?;
        running.check()?;
        ensure!(clock::monotonic() - begun < PATIENCE, "the agent did not send all within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    running.stop(PATIENCE)?;
    Ok(sink.bodies())
}

fn read(made: &Made, take: &mut dyn FnMut(&mut [u8])) -> Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    for path in &made.files {
        let (file, mut offset) = (File::open(path)?, 0);
        loop {
            let length = file.read_at(&mut block, offset)?;
            if length == 0 {
                break;
            }
            offset += length as u64;
            take(&mut block[..length]);
        }
    }
    Ok(())
}

fn newlines(made: &Made) -> Result<()> {
    let mut lines = 0;
    read(made, &mut |block| lines += memchr::memchr_iter(b'\n', block).count())?;
    ensure!(lines as u64 == made.lines, "{lines} newlines in {} lines", made.lines);
    Ok(())
}

/// Every object that is whole in its block, into a tape, with buffers that are used again. What follows in the block is the
/// room that simd-json asks for, so that nothing is copied; the last line of a block without it is left out.
fn json(made: &Made) -> Result<()> {
    let mut buffers = simd_json::Buffers::default();
    let mut tape = simd_json::Tape(Vec::new());
    let mut nodes = 0;
    read(made, &mut |block| {
        let mut rest = block;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if rest.len() < end + simd_json::INPUT_PADDING {
                break;
            }
            if rest.get(PREFIX_BYTES) == Some(&b'{') {
                let (_, content) = rest.split_at_mut(PREFIX_BYTES);
                let mut filled = std::mem::replace(&mut tape, simd_json::Tape(Vec::new())).reset();
                let length = end - PREFIX_BYTES;
                if simd_json::fill_tape_padded(content, length, &mut buffers, &mut filled).is_ok() {
                    nodes += filled.0.len();
                }
                tape = filled.reset();
            }
            rest = rest.get_mut(end + 1..).unwrap_or_default();
        }
    })?;
    std::hint::black_box(nodes);
    Ok(())
}

fn append(plain: &[Vec<u8>]) -> Result<()> {
    let mut buffer = Vec::with_capacity(plain.iter().map(Vec::len).max().unwrap_or(0));
    for body in plain {
        buffer.clear();
        buffer.extend_from_slice(body);
        std::hint::black_box(&buffer);
    }
    Ok(())
}

fn snappy(plain: &[Vec<u8>]) -> Result<()> {
    let longest = plain.iter().map(Vec::len).max().unwrap_or(0);
    let (mut encoder, mut packed) = (snap::raw::Encoder::new(), vec![0; snap::raw::max_compress_len(longest)]);
    for body in plain {
        std::hint::black_box(encoder.compress(body, &mut packed)?);
    }
    Ok(())
}

/// The thread that reads is not counted.
fn socket(packed: &[Bytes]) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut connection = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, _) = listener.accept()?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = vec![0; BLOCK_BYTES];
            while other.read(&mut buffer).is_ok_and(|length| length > 0) {}
        });
        for body in packed {
            connection.write_all(body)?;
        }
        drop(connection);
        Ok(())
    })
}

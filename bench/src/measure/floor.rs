//! The parts of the work alone, on one core, over the same input: reading, finding newlines, looking at JSON, and, over the
//! very bodies that the agent sends, appending, compressing, writing to a socket.
//!
//! In: corpora, and what the agent makes of them. Out: MB of log files a second of processor time, for each part and for
//! all one after the other. Never: work that an agent could leave out.

use super::Bench;
use super::corpus::{self, Corpus, Made};
use super::row::{Row, Rows};
use super::sink::Sink;
use super::target::settings;
use crate::agent::AgentProcess;
use crate::clock;
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
/// How long the agent may take to send it all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bodies of pushes, as sent and before compression.
struct Bodies {
    plain: Vec<Vec<u8>>,
    packed: Vec<Bytes>,
}

/// Plays it.
///
/// # Errors
/// Something could not be written or started.
pub fn play(bench: &Bench, rows: &mut Rows) -> Result<()> {
    for corpus in [Corpus::Json, Corpus::Text, Corpus::Mixed] {
        let folder = tempfile::Builder::new().prefix("floor-").tempdir_in(&bench.folder)?;
        let made =
            corpus::make(corpus, bench.bytes.min(BYTES_MAX), bench.seed, folder.path(), corpus::half_an_hour_ago())?;
        let bodies = bodies(bench, &made)?;
        let parts: [(&str, &dyn Fn() -> Result<()>); 6] = [
            ("read", &|| read(&made, &mut |_| ())),
            ("newlines", &|| newlines(&made)),
            ("simd-json", &|| json(&made)),
            ("append", &|| append(&bodies)),
            ("snappy", &|| snappy(&bodies)),
            ("socket", &|| socket(&bodies)),
        ];
        let reading = median(bench.runs, parts[0].1)?;
        let (mut all, megabytes) = (0.0, made.bytes as f64 / 1e6);
        for (number, (name, part)) in parts.into_iter().enumerate() {
            let with_reading = median(bench.runs, part)?;
            // The second and third read as well, to have something to look at.
            let seconds = if matches!(number, 1 | 2) { (with_reading - reading).max(1e-9) } else { with_reading };
            all += seconds;
            tell(rows, name, corpus, megabytes / seconds)?;
        }
        tell(rows, "all parts", corpus, megabytes / all)?;
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

/// What the agent sends of these files.
fn bodies(bench: &Bench, made: &Made) -> Result<Bodies> {
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&bench.folder)?;
    let runtime = Runtime::new()?;
    let sink = runtime.block_on(Sink::start())?;
    let settings = settings(made, folder.path(), &sink.url(), "file")?;
    let mut running = AgentProcess::start(&bench.agent, &settings, folder.path())?;
    let begun = clock::monotonic();
    while settings.metric("lines_total{source=\"file\"}") < made.lines as f64 {
        running.check()?;
        ensure!(clock::monotonic() - begun < PATIENCE, "the agent did not send all within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    running.stop(PATIENCE)?;
    let packed = sink.bodies();
    let unpack =
        |body: &Bytes| snap::raw::Decoder::new().decompress_vec(body).context("a body that is no snappy block");
    Ok(Bodies { plain: packed.iter().map(unpack).collect::<Result<_>>()?, packed })
}

/// Processor time of this thread, seconds; the median of some runs.
fn median(runs: usize, part: &dyn Fn() -> Result<()>) -> Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..runs {
        let begun = clock::thread_cpu();
        part()?;
        seconds.push((clock::thread_cpu() - begun).as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
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

/// Every object that is whole in its block, into a tape with buffers that are used again.
fn json(made: &Made) -> Result<()> {
    let mut buffers = simd_json::Buffers::default();
    let mut nodes = 0;
    read(made, &mut |block| {
        for line in block.split_mut(|byte| *byte == b'\n') {
            let Some(start) = memchr::memchr(b'{', line.get(..64).unwrap_or_default()) else { continue };
            // Its own memory would be taken anew for each line: that is not the floor.
            if let Ok(tape) = simd_json::to_tape_with_buffers(&mut line[start..], &mut buffers) {
                nodes += tape.0.len();
            }
        }
    })?;
    std::hint::black_box(nodes);
    Ok(())
}

fn append(bodies: &Bodies) -> Result<()> {
    let mut buffer = Vec::with_capacity(bodies.plain.iter().map(Vec::len).max().unwrap_or(0));
    for body in &bodies.plain {
        buffer.clear();
        buffer.extend_from_slice(body);
        std::hint::black_box(&buffer);
    }
    Ok(())
}

fn snappy(bodies: &Bodies) -> Result<()> {
    let longest = bodies.plain.iter().map(Vec::len).max().unwrap_or(0);
    let (mut encoder, mut packed) = (snap::raw::Encoder::new(), vec![0; snap::raw::max_compress_len(longest)]);
    for body in &bodies.plain {
        std::hint::black_box(encoder.compress(body, &mut packed)?);
    }
    Ok(())
}

/// The thread that reads is not counted.
fn socket(bodies: &Bodies) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut connection = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, _) = listener.accept()?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = vec![0; BLOCK_BYTES];
            while other.read(&mut buffer).is_ok_and(|length| length > 0) {}
        });
        for body in &bodies.packed {
            connection.write_all(body)?;
        }
        drop(connection);
        Ok(())
    })
}

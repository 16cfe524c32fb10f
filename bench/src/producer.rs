//! A sample application: writes lines to its stdout and stderr at a given rate, and a ledger of them.
//!
//! In: kind, seed, rate. Out: lines on descriptors 1 and 2, `LEDGER.stdout` and `LEDGER.stderr`. Ends after
//! so many lines or on SIGTERM, never with a half line. Never: a line that is not in the ledger.

pub mod lines;

use crate::clock;
use crate::ledger::LedgerWriter;
use lines::{Kind, LineMaker};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What to write. Also the arguments of the hidden subcommand `producer`.
#[derive(Clone, Debug, clap::Args)]
pub struct ProducerArgs {
    /// What the lines look like.
    #[arg(long, value_enum)]
    pub kind: Kind,
    /// The same seed gives the same lines, but for their times.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A word in every line that tells this run from all others.
    #[arg(long)]
    pub run: String,
    /// Lines a second; 0: as fast as the pipe takes them.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// Lines in all; 0: until SIGTERM.
    #[arg(long, default_value_t = 0)]
    pub lines: u64,
    /// Every n-th line goes to stderr; 0: none.
    #[arg(long, default_value_t = 0)]
    pub stderr_every: u64,
    /// Every n-th line is made longer than the parts of the runtime; 0: none.
    #[arg(long, default_value_t = 0)]
    pub long_every: u64,
    /// Lines per write.
    #[arg(long, default_value_t = 1)]
    pub lines_per_write: u64,
    /// Path of the ledgers, without `.stdout` and `.stderr`.
    #[arg(long)]
    pub ledger: PathBuf,
}

impl ProducerArgs {
    /// The arguments that give these when parsed again.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let pairs = [
            ("kind", self.kind.name().to_string()),
            ("seed", self.seed.to_string()),
            ("run", self.run.clone()),
            ("rate", self.rate.to_string()),
            ("lines", self.lines.to_string()),
            ("stderr-every", self.stderr_every.to_string()),
            ("long-every", self.long_every.to_string()),
            ("lines-per-write", self.lines_per_write.to_string()),
            ("ledger", self.ledger.display().to_string()),
        ];
        pairs.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
    }
}

/// The ledger file of one std stream.
#[must_use]
pub fn ledger_path(base: &Path, std_stream: &str) -> PathBuf {
    PathBuf::from(format!("{}.{std_stream}", base.display()))
}

/// One std stream: its lines are collected and go out in one write.
struct Side<W> {
    out: W,
    maker: LineMaker,
    ledger: LedgerWriter,
    pending: Vec<u8>,
}

impl<W: Write> Side<W> {
    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.out.write_all(&self.pending)?;
            self.pending.clear();
            self.ledger.flush()?;
        }
        Ok(())
    }
}

/// Runs as a process: real stdout and stderr, SIGTERM ends it.
///
/// # Errors
/// A ledger cannot be made, or nobody reads the pipe any more.
pub fn run_process(args: &ProducerArgs) -> io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop))?;
    // Rust's own stdout cuts writes at lines; a plain file does not.
    let out = std::fs::File::from(rustix::io::dup(io::stdout())?);
    let err = std::fs::File::from(rustix::io::dup(io::stderr())?);
    run(args, out, err, &stop)
}

/// Writes lines until there are enough or `stop` is set.
///
/// # Errors
/// A ledger cannot be made, or a write fails.
pub fn run(args: &ProducerArgs, stdout: impl Write, stderr: impl Write, stop: &AtomicBool) -> io::Result<()> {
    let maker = |std_stream: &str, seed| LineMaker::new(args.kind, seed, &format!("{}.{std_stream}", args.run));
    let ledger = |std_stream| LedgerWriter::create(&ledger_path(&args.ledger, std_stream));
    let mut out = Side { out: stdout, maker: maker("o", args.seed), ledger: ledger("stdout")?, pending: Vec::new() };
    let seed = args.seed.wrapping_add(1);
    let mut err = Side { out: stderr, maker: maker("e", seed), ledger: ledger("stderr")?, pending: Vec::new() };
    let begun = clock::monotonic();
    let per_write = args.lines_per_write.max(1);
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) && (args.lines == 0 || written < args.lines) {
        if args.rate > 0.0 && !wait_until(begun + seconds(written, args.rate), stop) {
            break;
        }
        for _ in 0..per_write.min(if args.lines == 0 { u64::MAX } else { args.lines - written }) {
            written += 1;
            let to_stderr = every(args.stderr_every, written);
            let filler = if every(args.long_every, written) { lines::LONG_FILLER_BYTES } else { 0 };
            let now = clock::wall_ns();
            if to_stderr { note(&mut err, now, filler) } else { note(&mut out, now, filler) }
        }
        out.flush()?;
        err.flush()?;
    }
    Ok(())
}

fn every(n: u64, count: u64) -> bool {
    n > 0 && count.is_multiple_of(n)
}

fn note<W>(side: &mut Side<W>, now: i64, filler: usize) {
    let hash = side.maker.next(now, filler, &mut side.pending);
    side.ledger.push(hash);
}

#[expect(clippy::cast_precision_loss, reason = "2^52 lines are more than anybody writes")]
fn seconds(lines: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(lines as f64 / rate)
}

/// False if `stop` came first. SIGTERM is noticed within 50 ms.
fn wait_until(due: Duration, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        match due.checked_sub(clock::monotonic()) {
            None | Some(Duration::ZERO) => return true,
            Some(left) => std::thread::sleep(left.min(Duration::from_millis(50))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: ProducerArgs,
    }

    fn args(folder: &Path) -> ProducerArgs {
        ProducerArgs {
            kind: Kind::Vllm,
            seed: 3,
            run: "r0".into(),
            rate: 0.0,
            lines: 1_000,
            stderr_every: 10,
            long_every: 100,
            lines_per_write: 7,
            ledger: folder.join("ledger"),
        }
    }

    #[test]
    fn what_is_written_is_what_the_ledger_says() {
        let folder = tempfile::tempdir().unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        run(&args(folder.path()), &mut out, &mut err, &AtomicBool::new(false)).unwrap();
        for (written, name, count) in [(out, "stdout", 900), (err, "stderr", 100)] {
            let hashes: Vec<_> =
                written.split_inclusive(|b| *b == b'\n').map(|l| ledger::line_hash(&l[..l.len() - 1])).collect();
            assert_eq!(hashes.len(), count);
            assert_eq!(hashes, ledger::read(&folder.path().join(format!("ledger.{name}"))).unwrap());
        }
    }

    #[test]
    fn the_arguments_survive_a_command_line() {
        let args = args(Path::new("/x"));
        let again = Command::parse_from(std::iter::once("producer".to_string()).chain(args.to_args())).args;
        assert_eq!(format!("{args:?}"), format!("{again:?}"));
    }

    #[test]
    fn a_set_stop_flag_ends_it_before_the_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut endless = args(folder.path());
        (endless.lines, endless.rate) = (0, 0.001);
        let mut out = Vec::new();
        run(&endless, &mut out, io::sink(), &AtomicBool::new(true)).unwrap();
        assert!(out.is_empty());
    }
}

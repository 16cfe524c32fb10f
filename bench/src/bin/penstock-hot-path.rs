//! The data path alone, for profilers: `make` writes log files, `run` works through them in one thread.
//!
//! In: arguments. Out: what went through, in one line. Never: a network.

use clap::{Parser, Subcommand};
use penstock_bench::measure::corpus::{self, Corpus};
use penstock_bench::measure::hot_path;
use std::path::PathBuf;

/// 2026-08-22T10:00:00Z: every run has the same bytes.
const BEGIN_NS: i64 = 1_787_392_800_000_000_000;

#[derive(Parser)]
struct Arguments {
    /// What the lines look like.
    corpus: Corpus,
    /// Where the log files are.
    folder: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Writes log files; prints how many lines.
    Make {
        /// How much.
        bytes: u64,
    },
    /// Works through them.
    Run {
        /// How many there are.
        lines: u64,
    },
}

fn main() -> anyhow::Result<()> {
    let Arguments { corpus, folder, what } = Arguments::parse();
    match what {
        What::Make { bytes } => println!("{}", corpus::make(corpus, bytes, 1, &folder, BEGIN_NS)?.lines),
        What::Run { lines } => {
            let through = hot_path::run(corpus, &folder, lines, BEGIN_NS)?;
            println!("{} lines in {} bytes of bodies", through.lines, through.body_bytes);
        }
    }
    Ok(())
}

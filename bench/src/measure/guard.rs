//! The regression guard: instructions of the data path for a line, counted by callgrind, against the committed figures.
//!
//! In: the program `penstock-hot-path`, `bench/hot-path.json`. Out: one row a corpus, and whether it holds. Never: seconds; the
//! same code takes the same instructions on a busy machine. They are those of the build that the tests use, as a release takes
//! CI too long: more than in a release, but a copy, an allocation or a look more for each line shows just so.

use super::corpus::Corpus;
use crate::agent::project;
use crate::cri::find_program;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many more than committed are let pass: another compiler, or a processor with other vector instructions, takes some others.
const MORE_MAX: f64 = 0.1;
/// Log files of two sizes, bytes: the difference is free of what a start takes.
const SIZES: [u64; 2] = [2_000_000, 6_000_000];
/// What is counted.
const CORPORA: [Corpus; 2] = [Corpus::Json, Corpus::Text];

/// Counts and compares; with `writes` the figures become the committed ones. True: no corpus takes more than it did.
///
/// # Errors
/// The program does not build, or valgrind is not there.
pub fn run(writes: bool) -> Result<bool> {
    let program = build()?;
    let path = project().join("bench/hot-path.json");
    let committed: BTreeMap<String, f64> = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))?,
        Err(_) => BTreeMap::new(),
    };
    let (mut counted, mut holds) = (BTreeMap::new(), true);
    for corpus in CORPORA {
        let instructions = instructions_per_line(&program, corpus)?;
        let before = committed.get(corpus.name()).copied().unwrap_or(f64::NAN);
        let more = instructions / before - 1.0;
        println!(
            "   {}: {instructions:.0} instructions a line; committed {before:.0} ({:+.1} %)",
            corpus.name(),
            more * 100.0
        );
        holds &= more <= MORE_MAX;
        counted.insert(corpus.name().to_owned(), instructions.round());
    }
    if writes {
        std::fs::write(&path, serde_json::to_string_pretty(&counted)? + "\n")?;
        println!("   written to bench/hot-path.json");
        return Ok(true);
    }
    if !holds {
        println!(
            "   more than {:.0} % above what is committed. Where that is wanted: cargo xtask bench --guard --write",
            MORE_MAX * 100.0
        );
    }
    Ok(holds)
}

/// What is missing to count, if anything.
#[must_use]
pub fn missing() -> Option<String> {
    find_program("valgrind").is_none().then(|| "valgrind is not installed".to_owned())
}

fn build() -> Result<PathBuf> {
    // With the features of the tests, so that the libraries are not built once more.
    let cargo = [
        "build",
        "--quiet",
        "--package",
        "penstock-bench",
        "--features",
        "shared-with-tests",
        "--bin",
        "penstock-hot-path",
    ];
    let status = Command::new("cargo").current_dir(project()).args(cargo).status().context("starting cargo")?;
    ensure!(status.success(), "building penstock-hot-path failed ({status})");
    let program = std::env::current_exe().context("looking for this program")?;
    let profiles = program.parent().and_then(Path::parent).context("this program is in no target folder")?;
    Ok(profiles.join("debug/penstock-hot-path"))
}

fn instructions_per_line(program: &Path, corpus: Corpus) -> Result<f64> {
    let mut counted = Vec::new();
    for bytes in SIZES {
        let folder = tempfile::tempdir()?;
        let words = |what: [&str; 2]| {
            [corpus.name(), &folder.path().to_string_lossy(), what[0], what[1]].map(ToOwned::to_owned)
        };
        let made = Command::new(program).args(words(["make", &bytes.to_string()])).output()?;
        let lines: u64 = String::from_utf8_lossy(&made.stdout).trim().parse().context("the number of lines")?;
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        let ran = valgrind
            .args(words(["run", &lines.to_string()]))
            .output()
            .context("starting valgrind (cargo xtask setup)")?;
        let said = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "valgrind: {}: {said}", ran.status);
        let total = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
        counted.push((total.context("valgrind does not tell how many instructions")?, lines));
    }
    let [(few, few_lines), (many, many_lines)] = counted[..] else { anyhow::bail!("two sizes are counted") };
    Ok((many - few) as f64 / (many_lines - few_lines) as f64)
}

//! Log files as a runtime leaves them, to catch up on.
//!
//! In: kind, bytes, seed. Out: files below a folder, and the pods whose they are. Never: two equal lines, or a time that
//! Loki would find old.

use crate::clock;
use crate::pods::{SamplePod, kubectl_json};
use crate::producer::lines::{Kind, LineMaker};
use crate::runtime::stamp::Stamp;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Name of the node.
pub const NODE: &str = "bench-node";
/// From one line of a container to the next, nanoseconds.
const STEP_NS: i64 = 100_019;
/// Of so many lines one is of stderr.
const STDERR_EVERY: u64 = 10;

/// What is in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Corpus {
    /// One container that writes JSON, as `AIGateway` does.
    Json,
    /// One container that writes text, as vLLM does.
    Text,
    /// Two of each.
    Mixed,
    /// A thousand containers, half of them JSON.
    ManyFiles,
}

impl Corpus {
    /// In rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Mixed => "mixed",
            Self::ManyFiles => "1000-files",
        }
    }

    /// Whose files they are.
    #[must_use]
    pub fn pods(self) -> Vec<SamplePod> {
        self.kinds().into_iter().enumerate().map(|(number, kind)| pod(number, kind)).collect()
    }

    fn kinds(self) -> Vec<Kind> {
        match self {
            Self::Json => vec![Kind::Aigateway],
            Self::Text => vec![Kind::Vllm],
            Self::Mixed => [Kind::Aigateway, Kind::Vllm].repeat(2),
            Self::ManyFiles => [Kind::Aigateway, Kind::Vllm].repeat(500),
        }
    }
}

/// Files that were written.
#[derive(Debug)]
pub struct Made {
    /// The log tree.
    pub pods_root: PathBuf,
    /// The output of `kubectl get pods -o json`.
    pub pods: PathBuf,
    /// The log files.
    pub files: Vec<PathBuf>,
    /// Lines in them.
    pub lines: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Writes about so many bytes of log files into a new folder, the first lines of the time `begin_ns`.
///
/// # Errors
/// Those of the file system.
pub fn make(corpus: Corpus, bytes: u64, seed: u64, folder: &Path, begin_ns: i64) -> Result<Made> {
    let pods_root = folder.join("pods");
    let kinds = corpus.kinds();
    let each = bytes / kinds.len() as u64;
    let mut made = Made { pods: folder.join("pods.json"), files: Vec::new(), lines: 0, bytes: 0, pods_root };
    let pods = corpus.pods();
    for (number, (kind, pod)) in kinds.iter().zip(&pods).enumerate() {
        let log_folder = pod.log_folder(&made.pods_root).join(&pod.containers[0]);
        fs::create_dir_all(&log_folder).with_context(|| format!("making {}", log_folder.display()))?;
        let path = log_folder.join("0.log");
        let (lines, written) = write(&path, *kind, each, seed.wrapping_add(number as u64), &pod.name, begin_ns)?;
        made.lines += lines;
        made.bytes += written;
        made.files.push(path);
    }
    fs::write(&made.pods, kubectl_json(&pods, NODE))?;
    Ok(made)
}

/// Time of the first line, so that all of them are past by now, and in the last hour, whatever the size.
#[must_use]
pub fn half_an_hour_ago() -> i64 {
    clock::wall_ns() - 1_800_000_000_000
}

/// A pod that writes lines of a kind.
fn pod(number: usize, kind: Kind) -> SamplePod {
    let json = ("mif.moreh.io/log.format", if kind == Kind::Vllm { "text" } else { "json" });
    SamplePod::new(
        &format!("{}-{number}", kind.name()),
        &[("mif.moreh.io/log.collect", "true"), ("app.kubernetes.io/name", kind.name()), json],
    )
}

fn write(path: &Path, kind: Kind, bytes: u64, seed: u64, run: &str, begin_ns: i64) -> Result<(u64, u64)> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut makers = [LineMaker::new(kind, seed, run), LineMaker::new(kind, seed.wrapping_add(1), &format!("{run}e"))];
    let (mut stamp, mut line, mut content) = (Stamp::default(), Vec::new(), Vec::new());
    let (mut lines, mut written) = (0, 0);
    let mut time_ns = begin_ns;
    while written < bytes {
        lines += 1;
        time_ns += STEP_NS;
        let is_stderr = lines % STDERR_EVERY == 0;
        line.clear();
        content.clear();
        stamp.write(time_ns, &mut line);
        line.extend_from_slice(if is_stderr { b" stderr F " } else { b" stdout F " });
        makers[usize::from(is_stderr)].next(time_ns, 0, &mut content);
        line.extend_from_slice(&content);
        file.write_all(&line)?;
        written += line.len() as u64;
    }
    file.flush()?;
    Ok((lines, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_lines_that_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(Corpus::Mixed, 100_000, 1, folder.path(), half_an_hour_ago()).unwrap();
        assert_eq!(made.files.len(), 4);
        let texts: Vec<_> = made.files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        assert_eq!(texts.iter().map(|text| text.lines().count() as u64).sum::<u64>(), made.lines);
        assert_eq!(texts.iter().map(|text| text.len() as u64).sum::<u64>(), made.bytes);
        assert!(texts[0].lines().nth(9).unwrap().contains(" stderr F {"), "{}", texts[0].lines().nth(9).unwrap());
    }
}

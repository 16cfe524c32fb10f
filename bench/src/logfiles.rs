//! What the log files of pods hold, read plainly and all at once: a test of the tests, without an agent.
//!
//! In: the pods' folder. Out: every record of the files that are there, rotated and compressed ones first, parts
//! joined. Never: following, positions, memory bounds.

use crate::expect::text_line;
use crate::pods::SamplePod;
use crate::tally::Stored;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Hands every record of a pod's first container to `take`; `json` renames Heimdall's two keys.
///
/// # Errors
/// A file cannot be read, or a line is no CRI line.
pub fn each_record(pod: &SamplePod, pods_root: &Path, json: bool, take: &mut dyn FnMut(&Stored<'_>)) -> Result<()> {
    let container = &pod.containers[0];
    let folder = pod.log_folder(pods_root).join(container);
    let mut runs: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let run = name.split('.').next().and_then(|run| run.parse().ok()).context("a file that is no log")?;
        runs.entry(run).or_default().push(name);
    }
    let source = pod.source(container);
    for files in runs.values_mut() {
        // `0.log` is the newest, although it sorts first.
        files.sort_by_key(|name| (name.ends_with(".log"), name.clone()));
        let mut bytes = Vec::new();
        for name in files {
            let file = File::open(folder.join(&*name))?;
            let mut text = Vec::new();
            if name.ends_with(".gz") {
                flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text)?;
            } else {
                (&file).read_to_end(&mut text)?;
            }
            bytes.extend_from_slice(&text);
        }
        each_joined(&bytes, &mut |line| {
            let mut line = text_line(line);
            if json {
                line = line.replacen("\"time\":", "\"timestamp\":", 1).replacen("\"msg\":", "\"message\":", 1);
            }
            take(&Stored { source: &source, label_set: 0, time_ns: 0, line: line.as_bytes() });
        })?;
    }
    Ok(())
}

/// Joins parts per std stream; what is open at the end counts.
fn each_joined(bytes: &[u8], take: &mut dyn FnMut(&[u8])) -> Result<()> {
    let mut open: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut parts = line.splitn(4, |byte| *byte == b' ').skip(1);
        let (std_stream, tag, content) = parts
            .next()
            .zip(parts.next())
            .zip(parts.next())
            .map(|((a, b), c)| (a, b, c))
            .with_context(|| format!("no CRI line: {:?}", String::from_utf8_lossy(&line[..line.len().min(80)])))?;
        let record = open.entry(std_stream.to_vec()).or_default();
        record.extend_from_slice(content);
        if tag == b"F" {
            take(record);
            open.remove(std_stream);
        }
    }
    open.values().for_each(|record| take(record));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::producer::ProducerArgs;
    use crate::producer::lines::Kind;
    use crate::runtime::{ContainerLog, Format, Place};
    use crate::tally::{Comparison, Written};
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    #[test]
    fn producer_logger_and_rotation_together_lose_and_change_nothing() {
        let root = tempfile::tempdir().unwrap();
        let pod = SamplePod::new("p-0", &[]);
        let place = Place {
            folder: pod.log_folder(root.path()).join("main"),
            attempt: 0,
            format: Format::Containerd,
            docker_folder: None,
        };
        let (stdout, out) = std::io::pipe().unwrap();
        let (stderr, err) = std::io::pipe().unwrap();
        let log = ContainerLog::start(&place, stdout, stderr).unwrap();
        let args = ProducerArgs {
            kind: Kind::Heimdall,
            seed: 1,
            run: "r".into(),
            rate: 0.0,
            lines: 20_000,
            stderr_every: 3,
            long_every: 500,
            lines_per_write: 1,
            ledger: root.path().join("ledger"),
        };
        let producer = {
            let args = args.clone();
            std::thread::spawn(move || crate::producer::run(&args, out, err, &AtomicBool::new(false)))
        };
        let mut rotations = 0;
        while !producer.is_finished() && rotations < 1_000 {
            log.rotate(10_000).unwrap();
            rotations += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        producer.join().unwrap().unwrap();
        let bytes = log.finish().unwrap();
        let written = ["stdout", "stderr"].map(|name| Written {
            name: name.into(),
            hashes: crate::ledger::read(&crate::producer::ledger_path(&args.ledger, name)).unwrap(),
        });
        let written = [("p-0/main".to_string(), written.to_vec())].into();
        let mut comparison = Comparison::new(&written);
        each_record(&pod, root.path(), true, &mut |record| comparison.take(record)).unwrap();
        let tally = comparison.finish();
        assert!(tally.is_exact() && tally.written == 20_000, "{rotations} rotations: {tally}");
        assert!(rotations > 2 && bytes > 4_000_000, "{rotations} rotations, {bytes} bytes");
    }

    /// The logger must not be what limits a measurement. A debug build is slow and a test machine busy: the floor
    /// here only catches a logger that has become slower by an order of magnitude.
    #[test]
    fn the_logger_keeps_up_with_a_fast_writer() {
        use std::io::Write;
        let root = tempfile::tempdir().unwrap();
        let place =
            Place { folder: root.path().join("c"), attempt: 0, format: Format::Containerd, docker_folder: None };
        let (stdout, mut out) = std::io::pipe().unwrap();
        let (stderr, err) = std::io::pipe().unwrap();
        let log = ContainerLog::start(&place, stdout, stderr).unwrap();
        let block = [&[b'x'; 199][..], b"\n"].concat().repeat(300);
        let begun = clock::monotonic();
        for _ in 0..500 {
            out.write_all(&block).unwrap();
        }
        drop((out, err));
        let bytes = log.finish().unwrap();
        let seconds = (clock::monotonic() - begun).as_secs_f64();
        let rate = f64::from(u32::try_from(bytes).unwrap()) / 1e6 / seconds;
        println!("{rate:.0} MB/s");
        assert!(rate > 3.0, "{rate} MB/s");
    }
}

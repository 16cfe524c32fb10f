//! Rotation of log files, as the kubelet (containerd, conmon), docker, or logrotate's `copytruncate` do it.
//!
//! In: a [`ContainerLog`] and sizes. Out: renamed, compressed and deleted files. Never: a byte lost by us.
//!
//! Kubelet: `pkg/kubelet/logs/container_log_manager.go`; the order there is: remove `.tmp`, remove excess,
//! compress every rotated file, rename the current one, reopen.

use super::container::{ContainerLog, Shared};
use crate::clock;
use flate2::{Compression, write::GzEncoder};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, UNIX_EPOCH};

/// When a file is rotated, and how many are kept.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// A file above this is rotated at the next look (the kubelet's default: 10 MiB).
    pub bytes_max: u64,
    /// Files per run, the current one among them (the kubelet's default: 5; at least 2).
    pub files_max: usize,
    /// From one look to the next (the kubelet's: 10 s).
    pub interval: Duration,
}

impl ContainerLog {
    /// Rotates once, whatever the size, as the owner of this format does it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn rotate(&self, files_max: usize) -> io::Result<()> {
        self.shared().rotate(files_max)
    }
}

impl Shared {
    fn rotate(&self, files_max: usize) -> io::Result<()> {
        if self.file_path.to_string_lossy().ends_with("-json.log") {
            shift_numbered(&self.file_path, files_max)?;
        } else {
            kubelet_rename(&self.file_path, files_max, clock::wall_ns())?;
        }
        self.reopen()
    }
}

/// What the kubelet does with the files before it asks the runtime to reopen: the oldest go, the plain rotated
/// ones are compressed, the current one is renamed. Returns its new name.
///
/// # Errors
/// Those of the file system.
pub fn kubelet_rename(path: &Path, files_max: usize, wall_ns: i64) -> io::Result<PathBuf> {
    for file in rotated(path)?.iter().filter(|file| has_end(file, ".tmp")) {
        fs::remove_file(file)?;
    }
    let mut old = rotated(path)?;
    let excess = old.len().saturating_sub(files_max.saturating_sub(2));
    for file in old.drain(..excess) {
        fs::remove_file(file)?;
    }
    for file in old.iter().filter(|file| !has_end(file, ".gz")) {
        compress(file)?;
    }
    let newest = old.last().map(|file| file.to_string_lossy().trim_end_matches(".gz").to_string());
    let mut seconds = u64::try_from(wall_ns / 1_000_000_000).unwrap_or(0);
    let renamed = loop {
        let name = format!("{}.{}", path.display(), kubelet_time(seconds));
        // The kubelet looks every 10 s; who rotates faster would write over what is there.
        if newest.as_ref().is_none_or(|newest| *newest < name) && !Path::new(&name).exists() {
            break PathBuf::from(name);
        }
        seconds += 1;
    };
    fs::rename(path, &renamed)?;
    Ok(renamed)
}

/// `20261123-193138`
fn kubelet_time(seconds: u64) -> String {
    let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    text.chars().filter(|c| c.is_ascii_digit() || *c == 'T').map(|c| if c == 'T' { '-' } else { c }).collect()
}

/// `N.log.*`, oldest first.
fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let start = format!("{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&start) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn has_end(file: &Path, end: &str) -> bool {
    file.to_string_lossy().ends_with(end)
}

/// `X` becomes `X.gz`, by way of `X.tmp`.
fn compress(file: &Path) -> io::Result<()> {
    let (tmp, gz) = (format!("{}.tmp", file.display()), format!("{}.gz", file.display()));
    let mut encoder = GzEncoder::new(File::create(&tmp)?, Compression::default());
    io::copy(&mut File::open(file)?, &mut encoder)?;
    encoder.finish()?;
    fs::rename(tmp, gz)?;
    fs::remove_file(file)
}

/// Docker's json-file driver: `.1` becomes `.2` and so on, the current one `.1`.
fn shift_numbered(path: &Path, files_max: usize) -> io::Result<()> {
    let name = |n: usize| format!("{}.{n}", path.display());
    for n in (1..files_max.saturating_sub(1)).rev() {
        if Path::new(&name(n)).exists() {
            fs::rename(name(n), name(n + 1))?;
        }
    }
    fs::rename(path, name(1))
}

/// Looks at the sizes of logs again and again, and rotates what is too large, until it is dropped.
#[derive(Debug)]
pub struct Rotator {
    stop: Arc<AtomicBool>,
    logs: mpsc::SyncSender<Arc<Shared>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Rotator {
    /// Starts with nothing to look at.
    #[must_use]
    pub fn start(rotation: Rotation) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (logs, incoming) = mpsc::sync_channel(1_024);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || look(rotation, &incoming, &stopped));
        Self { stop, logs, thread: Some(thread) }
    }

    /// Looks at this one too, until its pipes have ended.
    pub fn add(&self, log: &ContainerLog) {
        // The thread that takes it lives as long as self.
        let _ = self.logs.send(log.shared());
    }
}

impl Drop for Rotator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn look(rotation: Rotation, incoming: &mpsc::Receiver<Arc<Shared>>, stop: &AtomicBool) {
    let mut logs = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        std::thread::park_timeout(rotation.interval);
        logs.extend(incoming.try_iter());
        logs.retain(|log| !log.is_closed());
        for log in &logs {
            let size = fs::metadata(&log.file_path).map_or(0, |metadata| metadata.len());
            if size <= rotation.bytes_max {
                continue;
            }
            if let Err(error) = log.rotate(rotation.files_max) {
                tracing::warn!("rotating {}: {error}", log.file_path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Format, Place};
    use flate2::read::MultiGzDecoder;
    use std::io::{Read, Write};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn text(path: &Path) -> String {
        let mut text = String::new();
        if has_end(path, ".gz") {
            MultiGzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        } else {
            File::open(path).unwrap().read_to_string(&mut text).unwrap();
        }
        text
    }

    #[test]
    fn three_files_are_one_current_one_plain_and_one_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        for (n, seconds) in [(0, 100), (1, 100), (2, 100), (3, 200)] {
            fs::write(&path, format!("file {n}\n")).unwrap();
            kubelet_rename(&path, 3, seconds * 1_000_000_000).unwrap();
        }
        assert_eq!(names(folder.path()), ["0.log.19700101-000142.gz", "0.log.19700101-000320"]);
        assert_eq!(text(&folder.path().join("0.log.19700101-000142.gz")), "file 2\n");
    }

    /// Waits for what another thread is about to do.
    fn until(what: &str, mut done: impl FnMut() -> bool) {
        let begun = clock::monotonic();
        while !done() {
            assert!(clock::monotonic() - begun < Duration::from_secs(20), "{what} did not happen");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn place(folder: &Path, format: Format) -> Place {
        Place { folder: folder.join("c"), attempt: 0, format, docker_folder: None }
    }

    #[test]
    fn the_half_line_stays_in_the_renamed_file_as_a_part() {
        let root = tempfile::tempdir().unwrap();
        let (stdout, mut out) = io::pipe().unwrap();
        let (stderr, err) = io::pipe().unwrap();
        let log = ContainerLog::start(&place(root.path(), Format::Containerd), stdout, stderr).unwrap();
        out.write_all(b"one\nha").unwrap();
        until("the first line", || log.bytes() > 0);
        log.rotate(5).unwrap();
        out.write_all(b"lf\n").unwrap();
        drop((out, err));
        let path = log.path().to_path_buf();
        log.finish().unwrap();
        let old = rotated(&path).unwrap();
        let ends = |text: String| text.lines().map(|l| l[l.find("std").unwrap()..].to_string()).collect::<Vec<_>>();
        assert_eq!(ends(text(&old[0])), ["stdout F one", "stdout P ha"]);
        assert_eq!(ends(text(&path)), ["stdout F lf"]);
    }

    #[test]
    fn copytruncate_loses_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (stdout, mut out) = io::pipe().unwrap();
        let (stderr, err) = io::pipe().unwrap();
        let log = ContainerLog::start(&place(root.path(), Format::Conmon), stdout, stderr).unwrap();
        out.write_all(b"one\n").unwrap();
        until("the first line", || log.bytes() > 0);
        let copy = root.path().join("copy");
        log.copy_and_truncate(&copy).unwrap();
        out.write_all(b"two\n").unwrap();
        drop((out, err));
        let path = log.path().to_path_buf();
        log.finish().unwrap();
        assert!(text(&copy).ends_with(" one\n") && text(&path).ends_with(" two\n"));
    }

    #[test]
    fn docker_files_are_numbered_behind_a_link() {
        let root = tempfile::tempdir().unwrap();
        let (stdout, mut out) = io::pipe().unwrap();
        let (stderr, err) = io::pipe().unwrap();
        let mut place = place(root.path(), Format::DockerJson);
        place.docker_folder = Some(root.path().join("containers/abc"));
        let log = ContainerLog::start(&place, stdout, stderr).unwrap();
        for n in 0..3 {
            let before = log.bytes();
            out.write_all(format!("line {n}\n").as_bytes()).unwrap();
            until("a line", || log.bytes() > before);
            log.rotate(3).unwrap();
        }
        drop((out, err));
        log.finish().unwrap();
        let folder = root.path().join("containers/abc");
        assert_eq!(names(&folder), ["abc-json.log", "abc-json.log.1", "abc-json.log.2"]);
        assert!(text(&folder.join("abc-json.log.1")).contains("line 2"));
        assert_eq!(fs::read_link(root.path().join("c/0.log")).unwrap(), folder.join("abc-json.log"));
    }
}

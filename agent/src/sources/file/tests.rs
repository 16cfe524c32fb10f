//! The file source over the real disk, with a time of its own: what follows what, whatever the kernel tells.

use super::os::OsDisk;
use super::{Event, FileSource, InstanceKey, Read};
use crate::types::time::Now;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

const STEP: Duration = Duration::from_millis(10);

/// A container's folder, and the source that reads it.
struct Tried {
    folder: tempfile::TempDir,
    source: FileSource<OsDisk>,
    mono: Duration,
    events: Vec<Event>,
}

impl Tried {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("ns_p_uid/c")).unwrap();
        let disk = OsDisk::new(folder.path(), &[]).unwrap();
        let log_dir = disk.log_dir().to_path_buf();
        let source = FileSource::new(disk, log_dir, 1 << 20, Vec::new(), false);
        Self { folder, source, mono: Duration::ZERO, events: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("ns_p_uid/c").join(name)
    }

    fn writer(&self, name: &str) -> File {
        File::options().create(true).append(true).open(self.path(name)).unwrap()
    }

    fn now(&self) -> Now {
        Now { wall_ns: 1, mono: self.mono }
    }

    /// Lets this much time pass; all that is found meanwhile.
    fn read_for(&mut self, time: Duration) -> String {
        let until = self.mono + time;
        let mut found = Vec::new();
        let mut buffer = [0; 4096];
        while self.mono < until {
            self.source.tick(self.now(), &|_, _| true, &mut self.events);
            while let Some(read) = self.source.next(self.now(), &mut buffer, &mut |_| true) {
                if let Read::Block { key, length, .. } = read {
                    found.extend_from_slice(&buffer[..length]);
                    self.source.consumed(key, length, false);
                }
            }
            self.mono += STEP;
        }
        String::from_utf8(found).unwrap()
    }
}

fn line(text: &str) -> String {
    format!("2026-08-22T10:00:00.000000001Z stdout F {text}\n")
}

/// Rule: the watch that sleeps is that of the file being read. One that never told anything belongs to the file before.
#[test]
fn the_file_after_a_quiet_one_is_watched_too() {
    let mut tried = Tried::new();
    let mut old = tried.writer("0.log");
    old.write_all(line("first").as_bytes()).unwrap();
    assert_eq!(tried.read_for(Duration::from_secs(1)), line("first"));
    fs::rename(tried.path("0.log"), tried.path("0.log.20261124-223000")).unwrap();
    let mut new = tried.writer("0.log");
    drop(old);
    assert_eq!(tried.read_for(Duration::from_secs(1)), "");
    for text in ["n0", "n1", "n2"] {
        new.write_all(line(text).as_bytes()).unwrap();
        assert_eq!(tried.read_for(Duration::from_millis(50)), line(text));
        assert_eq!(tried.read_for(Duration::from_secs(1)), "");
    }
}

/// Rule: what waits in a newer file is backlog, whatever its size was when it was found.
#[test]
fn what_a_newer_file_holds_is_backlog() {
    let mut tried = Tried::new();
    let mut old = tried.writer("0.log");
    old.write_all(line("first").as_bytes()).unwrap();
    tried.read_for(Duration::from_secs(1));
    fs::rename(tried.path("0.log"), tried.path("0.log.20261124-223000")).unwrap();
    let mut new = tried.writer("0.log");
    assert_eq!(tried.read_for(STEP), "", "the old file is still open");
    new.write_all(line("n0").as_bytes()).unwrap();
    assert_eq!(tried.source.backlog_of(InstanceKey(0)), line("n0").len() as u64);
    drop(old);
    assert_eq!(tried.read_for(Duration::from_millis(50)), line("n0"));
    assert_eq!(tried.source.backlog_of(InstanceKey(0)), 0);
}

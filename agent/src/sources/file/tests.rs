//! The file source over the real disk, with a time of its own: what follows what, whatever the kernel tells.

use super::disk::{Change, Disk, Inode, Name, OpenError, WatchId};
use super::os::{OsDisk, OsFile};
use super::{Event, FileSource, InstanceKey, Read};
use crate::metrics::label::RescanWhy;
use crate::types::saved::Positions;
use crate::types::time::Now;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const STEP: Duration = Duration::from_millis(10);

/// Which call the others come in between of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Listed,
    Opens,
}

/// The real disk, on which others do something in the middle of a look.
struct Meddled {
    disk: OsDisk,
    at: At,
    act: Option<Box<dyn FnMut()>>,
}

impl Meddled {
    fn meddle(&mut self, at: At) {
        if at == self.at
            && let Some(mut act) = self.act.take()
        {
            act();
        }
    }
}

impl Disk for Meddled {
    type File = OsFile;

    fn list(&mut self, folder: &Path) -> io::Result<Vec<Name>> {
        let names = self.disk.list(folder)?;
        if names.iter().any(|name| name.name == "0.log") {
            self.meddle(At::Listed);
        }
        Ok(names)
    }
    fn open(&mut self, path: &Path, is_gzip: bool) -> Result<OsFile, OpenError> {
        self.meddle(At::Opens);
        self.disk.open(path, is_gzip)
    }
    fn inode_of(&mut self, path: &Path) -> Option<Inode> {
        self.disk.inode_of(path)
    }
    fn link_target(&mut self, path: &Path) -> Option<PathBuf> {
        self.disk.link_target(path)
    }
    fn watch_folder(&mut self, folder: &Path) -> io::Result<WatchId> {
        self.disk.watch_folder(folder)
    }
    fn watch_close(&mut self, file: &OsFile) -> Option<WatchId> {
        self.disk.watch_close(file)
    }
    fn watch_growth(&mut self, file: &OsFile) -> Option<WatchId> {
        self.disk.watch_growth(file)
    }
    fn has_writer(&mut self, file: &OsFile) -> Option<bool> {
        self.disk.has_writer(file)
    }
    fn unwatch(&mut self, watch: WatchId) {
        self.disk.unwatch(watch);
    }
    fn changes(&mut self, out: &mut Vec<Change>) {
        self.disk.changes(out);
    }
}

/// A container's folder, and the source that reads it.
struct Tried {
    folder: tempfile::TempDir,
    source: FileSource<Meddled>,
    mono: Duration,
    events: Vec<Event>,
}

impl Tried {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("ns_p_uid/c")).unwrap();
        Self::over(folder, At::Listed, None)
    }

    fn over(folder: tempfile::TempDir, at: At, act: Option<Box<dyn FnMut()>>) -> Self {
        let disk = OsDisk::new(folder.path(), &[]).unwrap();
        let log_dir = disk.log_dir().to_path_buf();
        let disk = Meddled { disk, at, act };
        let source = FileSource::new(disk, log_dir, 1 << 20, Positions::default(), false);
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

    /// Lets this much time pass; the whole lines that are found meanwhile.
    fn read_for(&mut self, time: Duration) -> String {
        let until = self.mono + time;
        let mut found = Vec::new();
        let mut buffer = [0; 4096];
        while self.mono < until {
            self.source.tick(self.now(), &|_, _| true, &mut self.events);
            while let Some(read) = self.source.next(self.now(), &mut buffer, &mut |_| Some(usize::MAX)) {
                if let Read::Block { key, length, .. } = read {
                    let whole = memchr::memrchr(b'\n', &buffer[..length]).map_or(0, |at| at + 1);
                    found.extend_from_slice(&buffer[..whole]);
                    self.source.consumed(key, whole, false);
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

/// Rule: a file that ends with half a line is at rest all the same: a full disk leaves it so for as long as it is full.
#[test]
fn half_a_line_at_the_end_is_no_unrest() {
    let mut tried = Tried::new();
    let mut writer = tried.writer("0.log");
    let (text, half) = (line("first"), "2026-08-22T10:00:00.0000");
    for (written, whole) in [(format!("{text}{half}"), text.as_str()), ("000".to_owned(), "")] {
        writer.write_all(written.as_bytes()).unwrap();
        assert!(!tried.source.is_at_rest(InstanceKey(0)), "{written:?} has not been seen");
        assert_eq!(tried.read_for(Duration::from_secs(1)), whole);
        assert!(tried.source.is_at_rest(InstanceKey(0)), "after {written:?}");
    }
    writer.write_all(b"01Z stdout F second\n").unwrap();
    assert_eq!(tried.read_for(Duration::from_secs(1)), format!("{half}00001Z stdout F second\n"));
    assert!(tried.source.is_at_rest(InstanceKey(0)));
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

/// Rule: files are read in the order in which they were written, also where they are rotated in the middle of a look.
#[test]
fn a_rotation_in_the_middle_of_a_look_does_not_change_the_order() {
    for at in [At::Listed, At::Opens] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("ns_p_uid/c");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("0.log"), line("one")).unwrap();
        let rotate = move || {
            for (rotated, text) in [("0.log.20261124-223000", "two"), ("0.log.20261124-223010", "three")] {
                fs::rename(dir.join("0.log"), dir.join(rotated)).unwrap();
                fs::write(dir.join("0.log"), line(text)).unwrap();
            }
        };
        let mut tried = Tried::over(folder, at, Some(Box::new(rotate)));
        let found = tried.read_for(Duration::from_secs(2));
        assert_eq!(found, [line("one"), line("two"), line("three")].concat(), "{at:?}");
    }
}

/// Rule: a name is one file's. One that was packed or copied while no change was told has none of the names there.
#[test]
fn a_file_that_was_replaced_by_its_copy_unseen_keeps_its_place() {
    let mut tried = Tried::new();
    let mut one = tried.writer("0.log");
    one.write_all(line("one").as_bytes()).unwrap();
    tried.read_for(STEP);
    fs::rename(tried.path("0.log"), tried.path("0.log.20261124-223000")).unwrap();
    fs::write(tried.path("0.log"), line("two")).unwrap();
    assert_eq!(tried.read_for(STEP), "", "the first one is still open");
    fs::copy(tried.path("0.log"), tried.path("0.log.20261124-223010")).unwrap();
    fs::remove_file(tried.path("0.log")).unwrap();
    fs::write(tried.path("0.log.20261124-223020"), line("three")).unwrap();
    fs::write(tried.path("0.log"), line("four")).unwrap();
    tried.read_for(STEP);
    drop(one);
    let found = tried.read_for(Duration::from_secs(1));
    assert_eq!(found, [line("two"), line("three"), line("four")].concat());
}

/// Rule: what a file holds since it was emptied comes before the files that followed it, also where all are deleted.
#[test]
fn a_file_that_was_emptied_and_deleted_unseen_keeps_its_place() {
    let mut tried = Tried::new();
    fs::write(tried.path("0.log"), line("one")).unwrap();
    tried.read_for(STEP);
    fs::write(tried.path("0.log"), line("two")).unwrap();
    fs::rename(tried.path("0.log"), tried.path("0.log.20261124-223000")).unwrap();
    fs::write(tried.path("0.log"), line("three")).unwrap();
    // Not looked into meanwhile: memory is full.
    for names in [vec![], vec!["0.log", "0.log.20261124-223000"]] {
        names.iter().for_each(|name| fs::remove_file(tried.path(name)).unwrap());
        tried.source.rescan(tried.now(), &|_, _| true, RescanWhy::Interval);
        tried.source.tick(tried.now(), &|_, _| true, &mut tried.events);
        assert_eq!(tried.source.next(tried.now(), &mut [], &mut |_| None), None);
    }
    let found = tried.read_for(Duration::from_secs(15));
    assert_eq!(found, [line("two"), line("three")].concat());
}

/// Rule: what was lost unread is counted, and nothing else is.
#[test]
fn a_file_that_is_gone_before_it_is_opened_is_counted() {
    let mut tried = Tried::new();
    tried.writer("0.log").write_all(line("a").as_bytes()).unwrap();
    tried.read_for(STEP);
    // Rotated twice between two looks, the second of the three files deleted.
    fs::rename(tried.path("0.log"), tried.path("0.log.20260822-100000")).unwrap();
    tried.writer("0.log").write_all(line("b").as_bytes()).unwrap();
    fs::rename(tried.path("0.log"), tried.path("0.log.20260822-100001")).unwrap();
    tried.writer("0.log").write_all(line("c").as_bytes()).unwrap();
    fs::remove_file(tried.path("0.log.20260822-100001")).unwrap();
    tried.writer("notes.txt");
    fs::remove_file(tried.path("notes.txt")).unwrap();
    let found = tried.read_for(STEP * 100);
    assert!(found.contains(" c\n") && !found.contains(" b\n"), "{found}");
    fs::remove_file(tried.path("0.log.20260822-100000")).unwrap();
    tried.read_for(STEP * 2);
    let lost = tried.events.iter().filter_map(|event| match event {
        Event::Dropped { files, .. } => Some(*files),
        _ => None,
    });
    assert_eq!(lost.sum::<u64>(), 1);
}

//! A logger: a process that starts writers behind pipes, drains these, and has the log file open.
//!
//! In: scripts for `sh`. Out: the writers' process numbers and pipes. Never: a process left behind.

use super::super::{FoundPipe, Looker, Places, ProcessId};
use crate::types::capture::Owner;
use crate::types::position::StdStream;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Tells the process below which file to open.
const LOG: &str = "PENSTOCK_TEST_LOG";
/// Stands before what it says, among what the test harness prints.
const SAYS: &str = "spawned ";
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// One writer, as the logger says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) pid: u32,
    pub(super) out: u64,
    pub(super) err: u64,
}

impl Writer {
    /// Ends it and all it started.
    pub(super) fn kill(&self) {
        kill_process_group(Pid::from_raw(self.pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    }
}

/// The logger's process. Dropping it ends it and its writers.
pub(super) struct Logger {
    process: Child,
    says: Lines<BufReader<ChildStdout>>,
    pub(super) folder: TempDir,
}

impl Logger {
    /// One that writes `ns_pod_uid/app/0.log` of a log directory of its own.
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("pods/ns_pod_uid/app/0.log");
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        let name = concat!(module_path!(), "::is_a_logger_where_told_so");
        let name = name.split_once("::").unwrap().1;
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(LOG, log)
            .env("D", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, says, folder }
    }

    /// Starts `sh -c SCRIPT` behind pipes of its own; `$D` is a folder for it. Where the script makes `$D/ready`, that is
    /// waited for.
    pub(super) fn spawn(&mut self, script: &str) -> Writer {
        let ready = self.folder.path().join("ready");
        let _none_yet = std::fs::remove_file(&ready);
        writeln!(self.process.stdin.as_ref().unwrap(), "{script}").unwrap();
        let said = self.says.find_map(|line| Some(line.unwrap().split_once(SAYS)?.1.to_owned())).unwrap();
        let mut numbers = said.split(' ').map(|number| number.parse::<u64>().unwrap());
        let mut next = || numbers.next().unwrap();
        let writer = Writer { pid: next().try_into().unwrap(), out: next(), err: next() };
        if script.contains("ready") {
            until("the writer is ready", || ready.exists());
        }
        writer
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn places(&self) -> Places {
        Places {
            procfs: "/proc".into(),
            log_dir: self.folder.path().canonicalize().unwrap().join("pods"),
            link_dirs: Vec::new(),
        }
    }

    pub(super) fn looker(&self) -> Looker {
        Looker::new(self.places()).unwrap()
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

/// The owner of all that such a logger drains.
pub(super) fn owner() -> Owner {
    Owner::Instance { pod_folder: "ns_pod_uid".into(), container: "app".into(), restart: 0 }
}

/// Waits for what other processes are about to do.
#[expect(clippy::disallowed_methods, reason = "other processes have no clock that could be moved")]
pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "not so: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a looker knows now: std streams and writers by inode.
pub(super) fn known(looker: &Looker) -> BTreeMap<u64, (Option<StdStream>, u32)> {
    let entry = |pipe: &FoundPipe| (pipe.inode, (pipe.std_stream, pipe.ends.writer.pid));
    looker.pipes().map(entry).collect()
}

/// As in `stat`.
pub(super) fn id(pid: u32) -> ProcessId {
    let stat = super::super::procfs::Procfs::new("/proc".into()).stat(pid).unwrap();
    ProcessId { started: stat.started, pid }
}

/// Not a test but the logger's process: each line it is told is a script to run behind pipes.
#[test]
#[expect(clippy::disallowed_methods, reason = "the one way to tell a test something")]
fn is_a_logger_where_told_so() {
    let Ok(log) = std::env::var(LOG).map(PathBuf::from) else { return };
    let _log = OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut children = Vec::new();
    for script in io::stdin().lines().map_while(Result::ok) {
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        println!("{SAYS}{} {} {}", child.id(), inode(&out), inode(&err));
        children.push(child.id());
        std::thread::spawn(move || drain(out));
        std::thread::spawn(move || drain(err));
        std::thread::spawn(move || child.wait());
    }
    for child in children {
        let _ended_before = kill_process_group(Pid::from_raw(child.cast_signed()).unwrap(), Signal::KILL);
    }
}

fn inode(pipe: &impl std::os::fd::AsFd) -> u64 {
    rustix::fs::fstat(pipe).unwrap().st_ino
}

fn drain(mut pipe: impl Read) {
    io::copy(&mut pipe, &mut io::sink()).unwrap();
}

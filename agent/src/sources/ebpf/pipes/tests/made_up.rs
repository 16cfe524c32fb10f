//! A made-up procfs: what the tests of the runtimes' ways look at.

use super::super::{Looker, Places};
use rustix::fs::{FileType, Mode};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// How a descriptor is open.
#[derive(Clone, Copy)]
pub(super) enum Open {
    Read,
    Write,
}

/// A tree of processes, log directory and links.
pub(super) struct MadeUp {
    folder: TempDir,
}

impl MadeUp {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["proc", "pods", "links"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub(super) fn looker(&self) -> Looker {
        let [procfs, log_dir, links] = ["proc", "pods", "links"].map(|name| self.folder.path().join(name));
        Looker::new(Places { procfs, log_dir, link_dirs: vec![links] }).unwrap()
    }

    /// A process with this parent, start time and cgroup. May be called again to change these.
    pub(super) fn process(&self, pid: u32, parent: u32, started: u64, cgroup: &str) {
        let folder = self.process_folder(pid);
        for name in ["fd", "fdinfo"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let stat = format!("{pid} (a) S {parent} 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {started} 9 9\n");
        fs::write(folder.join("stat"), stat).unwrap();
        fs::write(folder.join("cgroup"), format!("{cgroup}\n")).unwrap();
    }

    pub(super) fn end(&self, pid: u32) {
        fs::remove_dir_all(self.process_folder(pid)).unwrap();
    }

    pub(super) fn pipe(&self, pid: u32, descriptor: u32, inode: u64, open: Open) {
        self.open(pid, descriptor, Path::new(&format!("pipe:[{inode}]")), open);
    }

    /// A file of the log directory, open for writing.
    pub(super) fn log(&self, pid: u32, descriptor: u32, name: &str) {
        self.open(pid, descriptor, &self.folder.path().join("pods").join(name), Open::Write);
    }

    /// A named pipe, open for reading.
    pub(super) fn fifo(&self, pid: u32, descriptor: u32) {
        let path = self.folder.path().join(format!("fifo-{pid}-{descriptor}"));
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        self.open(pid, descriptor, &path, Open::Read);
    }

    pub(super) fn close(&self, pid: u32, descriptor: u32) {
        fs::remove_file(self.process_folder(pid).join(format!("fd/{descriptor}"))).unwrap();
    }

    /// What the kubelet makes once a container has started.
    pub(super) fn link(&self, id: &str, log: &str) {
        let name = self.folder.path().join(format!("links/pod_ns_app-{id}.log"));
        symlink(Path::new("/var/log/pods").join(log), name).unwrap();
    }

    fn open(&self, pid: u32, descriptor: u32, target: &Path, open: Open) {
        let folder = self.process_folder(pid);
        symlink(target, folder.join(format!("fd/{descriptor}"))).unwrap();
        let flags = match open {
            Open::Read => "02004000",
            Open::Write => "0100001",
        };
        fs::write(folder.join(format!("fdinfo/{descriptor}")), format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t15\n"))
            .unwrap();
    }

    fn process_folder(&self, pid: u32) -> std::path::PathBuf {
        self.folder.path().join(format!("proc/{pid}"))
    }
}

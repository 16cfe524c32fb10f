//! Containers, their runtime and the kubelet: who writes, rotates, packs, deletes and restarts.
//!
//! In: what the seed draws. Out: files on the fake disk as containerd, conmon and docker leave them, and the books.
//! Source of the manners: containerd opens the new file first and flushes its half line into the old one afterwards,
//! as `P`; the kubelet renames, packs at the next rotation, deletes at the one after.

use super::disk::Fs;
use super::lines::{Book, Excuse, File, Stream};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// A pod of the node.
#[derive(Clone, Debug)]
pub(super) struct PodPlan {
    /// `NAMESPACE_POD_UID`
    pub(super) folder: String,
    /// UID.
    pub(super) uid: String,
    /// Its lines are JSON.
    pub(super) is_json: bool,
    /// Value of its label `app`.
    pub(super) app: String,
}

/// What a container's files look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `TIME stdout F content`
    Cri,
    /// `{"log":…}`
    Docker,
}

#[derive(Debug)]
struct Handle {
    inode: u64,
    file: usize,
}

/// The line that a container is writing: its number and what the file does not have yet.
#[derive(Debug)]
struct Pending {
    line: usize,
    rest: Vec<u8>,
}

#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    file: usize,
    is_gzip: bool,
}

/// A container, with its present instance.
#[derive(Debug)]
pub(super) struct Container {
    /// Its pod, by number.
    pub(super) pod: usize,
    dir: PathBuf,
    folder: String,
    format: Format,
    is_json: bool,
    tick: Vec<u8>,
    restart: u32,
    streams: [usize; 2],
    live: Option<Handle>,
    old: Option<Handle>,
    /// Half lines that go into the old file, late: std stream, line, content.
    late: Vec<(usize, usize, Vec<u8>)>,
    /// Physical lines that the runtime has not written yet.
    unwritten: Vec<u8>,
    pending: [Option<Pending>; 2],
    rotated: Vec<Rotated>,
    before: Vec<(PathBuf, usize)>,
    instance: usize,
    files: usize,
    /// Nothing is written before this: the agent must be able to see a truncation.
    quiet_until: Duration,
    is_deleted: bool,
    /// When the runtime closes the file before the live one.
    old_until: Duration,
}

/// All of it.
pub(super) struct Node {
    /// The disk.
    pub(super) fs: Rc<RefCell<Fs>>,
    /// The books.
    pub(super) book: Book,
    /// Pods.
    pub(super) pods: Vec<PodPlan>,
    /// Containers.
    pub(super) containers: Vec<Container>,
    /// Wall clock.
    pub(super) wall_ns: i64,
    /// Lines are stamped this coarsely: equal times happen.
    pub(super) stamp_ns: i64,
    /// Share of lines equal to others.
    pub(super) tick_share: f64,
    /// Share of lines that no runtime writes.
    pub(super) odd_share: f64,
    /// The longest usual line.
    pub(super) line_bytes_max: usize,
    /// Share of lines that Loki will not understand.
    pub(super) poison_share: f64,
    instances: usize,
    rotations: u64,
    log_dir: PathBuf,
    random: fastrand::Rng,
}

impl Node {
    /// A node without pods.
    pub(super) fn new(fs: Rc<RefCell<Fs>>, log_dir: &Path, seed: u64) -> Self {
        Self {
            fs,
            book: Book::default(),
            pods: Vec::new(),
            containers: Vec::new(),
            wall_ns: 0,
            stamp_ns: 1,
            tick_share: 0.0,
            odd_share: 0.0,
            line_bytes_max: 120,
            poison_share: 0.0,
            instances: 0,
            rotations: 0,
            log_dir: log_dir.to_path_buf(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Adds a pod with its containers.
    pub(super) fn add_pod(&mut self, pod: PodPlan, containers: usize, format: Format) {
        let number = self.pods.len();
        let path = self.log_dir.join(&pod.folder);
        self.fs.borrow_mut().make_folder(&path);
        for container in 0..containers {
            let dir = path.join(format!("c{container}"));
            self.fs.borrow_mut().make_folder(&dir);
            self.containers.push(Container {
                pod: number,
                folder: format!("{}/c{container}", pod.folder),
                dir,
                format,
                is_json: pod.is_json,
                tick: format!("tick {}", pod.app).into_bytes(),
                restart: 0,
                streams: [0; 2],
                live: None,
                old: None,
                late: Vec::new(),
                unwritten: Vec::new(),
                pending: [None, None],
                rotated: Vec::new(),
                before: Vec::new(),
                instance: 0,
                files: 0,
                quiet_until: Duration::ZERO,
                is_deleted: false,
                old_until: Duration::ZERO,
            });
            self.start_instance(self.containers.len() - 1, number, pod.is_json);
        }
        self.pods.push(pod);
    }

    fn start_instance(&mut self, at: usize, pod: usize, has_own_times: bool) {
        let Self { book, containers, instances, .. } = self;
        let container = &mut containers[at];
        container.instance = *instances;
        container.files = 0;
        *instances += 1;
        container.streams = [0, 1].map(|_| {
            book.streams.push(Stream { pod, lines: Vec::new(), has_own_times });
            book.streams.len() - 1
        });
        container.live = Some(open_live(&self.fs, book, container));
    }

    /// Writes some: a line, a part of one, or what was held back.
    pub(super) fn write(&mut self, at: usize, now: Duration) {
        if self.containers[at].live.is_none() || now < self.containers[at].quiet_until {
            return;
        }
        for _ in 0..self.random.usize(1..6) {
            let std_stream = usize::from(self.random.u8(..4) == 0);
            if self.containers[at].pending[std_stream].is_none() {
                self.begin_line(at, std_stream);
            }
            let parts = self.random.usize(1..4);
            for _ in 0..parts {
                self.emit(at, std_stream, false);
            }
        }
        let unwritten = self.containers[at].unwritten.len();
        let bytes = if self.random.u8(..3) == 0 { self.random.usize(0..=unwritten) } else { unwritten };
        self.flush(at, bytes);
    }

    fn begin_line(&mut self, at: usize, std_stream: usize) {
        let number = self.book.lines.len();
        let (stream, is_json) = (self.containers[at].streams[std_stream], self.containers[at].is_json);
        let is_tick = self.random.f64() < self.tick_share;
        let filler = match self.random.u8(..40) {
            0 => 300_000.min(self.line_bytes_max * 40),
            1 => self.line_bytes_max * 10,
            _ => self.random.usize(0..self.line_bytes_max),
        };
        let text = if is_tick {
            self.containers[at].tick.clone()
        } else if is_json {
            let level = ["info", "warn", "error"][self.random.usize(..3)];
            let own = humantime_like(self.wall_ns - self.random.i64(0..2_000_000_000));
            let filler = "x".repeat(filler.min(3_000));
            format!(r##"{{"id":"#{number}#","level":"{level}","timestamp":"{own}","message":"{filler}"}}"##)
                .into_bytes()
        } else {
            let poison = if self.random.f64() < self.poison_share { " POISON" } else { "" };
            let mut text = format!("line #{number}#{poison} ").into_bytes();
            text.extend((0..filler).map(|place| b'a' + (place % 23) as u8));
            text
        };
        let mut rest = text.clone();
        rest.resize(rest.len() + [0, 0, 0, 0, 0, 1, 2][self.random.usize(..7)], b'\r');
        let line = self.book.begin(stream, text, is_tick);
        self.containers[at].pending[std_stream] = Some(Pending { line, rest });
    }

    /// Writes the next part of the pending line; `is_all`: the whole rest, and its end.
    fn emit(&mut self, at: usize, std_stream: usize, is_all: bool) {
        let odd = self.random.f64() < self.odd_share;
        let cut = self.random.u8(..3) == 0;
        let Some(pending) = &mut self.containers[at].pending[std_stream] else { return };
        let length = pending.rest.len();
        let bytes =
            if is_all || length == 0 || (!cut && length < 16_384) { length } else { self.random.usize(0..length) };
        let bytes = bytes.min(16_384);
        let content: Vec<u8> = pending.rest.drain(..bytes).collect();
        let is_last = pending.rest.is_empty() && (is_all || !cut || bytes == length);
        let line = pending.line;
        if is_last {
            self.containers[at].pending[std_stream] = None;
        }
        if odd && std_stream == 0 && self.containers[at].pending[0].is_none() && is_last {
            self.hole(at);
        }
        let physical = self.physical(at, std_stream, &content, is_last);
        let container = &mut self.containers[at];
        if let Some(live) = &container.live {
            let written = self.fs.borrow().node(live.inode).map_or(0, |node| node.bytes.len());
            self.book.part(line, std_stream, live.file, (written + container.unwritten.len()) as u64, is_last);
            container.unwritten.extend_from_slice(&physical);
        }
        if is_all && !is_last {
            self.emit(at, std_stream, true);
        }
    }

    /// NUL bytes, as a crash of a node leaves them.
    fn hole(&mut self, at: usize) {
        let nuls = self.random.usize(1..40);
        let unwritten = self.containers[at].unwritten.len();
        if unwritten == 0 && self.containers[at].format == Format::Cri {
            self.containers[at].unwritten.resize(nuls, 0);
        }
    }

    fn physical(&mut self, at: usize, std_stream: usize, content: &[u8], is_last: bool) -> Vec<u8> {
        let time = humantime_like(self.wall_ns / self.stamp_ns * self.stamp_ns);
        let name = ["stdout", "stderr"][std_stream];
        match self.containers[at].format {
            Format::Cri => {
                let mut line = format!("{time} {name} {} ", if is_last { 'F' } else { 'P' }).into_bytes();
                line.extend_from_slice(content);
                line.push(b'\n');
                line
            }
            Format::Docker => {
                let mut log = String::from_utf8_lossy(content).into_owned();
                if is_last {
                    log.push('\n');
                }
                format!("{}\n", serde_json::json!({ "log": log, "stream": name, "time": time })).into_bytes()
            }
        }
    }

    fn flush(&mut self, at: usize, bytes: usize) {
        let container = &mut self.containers[at];
        let Some(live) = &container.live else { return };
        let written: Vec<u8> = container.unwritten.drain(..bytes).collect();
        if written.is_empty() {
            return;
        }
        let mut fs = self.fs.borrow_mut();
        fs.append(live.inode, &written);
        if let Some(node) = fs.node(live.inode) {
            self.book.learn_id(live.file, &node.bytes);
        }
    }

    /// The kubelet rotates: by renaming, and the runtime opens anew.
    pub(super) fn rotate(&mut self, at: usize, now: Duration) {
        if self.containers[at].live.is_none() || self.containers[at].old.is_some() {
            return;
        }
        self.flush(at, self.containers[at].unwritten.len());
        self.tidy(at);
        let Some(live) = self.containers[at].live.take() else { return };
        if self.fs.borrow().node(live.inode).is_none_or(|node| node.bytes.is_empty()) {
            self.containers[at].live = Some(live);
            return;
        }
        self.rotations += 1;
        let container = &mut self.containers[at];
        let name = container.dir.join(format!("{}.log", container.restart));
        let to = container.dir.join(format!("{}.log.{}", container.restart, suffix(self.rotations)));
        self.fs.borrow_mut().rename(&name, &to);
        self.book.tell(|| format!("  rotated to {}, file {}", to.display(), live.file));
        container.rotated.push(Rotated { path: to, file: live.file, is_gzip: false });
        for std_stream in 0..2 {
            if container.format == Format::Cri
                && self.random.bool()
                && let Some(pending) = &mut container.pending[std_stream]
                && !pending.rest.is_empty()
            {
                let bytes = self.random.usize(1..=pending.rest.len());
                let content = pending.rest.drain(..bytes).collect();
                container.late.push((std_stream, pending.line, content));
            }
        }
        container.old = Some(live);
        container.old_until = now + Duration::from_millis(self.random.u64(..800));
        container.live = Some(open_live(&self.fs, &mut self.book, container));
    }

    /// Closes old files whose time has come: the runtime does so soon after a rotation.
    pub(super) fn close_due(&mut self, now: Duration) {
        for at in 0..self.containers.len() {
            if now >= self.containers[at].old_until {
                self.close_old(at);
            }
        }
    }

    /// When the next old file is closed.
    pub(super) fn next_close(&self) -> Option<Duration> {
        self.containers.iter().filter(|container| container.old.is_some()).map(|container| container.old_until).min()
    }

    /// The runtime flushes its half lines into the old file and closes it.
    pub(super) fn close_old(&mut self, at: usize) {
        let late = std::mem::take(&mut self.containers[at].late);
        let Some(old) = self.containers[at].old.take() else { return };
        for (std_stream, line, content) in late {
            let physical = self.physical(at, std_stream, &content, false);
            let offset = self.fs.borrow().node(old.inode).map_or(0, |node| node.bytes.len());
            self.part_before(line, std_stream, old.file, offset as u64);
            self.fs.borrow_mut().append(old.inode, &physical);
        }
        let mut fs = self.fs.borrow_mut();
        if let Some(node) = fs.node(old.inode) {
            self.book.learn_id(old.file, &node.bytes);
        }
        fs.close(old.inode);
    }

    /// A part in an older file than the rest, which may stand in the newer one already.
    fn part_before(&mut self, line: usize, std_stream: usize, file: usize, offset: u64) {
        let place = |file: usize| self.book.files[file].place;
        let known = &self.book.lines[line];
        let (is_complete, last) = (known.is_complete, known.last_file.filter(|last| place(*last) > place(file)));
        if let Some((newer, _)) = known.start.filter(|(start, _)| place(*start) > place(file)) {
            self.book.files[newer].starts.retain(|(.., number)| *number != line);
            self.book.lines[line].start = None;
        }
        self.book.part(line, std_stream, file, offset, is_complete);
        if last.is_some() {
            self.book.lines[line].last_file = last;
        }
    }

    /// Packs the newest rotated file, deletes those beyond three.
    fn tidy(&mut self, at: usize) {
        if self.random.u8(..4) > 0
            && let Some(rotated) = self.containers[at].rotated.last_mut().filter(|rotated| !rotated.is_gzip)
        {
            let mut fs = self.fs.borrow_mut();
            let content = fs.content(&rotated.path).unwrap_or_default();
            let packed = PathBuf::from(format!("{}.gz", rotated.path.display()));
            fs.create(&packed, content, rotated.file, true, false);
            fs.unlink(&rotated.path);
            (rotated.path, rotated.is_gzip) = (packed, true);
        }
        while self.containers[at].rotated.len() > 3 {
            let rotated = self.containers[at].rotated.remove(0);
            self.delete(&rotated.path, rotated.file);
        }
    }

    fn delete(&mut self, path: &Path, file: usize) {
        self.book.tell(|| format!("  {} is deleted, file {file}", path.display()));
        self.fs.borrow_mut().unlink(path);
        self.book.files[file].names -= 1;
        if self.book.files[file].names == 0 && !self.fs.borrow().is_held(file) {
            self.book.excuse(file, Excuse::Gone);
        }
    }

    /// The agent died: what only its descriptors kept alive is gone.
    pub(super) fn agent_died(&mut self) {
        for file in 0..self.book.files.len() {
            if self.book.files[file].names == 0 {
                self.book.excuse(file, Excuse::Gone);
            }
        }
    }

    /// Somebody copies the live file and empties it.
    pub(super) fn copy_and_truncate(&mut self, at: usize, now: Duration) {
        if self.containers[at].live.is_none() {
            return;
        }
        self.close_old(at);
        self.flush(at, self.containers[at].unwritten.len());
        self.tidy(at);
        let Some(live) = &self.containers[at].live else { return };
        let (inode, file) = (live.inode, live.file);
        let content = self.fs.borrow().node(inode).map(|node| node.bytes.clone()).unwrap_or_default();
        // Before the first look at a file nobody can know that it was emptied.
        let is_known = self.book.files[file].starts.iter().any(|(.., line)| self.book.lines[*line].stored.is_some());
        if content.is_empty() || !is_known || !self.fs.borrow().is_held(file) {
            return;
        }
        self.rotations += 1;
        let container = &mut self.containers[at];
        let path = container.dir.join(format!("{}.log.{}", container.restart, suffix(self.rotations)));
        let mut fs = self.fs.borrow_mut();
        fs.create(&path, content, file, false, false);
        container.rotated.push(Rotated { path, file, is_gzip: false });
        fs.truncate(inode);
        let new = File {
            place: (container.instance, container.files),
            starts: Vec::new(),
            id: None,
            names: 1,
            ..self.book.files[file].clone()
        };
        container.files += 1;
        self.book.files.push(new);
        let number = self.book.files.len() - 1;
        fs.set_tag(inode, number);
        container.live = Some(Handle { inode, file: number });
        container.quiet_until = now + Duration::from_secs(5);
    }

    /// The container ends: a last line without its newline stays a part for ever.
    pub(super) fn end(&mut self, at: usize) {
        self.close_old(at);
        for std_stream in 0..2 {
            let Some(Pending { line, rest }) = self.containers[at].pending[std_stream].take() else { continue };
            if rest.is_empty() || self.containers[at].format == Format::Docker {
                self.containers[at].pending[std_stream] = Some(Pending { line, rest });
                self.emit(at, std_stream, true);
                continue;
            }
            let physical = self.physical(at, std_stream, &rest, false);
            let container = &mut self.containers[at];
            if let Some(live) = &container.live {
                let written = self.fs.borrow().node(live.inode).map_or(0, |node| node.bytes.len());
                self.book.part(line, std_stream, live.file, (written + container.unwritten.len()) as u64, true);
            }
            container.unwritten.extend_from_slice(&physical);
        }
        self.flush(at, self.containers[at].unwritten.len());
        let container = &mut self.containers[at];
        if let Some(live) = container.live.take() {
            self.fs.borrow_mut().close(live.inode);
            let path = container.dir.join(format!("{}.log", container.restart));
            container.rotated.push(Rotated { path, file: live.file, is_gzip: false });
        }
    }

    /// Starts it again, with the next number. Files of the instance before the last one go.
    pub(super) fn restart(&mut self, at: usize) {
        if self.containers[at].is_deleted {
            return;
        }
        if self.containers[at].live.is_some() {
            self.end(at);
        }
        for (path, file) in std::mem::take(&mut self.containers[at].before) {
            self.delete(&path, file);
        }
        let container = &mut self.containers[at];
        container.before = container.rotated.drain(..).map(|rotated| (rotated.path, rotated.file)).collect();
        container.restart += 1;
        let (pod, is_json) = (container.pod, container.is_json);
        self.start_instance(at, pod, is_json);
    }

    /// The pod is deleted, and all its files.
    pub(super) fn delete_pod(&mut self, pod: usize) {
        for at in 0..self.containers.len() {
            if self.containers[at].pod != pod || self.containers[at].is_deleted {
                continue;
            }
            self.end(at);
            self.containers[at].is_deleted = true;
            let files: Vec<_> =
                self.containers[at].rotated.drain(..).map(|rotated| (rotated.path, rotated.file)).collect();
            for (path, file) in std::mem::take(&mut self.containers[at].before).into_iter().chain(files) {
                self.delete(&path, file);
            }
            let dir = self.containers[at].dir.clone();
            self.fs.borrow_mut().remove_folder(&dir);
        }
        let path = self.log_dir.join(&self.pods[pod].folder);
        self.fs.borrow_mut().remove_folder(&path);
    }

    /// Ends every pending line with its newline.
    pub(super) fn finish_lines(&mut self) {
        for at in 0..self.containers.len() {
            self.close_old(at);
            if self.containers[at].live.is_none() && !self.containers[at].is_deleted {
                // Only so can an agent that was started since then know that the former instance is over.
                self.restart(at);
            }
            for std_stream in 0..2 {
                self.emit(at, std_stream, true);
            }
            self.flush(at, self.containers[at].unwritten.len());
        }
    }
}

/// As the kubelet names them, by time; here every rotation has a second of its own.
fn suffix(rotations: u64) -> String {
    format!("20260822-{:02}{:02}{:02}", rotations / 3600, rotations / 60 % 60, rotations % 60)
}

fn open_live(fs: &Rc<RefCell<Fs>>, book: &mut Book, container: &mut Container) -> Handle {
    let path = container.dir.join(format!("{}.log", container.restart));
    let inode = fs.borrow_mut().create(&path, Vec::new(), book.files.len(), false, true);
    book.files.push(File {
        folder: container.folder.clone(),
        restart: container.restart,
        place: (container.instance, container.files),
        starts: Vec::new(),
        id: None,
        names: 1,
    });
    container.files += 1;
    Handle { inode, file: book.files.len() - 1 }
}

/// RFC 3339 with nine digits, trailing zeros cut as containerd does.
fn humantime_like(time_ns: i64) -> String {
    let since = Duration::from_nanos(u64::try_from(time_ns).unwrap_or(0));
    let text = humantime::format_rfc3339_nanos(std::time::UNIX_EPOCH + since).to_string();
    let text = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{text}Z")
}

//! Containers, their runtime and the kubelet: who writes, rotates, packs, deletes and restarts.
//!
//! In: what the seed draws. Out: files on the fake disk as containerd, conmon and docker leave them, and the books.
//! Source of the manners: containerd opens the new file first and flushes its half line into the old one afterwards,
//! as `P`; the kubelet renames, packs at the next rotation, deletes at the one after.

mod kubelet;
mod write;

use super::disk::Fs;
use super::kernel::Kernel;
use super::lines::{Book, File, Stream};
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
    pipes: [usize; 2],
    live: Option<Handle>,
    old: Option<Handle>,
    /// Half lines that go into the old file, late: std stream, line, content.
    late: Vec<(usize, usize, Vec<u8>)>,
    /// Physical lines that the runtime has not written yet.
    unwritten: Vec<u8>,
    /// When it writes them.
    write_at: Option<Duration>,
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
    /// Its kernel.
    pub(super) kernel: Rc<RefCell<Kernel>>,
    /// The runtime holds lines back.
    pub(super) holds_back: bool,
    /// The longest time from the pipe into the file.
    pub(super) lag_max: Duration,
    /// Containers write whole lines, one std stream each for most of the time.
    pub(super) is_steady: bool,
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
    pub(super) fn new(fs: Rc<RefCell<Fs>>, kernel: Rc<RefCell<Kernel>>, log_dir: &Path, seed: u64) -> Self {
        Self {
            fs,
            kernel,
            holds_back: true,
            lag_max: Duration::ZERO,
            is_steady: false,
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
                pipes: [0; 2],
                live: None,
                old: None,
                late: Vec::new(),
                unwritten: Vec::new(),
                write_at: None,
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
        let (pod_folder, name) = container.folder.split_once('/').unwrap_or_default();
        let uid = pod_folder.rsplit('_').next().unwrap_or_default();
        container.pipes = self.kernel.borrow_mut().open(pod_folder, uid, name, container.restart);
    }
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

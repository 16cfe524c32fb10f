//! The file source: finds the log files of the containers that are wanted, keeps them open over renames and
//! deletion, and hands out their bytes in turn, block by block, in the order in which they were written.
//!
//! In: word of changes from the disk, the time, who is wanted. Out: blocks of bytes with their positions, and
//! events. Never: a look into lines, or a clock.

pub mod adopt;
pub mod disk;
pub mod gzip;
pub mod identity;
mod instance;
pub mod names;
mod order;
pub mod os;
pub mod passing;
mod rhythm;
pub mod save;
mod shed;
#[cfg(test)]
mod tests;
mod tree;
mod turn;

use crate::limits::{LOOK_AGAIN, RESCAN_INTERVAL};
use crate::metrics::label::{DropReason, RescanWhy};
use crate::types::position::{FileId, FilePosition};
use crate::types::saved::{Positions, SavedAhead, SavedFile, SavedStream};
use crate::types::time::Now;
use disk::{Change, Disk, WatchId};
use instance::{Instance, Pace};
use rhythm::Rhythm;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

/// Names a container instance while it is held. Reused after [`FileSource::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceKey(pub u32);

/// What [`FileSource::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// `length` bytes are in the buffer.
    Block {
        /// Whose.
        key: InstanceKey,
        /// Where the first of them is.
        at: FilePosition,
        /// How many.
        length: usize,
        /// It may be that only the room for them ends there, and the file goes on.
        is_full: bool,
        /// The file ends with them: a last line without a newline is complete.
        is_last: bool,
    },
    /// A file is finished; the next bytes are from the next one.
    FileEnd {
        /// Whose.
        key: InstanceKey,
        /// Bytes are missing between the two: what is open will not be finished.
        is_cut: bool,
    },
    /// The container instance has ended: what is open will not be finished.
    Ended {
        /// Whose.
        key: InstanceKey,
    },
}

/// Where a std stream begins that was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Lines before this are answered for.
    pub at: FilePosition,
    /// What else is known of that place.
    pub saved: SavedStream,
}

/// What happened to the files, for the pipeline and the metrics.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A container instance is held from now on.
    Appeared {
        /// Its key.
        key: InstanceKey,
        /// `NAMESPACE_POD_UID`
        pod_folder: String,
        /// Container name.
        container: String,
        /// Restart counter.
        restart: u32,
        /// Where stdout and stderr go on, where they were read before.
        resume: [Option<Resume>; 2],
    },
    /// All its files are finished and deleted: nothing more can come.
    Gone(InstanceKey),
    /// It is not wanted any more.
    Unwanted(InstanceKey),
    /// Bytes that cannot be read any more.
    Dropped {
        /// Why.
        reason: DropReason,
        /// As far as known.
        bytes: u64,
        /// Files that are lost as a whole or to their end.
        files: u64,
    },
    /// A file or folder could not be used; the rest goes on.
    Refused {
        /// Which.
        path: PathBuf,
        /// Why, and the remedy.
        why: String,
    },
    /// Everything was looked at.
    Rescanned {
        /// Why.
        why: RescanWhy,
    },
    /// The system refused a watch; the slow rescan takes its place.
    WatchRefused,
}

/// What a watch is for.
#[derive(Clone, Debug)]
enum Target {
    Root,
    Pod(String),
    Container(String, String),
    Close(InstanceKey, u32),
    Growth(InstanceKey),
}

#[derive(Debug, Default)]
struct PodDir {
    watch: Option<WatchId>,
    containers: BTreeMap<String, ContainerDir>,
}

#[derive(Debug, Default)]
struct ContainerDir {
    watches: Vec<WatchId>,
    link_folders: Vec<PathBuf>,
    instances: BTreeMap<u32, InstanceKey>,
}

/// Who is wanted: pod folder, container name.
pub type Wanted<'a> = &'a dyn Fn(&names::PodFolder<'_>, &str) -> bool;

/// The file source.
#[derive(Debug)]
pub struct FileSource<D: Disk> {
    disk: D,
    log_dir: PathBuf,
    backlog_bytes_max: u64,
    /// From one look at a file that had something to the next.
    rhythm: Rhythm,
    /// Skip what exists at the first scan.
    skips_existing: bool,
    targets: HashMap<WatchId, Target>,
    pods: BTreeMap<String, PodDir>,
    instances: Vec<Option<Instance<D::File>>>,
    free: Vec<InstanceKey>,
    queue: VecDeque<InstanceKey>,
    held: Vec<InstanceKey>,
    timers: BinaryHeap<Reverse<(Duration, InstanceKey)>>,
    saved: HashMap<FileId, SavedFile>,
    /// Of the last run too, of instances of which no file had a first line.
    saved_ahead: Vec<SavedAhead>,
    /// Files of the last run that were found again.
    met: HashSet<FileId>,
    refused: HashSet<PathBuf>,
    /// Folders of containers with names that are looked at again soon.
    put_off: BTreeMap<String, adopt::PutOff>,
    next_rescan: Duration,
    next_shed: Duration,
    is_first_scan: bool,
    events: Vec<Event>,
    changes: Vec<Change>,
}

impl<D: Disk> FileSource<D> {
    /// A source over `log_dir`. `saved` is what the last run left; with `skips_existing` a file that exists at
    /// the first scan and is not among them begins at its end.
    #[must_use]
    pub fn new(disk: D, log_dir: PathBuf, backlog_bytes_max: u64, saved: Positions, skips_existing: bool) -> Self {
        Self {
            disk,
            log_dir,
            backlog_bytes_max,
            rhythm: Rhythm::new(LOOK_AGAIN),
            skips_existing,
            targets: HashMap::new(),
            pods: BTreeMap::new(),
            instances: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            held: Vec::new(),
            timers: BinaryHeap::new(),
            saved: saved.files.into_iter().map(|file| (file.id, file)).collect(),
            saved_ahead: saved.ahead,
            met: HashSet::new(),
            refused: HashSet::new(),
            put_off: BTreeMap::new(),
            next_rescan: Duration::ZERO,
            next_shed: Duration::ZERO,
            is_first_scan: true,
            events: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Looks again at a file that had something after this time.
    #[must_use]
    pub fn looking_again_after(self, look_again: Duration) -> Self {
        Self { rhythm: Rhythm::new(look_again), ..self }
    }

    /// The disk, to sleep on.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Takes in what has changed since the last call. The events are appended to `events`.
    pub fn tick(&mut self, now: Now, wanted: Wanted<'_>, events: &mut Vec<Event>) {
        self.queue.extend(self.held.drain(..));
        let mut changes = std::mem::take(&mut self.changes);
        self.disk.changes(&mut changes);
        let mut folders = Vec::new();
        for change in changes.drain(..) {
            self.take_change(change, now, &mut folders);
        }
        self.changes = changes;
        folders.sort_unstable();
        folders.dedup();
        for (pod, container) in folders {
            match (pod, container) {
                (Some(pod), Some(container)) => self.scan_container(&pod, &container, now),
                (Some(pod), None) => self.scan_pod(&pod, now, wanted),
                _ => self.scan_root(now, wanted),
            }
        }
        if now.mono >= self.next_rescan {
            let why = if self.is_first_scan { RescanWhy::Start } else { RescanWhy::Interval };
            self.rescan(now, wanted, why);
        }
        self.look_at_heads(now);
        while let Some(Reverse((at, key))) = self.timers.peek().copied().filter(|timer| timer.0.0 <= now.mono) {
            debug_assert!(at <= now.mono);
            self.timers.pop();
            self.enqueue(key);
        }
        if now.mono >= self.next_shed {
            self.next_shed = now.mono + Duration::from_secs(1);
            self.shed_backlog(now);
        }
        events.append(&mut self.events);
    }

    fn take_change(&mut self, change: Change, now: Now, folders: &mut Vec<(Option<String>, Option<String>)>) {
        match change {
            Change::Overflow => {
                self.next_rescan = Duration::ZERO;
                self.forget_growth_watches();
                self.events.push(Event::Rescanned { why: RescanWhy::Overflow });
            }
            Change::Unwatched(watch) => {
                match self.targets.get(&watch) {
                    Some(Target::Root) => folders.push((None, None)),
                    Some(Target::Pod(pod) | Target::Container(pod, _)) => {
                        folders.extend([(None, None), (Some(pod.clone()), None)]);
                    }
                    Some(Target::Close(..) | Target::Growth(_)) | None => {}
                }
                self.unwatched(watch);
            }
            Change::Passed(watch, name) => self.passed(watch, &name),
            Change::Closed(watch) => {
                if let Some(Target::Close(key, number)) = self.targets.get(&watch).cloned() {
                    self.closed(key, number, now);
                }
            }
            Change::Touched(watch) => match self.targets.get(&watch).cloned() {
                Some(Target::Root) => folders.push((None, None)),
                Some(Target::Pod(pod)) => folders.push((Some(pod), None)),
                Some(Target::Container(pod, container)) => folders.push((Some(pod), Some(container))),
                Some(Target::Growth(key)) => {
                    self.targets.remove(&watch);
                    if let Some(instance) = self.instance(key) {
                        instance.growth_told(watch);
                        instance.is_unwatched = true;
                    }
                    self.enqueue(key);
                }
                Some(Target::Close(..)) | None => {}
            },
        }
    }

    /// Those that told, and whose word was lost, tell nothing any more. Asking again for one that stands gives the same.
    fn forget_growth_watches(&mut self) {
        self.targets.retain(|_, target| !matches!(target, Target::Growth(_)));
        for file in self.instances.iter_mut().flatten().flat_map(|instance| &mut instance.files) {
            file.growth_watch = None;
        }
    }

    /// Looks at every folder. For the first time, as a safety net, and after lost changes.
    pub fn rescan(&mut self, now: Now, wanted: Wanted<'_>, why: RescanWhy) {
        self.next_rescan = now.mono + RESCAN_INTERVAL;
        self.refused.clear();
        self.scan_root(now, wanted);
        let pods: Vec<String> = self.pods.keys().cloned().collect();
        for pod in pods {
            self.scan_pod(&pod, now, wanted);
        }
        for place in 0..self.instances.len() {
            self.enqueue(InstanceKey(u32::try_from(place).unwrap_or(u32::MAX)));
        }
        if self.is_first_scan {
            self.is_first_scan = false;
            self.count_lost_while_stopped();
        }
        self.events.push(Event::Rescanned { why });
    }

    /// When something is due although nothing changes on disk; [`Duration::ZERO`] when something waits now.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        if !self.queue.is_empty() {
            return Duration::ZERO;
        }
        let timer = self.timers.peek().map_or(Duration::MAX, |timer| timer.0.0);
        let put_off = self.put_off.values().map(|put_off| put_off.at).min().unwrap_or(Duration::MAX);
        timer.min(put_off).min(self.next_rescan)
    }

    /// Descriptors held.
    #[must_use]
    pub fn files_open(&self) -> usize {
        let open = |instance: &Instance<D::File>| instance.files.iter().filter(|file| file.file.is_some()).count();
        self.instances.iter().flatten().map(open).sum()
    }

    /// Bytes on disk that are not read yet.
    #[must_use]
    pub fn backlog_bytes(&self) -> u64 {
        self.instances.iter().flatten().map(Instance::backlog).sum()
    }

    /// Bytes of one container instance that are not read yet.
    #[must_use]
    pub fn backlog_of(&self, key: InstanceKey) -> u64 {
        self.instances.get(key.0 as usize).and_then(Option::as_ref).map_or(0, Instance::backlog)
    }

    /// Whether a container instance has nothing more to read, as far as a look at its newest file tells, and waits for
    /// word of growth.
    #[must_use]
    pub fn is_at_rest(&self, key: InstanceKey) -> bool {
        let instance = self.instances.get(key.0 as usize).and_then(Option::as_ref);
        instance.is_some_and(|instance| instance.pace == Pace::Asleep && instance.is_read_to_end())
    }

    fn instance(&mut self, key: InstanceKey) -> Option<&mut Instance<D::File>> {
        self.instances.get_mut(key.0 as usize)?.as_mut()
    }

    fn enqueue(&mut self, key: InstanceKey) {
        if let Some(instance) = self.instance(key)
            && instance.pace != Pace::Queued
        {
            instance.pace = Pace::Queued;
            self.queue.push_back(key);
        }
    }
}

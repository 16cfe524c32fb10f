//! The rooms joined: from file blocks to requests, and from answers back to positions.
//!
//! In: the time, pods, answers, and a disk. Out: requests, journal records and positions, through [`Outside`].
//! Never: a clock, a socket, a thread; so a seeded simulation can drive the whole agent.

mod answers;
mod block;
mod capture;
mod catch_up;
mod containers;
mod gate;
mod requests;
mod resend;
mod saving;
mod ship;
mod spill;
pub mod thread_limits;
mod view;

use crate::batch::Batch;
use crate::batch::linger::Linger;
use crate::checkpoint::tracker::Tracker;
use crate::config::{Config, LineForm, Source};
use crate::encode::Packer;
use crate::framing::split::Scratch;
use crate::limits::{BLOCK_BYTES, REQUEST_BYTES_MAX};
use crate::metrics::Metrics;
use crate::parse::Shaper;
use crate::repeat::Repeats;
use crate::send::deliver::Delivery;
use crate::sources::ebpf::tap::Absent;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::disk::Disk;
use crate::sources::file::names::PodFolder;
use crate::sources::file::{Event, FileSource, InstanceKey, Read};
use crate::types::part::LabelSetId;
use crate::types::position::{StdStream, StreamKey};
use crate::types::request::Request;
use crate::types::saved::Recovered;
use crate::types::shard::Shard;
use crate::types::time::Now;
use catch_up::{Fellows, Group};
use containers::{Container, KnownPods};
use gate::{Gate, Share, is_taken, label_sets};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use thread_limits::ThreadLimits;

/// Blocks that are read before answers and changes are looked at again.
const BLOCKS_PER_STEP: usize = 8;

/// What is read of a container first, while memory is full of what Loki refuses, or only its first time is of use: a few lines,
/// a runtime's longest part of a line among them.
const FIRST_BYTES: usize = 32 * 1024;

/// What the pipeline hands out.
pub trait Outside {
    /// Takes a request on its way. Must not block; the pipeline limits how many are under way.
    fn send(&mut self, request: Request);

    /// Whether the journal has grown so much that it should be begun anew.
    fn is_journal_full(&self) -> bool;

    /// Appends to the journal.
    ///
    /// # Errors
    /// Those of the disk.
    fn append_journal(&mut self, record: &[u8]) -> io::Result<()>;

    /// Begins the journal anew.
    ///
    /// # Errors
    /// Those of the disk.
    fn begin_journal(&mut self, records: &[u8]) -> io::Result<()>;

    /// Writes encoded positions, soon. With `is_sync` they are to be made sure on disk.
    fn save(&mut self, encoded: Vec<u8>, is_sync: bool);
}

/// What the pipeline needs of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Value of `node.name`.
    pub node_name: String,
    /// Loki label → source.
    pub labels: BTreeMap<String, Source>,
    /// Structured metadata → source.
    pub structured_metadata: BTreeMap<String, Source>,
    /// What a line looks like.
    pub line: LineForm,
    /// All buffers together, bytes.
    pub memory_bytes_max: u64,
    /// See [`crate::config::Loki`].
    pub burst: u64,
    /// See [`crate::config::Loki`].
    pub batch_bytes: usize,
    /// See [`crate::config::Loki`].
    pub linger_max: Duration,
    /// See [`crate::config::Loki`].
    pub requests_in_flight: usize,
    /// See [`crate::config::Performance`].
    pub look_again: Duration,
    /// Which pods are this pipeline's.
    pub shard: Shard,
    /// For the jitter of retries.
    pub seed: u64,
}

impl Settings {
    /// The part of a configuration that counts here, for the data thread that has `shard`.
    #[must_use]
    pub fn new(config: &Config, shard: Shard, seed: u64) -> Self {
        Self {
            node_name: config.node_name.clone(),
            labels: config.labels.clone(),
            structured_metadata: config.structured_metadata.clone(),
            line: config.line,
            memory_bytes_max: config.memory_bytes_max / shard.count() as u64,
            burst: config.loki.burst,
            batch_bytes: config.loki.batch_bytes,
            linger_max: config.loki.linger_max,
            requests_in_flight: config.loki.requests_in_flight,
            look_again: config.performance.look_again,
            shard,
            seed,
        }
    }
}

/// The data path of the agent.
pub struct Pipeline<D: Disk, T: Tap = Absent> {
    settings: Settings,
    metrics: Arc<Metrics>,
    thread_limits: ThreadLimits,
    source: FileSource<D>,
    capture: capture::Capture<T>,
    pods: KnownPods,
    /// Sorted, so that a seed of the simulation plays the same every time.
    containers: BTreeMap<InstanceKey, Container>,
    /// Containers by their base label set, for catching up together.
    groups: HashMap<LabelSetId, Group>,
    owners: Vec<Option<(InstanceKey, StdStream)>>,
    /// Std streams of containers that are gone, until everything of them is answered for.
    closing: Vec<StreamKey>,
    tracker: Tracker,
    shaper: Shaper,
    batch: Batch,
    linger: Linger,
    delivery: Delivery,
    recovered: Recovered,
    saving: saving::Saving,
    repeats: Repeats<String>,
    block: Vec<u8>,
    scratch: Scratch,
    metadata: Vec<u8>,
    packer: Packer,
    events: Vec<Event>,
    open_bytes: usize,
    counts: ship::Counts,
    /// What the gauges have of this pipeline.
    told: view::Told,
    /// When what is done once a second is due.
    second_at: Duration,
    /// Trouble with delivery was logged, and not yet that it is over.
    is_trouble_told: bool,
    is_stopping: bool,
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// A pipeline over `source`, and over `tap` where there is a kernel source, going on from what the last run left.
    /// `thread_limits`: of all pipelines of the agent.
    #[must_use]
    pub fn new(
        settings: Settings,
        source: FileSource<D>,
        tap: Option<T>,
        recovered: Recovered,
        thread_limits: ThreadLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let mut pipeline = Self {
            capture: capture::Capture::new(tap),
            shaper: Shaper::new(settings.line),
            batch: Batch::new(settings.batch_bytes, settings.shard),
            linger: Linger::new(settings.linger_max),
            delivery: Delivery::new(thread_limits.pace.clone(), settings.requests_in_flight, settings.seed),
            source: source.looking_again_after(settings.look_again),
            settings,
            metrics,
            thread_limits,
            told: view::Told::default(),
            pods: KnownPods::default(),
            containers: BTreeMap::new(),
            groups: HashMap::new(),
            owners: Vec::new(),
            closing: Vec::new(),
            tracker: Tracker::default(),
            recovered,
            saving: saving::Saving::default(),
            repeats: Repeats::default(),
            block: vec![0; BLOCK_BYTES],
            scratch: Scratch::default(),
            metadata: Vec::new(),
            packer: Packer::default(),
            events: Vec::new(),
            open_bytes: 0,
            counts: ship::Counts::default(),
            second_at: Duration::ZERO,
            is_trouble_told: false,
            is_stopping: false,
        };
        pipeline.share_capture_memory();
        pipeline
    }

    /// Does what there is to do, for a bounded time: takes in changes, reads some blocks, sends what is due, saves.
    pub fn step(&mut self, now: Now, outside: &mut dyn Outside) {
        self.take_events(now);
        let has_captured = self.drain_captured(now);
        self.go_from_start_where_due(now);
        let mut buffer = std::mem::take(&mut self.block);
        for _ in 0..BLOCKS_PER_STEP {
            if self.is_stopping || !self.read_some(now, &mut buffer) {
                break;
            }
        }
        self.block = buffer;
        if !has_captured {
            self.capture_rests();
        }
        self.go_ahead_where_due(now);
        self.counts.add_to(&self.metrics);
        self.pump(now, outside);
        self.save_if_due(now, outside);
        if now.mono >= self.second_at {
            self.second_at = now.mono + Duration::from_secs(1);
            self.drop_unknown(now);
            self.release_gone();
            self.go_alone_where_due(now);
            self.tell_handover();
            self.tell_capture(now);
            self.tell_all_behind(now);
            self.show_gauges();
        }
    }

    fn take_events(&mut self, now: Now) {
        let mut events = std::mem::take(&mut self.events);
        let (pods, shard) = (&self.pods, self.settings.shard);
        let is_wanted =
            |folder: &PodFolder<'_>, container: &str| shard.owns(folder.uid) && pods.is_wanted(folder, container);
        self.source.tick(now, &is_wanted, &mut events);
        for event in events.drain(..) {
            self.take_event(event, now);
        }
        self.events = events;
    }

    fn read_some(&mut self, now: Now, buffer: &mut [u8]) -> bool {
        let gate = self.gate();
        let (containers, batch, delivery) = (&self.containers, &self.batch, &self.delivery);
        let fellows = Fellows::new(containers, &self.groups, batch, &self.thread_limits, self.settings.shard);
        let open_lines_max = spill::budget(self.settings.memory_bytes_max);
        let are_all_well = delivery.held_label_sets() == 0;
        // While what Loki refuses fills the memory, whether it takes a new container is found out with little.
        let is_tight = !are_all_well && !gate.is_open(0, Share::Common);
        let read = self.source.next(now, buffer, &mut |key| {
            let container = containers.get(&key)?;
            let own = container.waiting_bytes(batch);
            let is_new = || is_tight && label_sets(container).next().is_none();
            let share = match own {
                0 if is_taken(container, delivery) => Share::All,
                // Of these it is not known yet whether Loki takes them.
                0 if are_all_well || is_new() => Share::First,
                _ => Share::Common,
            };
            let may_read = gate.is_open(own, share)
                && !spill::waits_for_room(container, containers, open_lines_max)
                && !fellows.is_ahead(key, now);
            let is_little = is_tight || fellows.wait_for_a_look(key);
            may_read.then_some(if is_little { FIRST_BYTES } else { usize::MAX })
        });
        match read {
            Some(Read::Block { key, at, length, is_full, is_last }) => {
                // What the file shows left its pipe before: nothing of the block comes later out of the ring.
                self.drain_captured(now);
                let end = crate::framing::split::BlockEnd::of(is_full, is_last);
                let block = buffer.get(..length).unwrap_or_default();
                self.take_block(key, at, block, end, now);
                self.tell_behind(key, now);
            }
            Some(Read::FileEnd { key, is_cut }) => self.file_ended(key, is_cut, now),
            Some(Read::Ended { key }) => self.instance_ended(key, now),
            None => return false,
        }
        self.keep_open_lines_within_budget();
        true
    }

    /// When there will be something to do although nothing happens: a wait of nothing if there is now.
    #[must_use]
    pub fn wait(&self, now: Now) -> Duration {
        let mut at = self.saving.due().min(self.delivery.deadline()).min(self.second_at);
        at = at.min(self.capture_deadline());
        // What waits for an answer to its label set, or for a free place, needs no time.
        let opens_at = self.delivery.opens_at();
        let is_ready = || self.batch.ready_bytes(&|id| self.delivery.is_busy(id)) > 0;
        if opens_at < Duration::MAX && is_ready() {
            let linger = if self.is_urgent() { Duration::ZERO } else { self.linger.due() };
            at = at.min(linger.max(opens_at).max(now.mono + Duration::from_millis(1)));
        }
        let source = self.source.deadline();
        let is_full = !self.gate().is_open(0, Share::All);
        at = at.min(if is_full || self.is_stopping { source.max(now.mono + Duration::from_millis(5)) } else { source });
        at.saturating_sub(now.mono)
    }

    /// The disk, to sleep on.
    pub fn disk(&self) -> &D {
        self.source.disk()
    }

    /// Reads nothing more; what was read is still sent.
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether everything that was read is answered for.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.batch.waiting_bytes() == 0 && self.delivery.is_empty()
    }

    /// What ails delivery, in words; `None` while all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.delivery.trouble().map(|trouble| trouble.words.as_str())
    }

    /// Bytes in all buffers whose size depends on the load.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let fixed = self.block.capacity() + self.packer.memory_bytes() + self.scratch.memory_bytes();
        let captured = self.capture.tap_bytes + self.capture.bytes + self.capture.pending_bytes;
        fixed + captured + self.batch.memory_bytes() + self.delivery.memory_bytes() + self.open_bytes
    }

    fn gate(&self) -> Gate {
        let budget = usize::try_from(self.settings.memory_bytes_max).unwrap_or(usize::MAX);
        // A request is compressed beside what waits, and its body is under way.
        let budget = budget.saturating_sub(2 * REQUEST_BYTES_MAX).max(4 * BLOCK_BYTES);
        let is_idle = self.batch.waiting_bytes() == 0 && self.delivery.is_empty();
        let used = self.memory_bytes().saturating_sub(self.packer.memory_bytes());
        Gate { used, budget, is_idle, own_max: 4 * self.settings.batch_bytes.max(BLOCK_BYTES) }
    }
}

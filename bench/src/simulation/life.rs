//! One life of the agent: a pipeline over the fake disk, from start to stop or crash, and what it leaves behind.
//!
//! In: what the last life left. Out: requests, journal, positions. A crash may come at any call to the outside.

use super::disk::{FakeDisk, Fs};
use super::kernel::{FakeTap, Kernel};
use super::loki::Loki;
use super::node::Node;
use super::rules;
use penstock::checkpoint::{journal, store};
use penstock::metrics::Metrics;
use penstock::metrics::label::DropReason;
use penstock::pipeline::thread_limits::ThreadLimits;
use penstock::pipeline::{Outside, Pipeline, Settings};
use penstock::sources::file::FileSource;
use penstock::types::request::Request;
use penstock::types::saved::Positions;
use penstock::types::time::Now;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// What is in the data directory.
#[derive(Clone, Debug, Default)]
pub(super) struct DataDir {
    journal: Vec<u8>,
    begun_bytes: usize,
    positions: Option<Vec<u8>>,
    /// Those before the last ones: the thread that writes them may lag.
    former: Option<Vec<u8>>,
}

impl DataDir {
    /// What the next life finds; `is_late`: the last save did not get to the disk.
    pub(super) fn after_crash(&self, is_late: bool) -> Self {
        // Without a save in this life those of the last one stand.
        let former = self.former.as_ref().filter(|_| is_late);
        let positions = former.or(self.positions.as_ref()).cloned();
        Self { positions, former: None, begun_bytes: 0, journal: self.journal.clone() }
    }

    /// The positions as they are on disk.
    pub(super) fn positions(&self) -> Positions {
        self.positions.as_deref().and_then(|bytes| store::decode(bytes).ok()).unwrap_or_default()
    }
}

/// What the pipeline hands out, as long as it lives.
pub(super) struct Way {
    /// What it has written.
    pub(super) data: DataDir,
    /// Requests that left, to be taken to Loki.
    pub(super) sent: Vec<Request>,
    /// Positions that were saved, to be checked.
    pub(super) saves: Vec<Positions>,
    /// Calls until it dies.
    pub(super) dies_in: Option<u32>,
    /// It is dead.
    pub(super) is_dead: bool,
    is_begun: bool,
    journal_bytes_max: usize,
    random: fastrand::Rng,
}

impl Way {
    /// True while alive. Counts the calls down.
    fn lives(&mut self) -> bool {
        if let Some(calls) = &mut self.dies_in {
            self.is_dead |= *calls == 0;
            *calls = calls.saturating_sub(1);
        }
        !self.is_dead
    }
}

impl Outside for Way {
    fn send(&mut self, request: Request) {
        if self.lives() {
            self.sent.push(request);
        }
    }

    fn is_journal_full(&self) -> bool {
        !self.is_begun || self.data.journal.len() > self.journal_bytes_max.max(2 * self.data.begun_bytes)
    }

    fn append_journal(&mut self, record: &[u8]) -> io::Result<()> {
        let was_alive = !self.is_dead;
        let written = if self.lives() {
            record
        } else if was_alive {
            // It died while writing.
            &record[..self.random.usize(0..=record.len())]
        } else {
            &[]
        };
        self.data.journal.extend_from_slice(written);
        Ok(())
    }

    fn begin_journal(&mut self, records: &[u8]) -> io::Result<()> {
        if self.lives() {
            self.is_begun = true;
            self.data.begun_bytes = records.len();
            self.data.journal = records.to_vec();
        }
        Ok(())
    }

    fn save(&mut self, encoded: Vec<u8>, _: bool) {
        if self.lives() {
            self.saves.extend(store::decode(&encoded));
            self.data.former = self.data.positions.replace(encoded);
        }
    }
}

/// The agent, alive.
pub(super) struct Life {
    /// The pipeline.
    pub(super) pipeline: Pipeline<FakeDisk, FakeTap>,
    /// Its way out.
    pub(super) way: Way,
    /// Its numbers.
    pub(super) metrics: Arc<Metrics>,
    /// The clock's reading when it started.
    pub(super) started: std::time::Duration,
    /// Pods that it was told of.
    pub(super) pods_told: usize,
    /// Which.
    pub(super) told: Vec<usize>,
    /// For the story: who ships each std stream.
    modes: HashMap<String, String>,
}

/// How every life of a seed is set up.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// Of the pipeline.
    pub(super) settings: Settings,
    /// Bytes per second.
    pub(super) rate: u64,
    /// Bytes of deleted files that are kept.
    pub(super) backlog_bytes_max: u64,
    /// The journal is begun anew beyond this.
    pub(super) journal_bytes_max: usize,
}

impl Life {
    /// Starts it.
    pub(super) fn start(
        setup: &Setup,
        fs: &Rc<RefCell<Fs>>,
        kernel: &Rc<RefCell<Kernel>>,
        log_dir: &Path,
        data: DataDir,
        started: std::time::Duration,
        seed: u64,
    ) -> Self {
        let disk = FakeDisk(Rc::clone(fs));
        let saved = data.positions();
        let source = FileSource::new(disk, log_dir.to_path_buf(), setup.backlog_bytes_max, saved, false);
        let metrics = Arc::new(Metrics::default());
        kernel.borrow_mut().agent_starts();
        let tap = kernel.borrow().is_on.then(|| FakeTap(Rc::clone(kernel)));
        let recovered = journal::recover(&data.journal);
        let thread_limits = ThreadLimits::new(setup.rate, setup.settings.burst);
        let pipeline =
            Pipeline::new(setup.settings.clone(), source, tap, recovered, thread_limits, Arc::clone(&metrics));
        let way = Way {
            data,
            sent: Vec::new(),
            saves: Vec::new(),
            dies_in: None,
            is_dead: false,
            is_begun: false,
            journal_bytes_max: setup.journal_bytes_max,
            random: fastrand::Rng::with_seed(seed),
        };
        Self { pipeline, way, metrics, started, pods_told: 0, told: Vec::new(), modes: HashMap::new() }
    }

    fn tell_modes(&mut self, node: &mut Node, at: std::time::Duration) {
        for row in self.pipeline.streams() {
            let name = format!("{}/{}/{} {}", row.pod, row.container, row.restart, row.std_stream);
            let state = format!("{} ({})", row.mode, row.why);
            if self.modes.get(&name) != Some(&state) {
                node.book.tell(|| format!("{at:?} {name}: {state}, {} lines, position {}", row.lines, row.position));
                self.modes.insert(name, state);
            }
        }
    }

    /// One step: answers in, requests out.
    pub(super) fn step(&mut self, now: Now, loki: &mut Loki, node: &mut Node, at: std::time::Duration) {
        for answer in loki.answers(at, &mut node.book) {
            node.book.tell(|| format!("{at:?} answer {} to {:?}: {:.150}", answer.status, answer.id, answer.body));
            self.pipeline.answered(&answer, now);
        }
        self.pipeline.step(now, &mut self.way);
        let alone = ["file_at_rest", "passed_over"].map(|why| self.metrics.handover.get(&["alone", why]));
        node.book.is_loose |= alone.iter().sum::<u64>() > 0;
        if self.metrics.dropped_files.get(DropReason::Backlog) > 0 {
            rules::excuse_backlog(&mut node.book);
        }
        if node.book.story.is_some() {
            self.tell_modes(node, at);
        }
        for request in self.way.sent.drain(..) {
            node.book.tell(|| format!("{at:?} request {:?}", request.id));
            loki.push(&request, at, &mut node.book);
        }
    }
}

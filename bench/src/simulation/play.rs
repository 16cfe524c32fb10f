//! One seed, from its first line to the last rule.

mod acts;
mod draws;
mod ends;

use super::disk::{Fs, Trouble};
use super::kernel::Kernel;
use super::life::{DataDir, Life, Setup};
use super::loki::{Loki, Manners};
use super::node::{Format, Node, PodPlan};
use super::{Witnesses, rules};
use penstock::limits::MEMORY_BYTES_MIN;
use penstock::metrics::label::Source as LineSource;
use penstock::types::pod::{Pod, PodSnapshot};
use penstock::types::time::Now;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// After the last line everything is there within this time: the longest wait of `send::deliver` is ten minutes.
const DRAIN_MAX: Duration = Duration::from_secs(45 * 60);
/// 2026-08-22T10:00:00Z
const BEGIN_NS: i64 = 1_787_392_800_000_000_000;

/// What a seed did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Lines written.
    pub lines: usize,
    /// Of these, lines that arrived more than once.
    pub doubled: usize,
    /// Lines that need not have arrived and did not.
    pub excused: usize,
    /// Crashes and stops of the agent.
    pub restarts: usize,
    /// Lines that went out ahead of the file, or alone.
    pub ahead: u64,
    /// Of these, lines that the agent counted as not confirmed.
    pub unconfirmed: u64,
}

/// What of a pod is known.
#[derive(Clone, Debug)]
struct PodState {
    known_at: Duration,
    collect: bool,
    app: String,
    is_deleted: bool,
}

struct Play {
    random: fastrand::Rng,
    fs: Rc<RefCell<Fs>>,
    kernel: Rc<RefCell<Kernel>>,
    log_dir: PathBuf,
    node: Node,
    loki: Loki,
    pods: Vec<PodState>,
    setup: Setup,
    life: Option<Life>,
    data: DataDir,
    up_at: Duration,
    /// Since the beginning.
    clock: Duration,
    /// What the wall clock was stepped by.
    step_ns: i64,
    crashes: bool,
    restarts: usize,
    refused_counted: u64,
    /// Captured lines that the agent counted as not confirmed.
    unconfirmed: u64,
    /// Lines that went out ahead of the file, or alone.
    ahead: u64,
    stopping: Option<Duration>,
    snapshot_due: bool,
}

/// Plays a seed.
///
/// # Errors
/// The rule that was broken.
pub fn play(witnesses: Witnesses, seed: u64, tells: bool) -> Result<Outcome, String> {
    let mut play = Play::new(witnesses, seed);
    play.node.book.story = tells.then(Vec::new);
    let outcome = play.all();
    if tells && outcome.is_err() {
        play.node.book.print();
        play.fs.borrow().print();
    }
    outcome
}

impl Play {
    fn all(&mut self) -> Result<Outcome, String> {
        let actions = self.random.u32(30..250);
        for _ in 0..actions {
            let pause = [1, 20, 300, 3_000][self.random.usize(..4)];
            let until = self.clock + Duration::from_micros(self.random.u64(100..=pause * 1_000));
            self.run_until(until)?;
            self.act();
        }
        self.drain()?;
        self.stay_prompt()?;
        self.verdict()
    }

    fn new(witnesses: Witnesses, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let log_dir = PathBuf::from("/var/log/pods");
        let is_steady = witnesses == Witnesses::Both && random.u8(..4) > 0;
        let trouble = draws::trouble(&mut random);
        let fs = Rc::new(RefCell::new(Fs::new(&log_dir, trouble, random.u64(..))));
        let kernel = Rc::new(RefCell::new(draws::kernel(witnesses, is_steady, &mut random)));
        let mut node = Node::new(Rc::clone(&fs), Rc::clone(&kernel), &log_dir, random.u64(..));
        node.holds_back = !kernel.borrow().is_on || random.u8(..3) == 0;
        node.book.has_kernel = kernel.borrow().is_on;
        node.book.is_loose = node.holds_back && node.book.has_kernel;
        draws::writers(&mut node, is_steady, &mut random);
        node.wall_ns = BEGIN_NS;
        let mut loki = Loki::new(random.u64(..));
        loki.manners = draws::manners(&mut random);
        let setup = draws::setup(is_steady, &mut random);
        let mut play = Self {
            fs,
            kernel,
            log_dir,
            node,
            loki,
            pods: Vec::new(),
            setup,
            life: None,
            data: DataDir::default(),
            up_at: Duration::from_millis(random.u64(..2_000)),
            clock: Duration::ZERO,
            step_ns: 0,
            crashes: random.bool(),
            restarts: 0,
            refused_counted: 0,
            unconfirmed: 0,
            ahead: 0,
            stopping: None,
            snapshot_due: false,
            random,
        };
        for _ in 0..play.random.usize(1..4) {
            play.add_pod();
        }
        play
    }

    fn add_pod(&mut self) {
        let number = self.pods.len();
        let uid = format!("uid{number}");
        let app = format!("app{}", self.random.u8(..2));
        let folder = format!("ns_pod{number}_{uid}");
        let is_json = self.random.u8(..3) == 0;
        let containers = self.random.usize(1..3);
        let format = if self.random.u8(..6) == 0 { Format::Docker } else { Format::Cri };
        let late = if self.random.u8(..3) == 0 { 5_000 } else { 1 };
        let known_at = self.clock + Duration::from_millis(self.random.u64(..late));
        self.pods.push(PodState { known_at, collect: true, app: app.clone(), is_deleted: false });
        self.node.add_pod(PodPlan { folder, uid, is_json, app }, containers, format);
        self.snapshot_due = true;
    }

    fn now(&self, started: Duration) -> Now {
        Now { wall_ns: self.node.wall_ns, mono: self.clock.saturating_sub(started) }
    }

    fn pass(&mut self, time: Duration) {
        self.clock += time;
        self.node.wall_ns = BEGIN_NS + self.step_ns + i64::try_from(self.clock.as_nanos()).unwrap_or(i64::MAX);
        self.fs.borrow_mut().wall_ns = self.node.wall_ns;
        self.kernel.borrow_mut().pass(self.clock);
    }

    /// Lets the agent live until `until`.
    fn run_until(&mut self, until: Duration) -> Result<(), String> {
        while self.clock < until {
            self.node.close_due(self.clock);
            self.node.flush_due(self.clock);
            self.start_if_due();
            self.tell_pods();
            let mut wait = until - self.clock;
            if let Some(mut life) = self.life.take() {
                let now = self.now(life.started);
                life.step(now, &mut self.loki, &mut self.node, self.clock);
                self.check(&mut life)?;
                wait = wait.min(life.pipeline.wait(now)).min(Duration::from_secs(1));
                wait = wait.min(self.loki.next_at().map_or(wait, |at| at.saturating_sub(self.clock)));
                let ring = self.kernel.borrow().next_at();
                wait = wait.min(ring.map_or(wait, |at| at.saturating_sub(self.clock)));
                self.life = Some(life);
                self.end_if_due()?;
            } else {
                wait = wait.min(self.up_at.saturating_sub(self.clock));
            }
            wait = wait.min(self.node.next_due().map_or(wait, |at| at.saturating_sub(self.clock)));
            let next_pod = self.pods.iter().map(|pod| pod.known_at).filter(|at| *at > self.clock).min();
            wait = wait.min(next_pod.map_or(wait, |at| at - self.clock));
            self.pass(wait.max(Duration::from_micros(50)));
        }
        Ok(())
    }

    fn check(&mut self, life: &mut Life) -> Result<(), String> {
        if let Some(broken) = self.loki.broken.first() {
            return Err(broken.clone());
        }
        for saved in std::mem::take(&mut life.way.saves) {
            rules::positions(&self.node.book, &saved)?;
        }
        let budget = self.setup.settings.memory_bytes_max.max(MEMORY_BYTES_MIN);
        let used = life.pipeline.memory_bytes() as u64;
        if used > budget {
            return Err(format!("{used} bytes of memory, of {budget}"));
        }
        Ok(())
    }

    fn start_if_due(&mut self) {
        if self.life.is_some() || self.clock < self.up_at {
            return;
        }
        let seed = self.random.u64(..);
        let clock = self.clock;
        self.node.book.tell(|| format!("{clock:?} the agent starts"));
        let data = std::mem::take(&mut self.data);
        let mut life = Life::start(&self.setup, &self.fs, &self.kernel, &self.log_dir, data, self.clock, seed);
        if self.crashes && self.random.bool() {
            life.way.dies_in = Some(self.random.u32(..60));
        }
        self.life = Some(life);
        self.snapshot_due = true;
    }

    fn end_if_due(&mut self) -> Result<(), String> {
        let Some(life) = &self.life else { return Ok(()) };
        if life.way.is_dead {
            self.crash();
        } else if let Some(until) = self.stopping
            && (life.pipeline.is_settled() || self.clock >= until)
        {
            self.end_stopped()?;
        }
        Ok(())
    }

    fn crash(&mut self) {
        let Some(life) = self.life.take() else { return };
        let is_late = self.random.u8(..4) == 0;
        self.data = life.way.data.after_crash(is_late);
        self.node.book.has_died = true;
        self.gone(&life);
        drop(life);
        self.after_end();
    }

    fn end_stopped(&mut self) -> Result<(), String> {
        let Some(mut life) = self.life.take() else { return Ok(()) };
        let now = self.now(life.started);
        self.node.book.has_died |= !life.pipeline.is_settled();
        life.way.dies_in = None;
        self.unconfirmed += life.pipeline.unplaced_lines() as u64;
        life.pipeline.save(now, true, &mut life.way);
        for saved in std::mem::take(&mut life.way.saves) {
            rules::positions(&self.node.book, &saved)?;
        }
        self.data = life.way.data.after_crash(false);
        self.gone(&life);
        drop(life);
        self.after_end();
        Ok(())
    }

    fn gone(&mut self, life: &Life) {
        let (clock, is_dead) = (self.clock, life.way.is_dead);
        self.node.book.tell(|| format!("{clock:?} the agent ends, in the middle of a call: {is_dead}"));
        self.refused_counted += ends::refused(life);
        self.unconfirmed += life.metrics.unconfirmed_lines.get();
        self.ahead += life.metrics.lines.get(LineSource::Ebpf);
        self.restarts += 1;
        self.node.book.has_lost_places |= self.kernel.borrow().is_on;
    }

    fn after_end(&mut self) {
        self.stopping = None;
        self.fs.borrow_mut().forget_watches();
        self.kernel.borrow_mut().agent_died();
        self.loki.agent_died(&mut self.node.book);
        self.node.agent_died();
        self.up_at = self.clock + Duration::from_millis(self.random.u64(1..5_000));
    }

    fn tell_pods(&mut self) {
        let is_new = |pod: &PodState, clock: Duration| pod.known_at <= clock;
        let count = self.pods.iter().filter(|pod| is_new(pod, self.clock)).count();
        let due = self.snapshot_due || self.life.as_ref().is_some_and(|life| life.pods_told != count);
        let started = self.life.as_ref().map(|life| life.started);
        let (true, Some(started)) = (due, started) else { return };
        let mut pods = HashMap::new();
        for (state, plan) in self.pods.iter().zip(&self.node.pods).filter(|(state, _)| is_new(state, self.clock)) {
            let labels = BTreeMap::from([("app".to_owned(), state.app.clone())]);
            let name = plan.folder.split('_').nth(1).unwrap_or_default().to_owned();
            let pod = Pod {
                log_uid: plan.uid.clone(),
                namespace: "ns".to_owned(),
                name,
                collect: state.collect,
                json: plan.is_json,
                labels,
                excluded_containers: Vec::new(),
            };
            if !state.is_deleted {
                pods.insert(plan.uid.clone(), Arc::new(pod));
            }
        }
        let now = self.now(started);
        if let Some(life) = &mut self.life {
            life.pods_told = count;
            life.told = (0..self.pods.len()).filter(|pod| is_new(&self.pods[*pod], self.clock)).collect();
            life.pipeline.pods_changed(&PodSnapshot { pods, is_current: true }, now);
        }
        self.snapshot_due = false;
    }
}

//! What every scenario needs: a folder, a receiver, sample containers, the agent.
//!
//! In: the agent's program and a seed. Out: parts to play with. Never: a verdict; dropping it ends all processes.

mod shipper;

use crate::agent::{self, AgentProcess, AgentSettings};
use crate::clock;
use crate::pods::{SamplePod, kubectl_json};
use crate::producer::ProducerArgs;
use crate::producer::lines::Kind;
use crate::receiver::{Receiver, ReceiverConfig, StoredEntry};
use crate::rival::Rival;
use crate::runtime::{Format, Rotation};
use crate::sample::{Sample, SampleWorld};
use crate::stop;
use crate::store::Store;
use crate::tally::Written;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Name of the node.
const NODE: &str = "soak-node";

/// The parts. Fields are dropped in this order: processes first, the folder last.
pub struct Stage {
    agent: Option<AgentProcess>,
    samples: Vec<Sample>,
    pods: Vec<SamplePod>,
    rotation: Option<Rotation>,
    /// Where entries go.
    pub receiver: Receiver,
    /// How many lines a container writes at once that does not write very many.
    pub lines_per_write: u64,
    /// Random choices of the scenario.
    pub rng: fastrand::Rng,
    /// Further lines of the agent's configuration.
    pub settings: AgentSettings,
    /// What is started in the agent's place.
    pub rival: Option<Rival>,
    program: PathBuf,
    world: SampleWorld,
    _runtime: Runtime,
    folder: TempDir,
}

impl Stage {
    /// Sets up everything but the agent and the containers.
    ///
    /// # Errors
    /// Those of the file system and of the receiver's socket.
    pub fn set(program: &Path, seed: u64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("penstock-soak-").tempdir()?;
        let world = SampleWorld {
            program: std::env::current_exe().context("looking for this program")?,
            pods_root: folder.path().join("pods"),
            ledgers: folder.path().join("ledgers"),
            format: Format::Containerd,
        };
        fs::create_dir_all(&world.pods_root)?;
        fs::create_dir_all(&world.ledgers)?;
        let runtime = Runtime::new()?;
        let receiver = runtime.block_on(Receiver::start(ReceiverConfig::default()))?;
        let settings = AgentSettings {
            node_name: NODE.into(),
            data_dir: folder.path().join("data"),
            log_dir: world.pods_root.clone(),
            pods: folder.path().join("pods.json"),
            loki_url: receiver.url(),
            loki_more: String::new(),
            capture: "file".into(),
            admin: agent::free_address()?,
            more: String::new(),
        };
        let rng = fastrand::Rng::with_seed(seed);
        let program = program.to_path_buf();
        Ok(Self {
            agent: None,
            samples: Vec::new(),
            pods: Vec::new(),
            rotation: None,
            lines_per_write: 1,
            receiver,
            rng,
            settings,
            rival: None,
            program,
            world,
            _runtime: runtime,
            folder,
        })
    }

    /// From now on files of containers that are started are rotated like this.
    pub fn rotate(&mut self, rotation: Rotation) {
        self.rotation = Some(rotation);
    }

    /// Starts one more container per kind and rate, its log file in this format; every tenth line goes to stderr.
    ///
    /// # Errors
    /// One does not start.
    pub fn start_containers(&mut self, format: Format, programs: &[(Kind, f64)]) -> Result<()> {
        programs.iter().try_for_each(|(kind, rate)| self.start_container(format, *kind, *rate, 0))
    }

    /// Starts one more container, which writes so many lines as fast as the pipe takes them, and ends.
    ///
    /// # Errors
    /// It does not start.
    pub fn burst(&mut self, kind: Kind, lines: u64) -> Result<()> {
        self.start_container(Format::Containerd, kind, 0.0, lines)
    }

    fn start_container(&mut self, format: Format, kind: Kind, rate: f64, lines: u64) -> Result<()> {
        let rotation = self.rotation.context("rotate() comes first")?;
        let world = SampleWorld { format, ..self.world.clone() };
        let pod = pod(self.pods.len(), kind);
        self.pods.push(pod.clone());
        fs::write(&self.settings.pods, kubectl_json(&self.pods, NODE))?;
        let args = ProducerArgs {
            kind,
            seed: self.rng.u64(..),
            run: String::new(),
            rate,
            lines,
            stderr_every: 10,
            long_every: 0,
            lines_per_write: if rate > 5_000.0 || rate == 0.0 { 20 } else { self.lines_per_write },
            ledger: PathBuf::new(),
        };
        self.samples.push(Sample::start(&world, &pod, &args, rotation)?);
        Ok(())
    }

    /// The empty log files of as many containers without a process.
    ///
    /// # Errors
    /// A file cannot be made.
    pub fn create_logs(&mut self, kind: Kind, count: usize) -> Result<Vec<File>> {
        let first = self.pods.len();
        self.pods.extend((0..count).map(|n| pod(first + n, kind)));
        fs::write(&self.settings.pods, kubectl_json(&self.pods, NODE))?;
        let create = |pod: &SamplePod| {
            let folder = pod.log_folder(&self.world.pods_root).join(&pod.containers[0]);
            fs::create_dir_all(&folder)?;
            Ok(File::create(folder.join("0.log"))?)
        };
        self.pods[first..].iter().map(create).collect()
    }

    /// Lets time pass, while `look` is told every 100 ms how much memory the agent has.
    ///
    /// # Errors
    /// The agent ended by itself; SIGINT or SIGTERM came.
    pub fn pass(&mut self, time: Duration, mut look: impl FnMut(u64)) -> Result<()> {
        let begun = clock::monotonic();
        while let Some(left) = time.checked_sub(clock::monotonic() - begun).filter(|left| !left.is_zero()) {
            std::thread::sleep(left.min(Duration::from_millis(100)));
            stop::check()?;
            if let Some(agent) = &mut self.agent {
                agent.check()?;
                look(agent.resident_bytes());
            }
        }
        Ok(())
    }

    /// Ends the containers; returns how many lines they wrote and how many bytes are or were in files.
    ///
    /// # Errors
    /// A program failed.
    pub fn stop_containers(&mut self) -> Result<(u64, u64)> {
        // All at once, as the others would write on while one ends.
        self.samples.iter().try_for_each(Sample::end)?;
        self.samples.iter_mut().try_for_each(Sample::stop)?;
        Ok((self.lines(), self.samples.iter().map(Sample::bytes).sum()))
    }

    /// Lines that the containers have written so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.samples.iter().map(Sample::lines).sum()
    }

    /// From the time of an entry to its arrival, milliseconds, shortest first, of the entries of these times that are wanted.
    #[must_use]
    pub fn lags_ms(&self, times_ns: &Range<i64>, is_wanted: impl Fn(&StoredEntry) -> bool) -> Vec<f64> {
        let mut lags_ms = Vec::new();
        self.receiver.each_entry(&mut |entry| {
            if times_ns.contains(&entry.time_ns) && is_wanted(entry) {
                lags_ms.push((entry.received_ns - entry.time_ns) as f64 / 1e6);
            }
        });
        lags_ms.sort_unstable_by(f64::total_cmp);
        lags_ms
    }

    /// Where the log files are.
    #[must_use]
    pub fn pods_root(&self) -> &Path {
        &self.world.pods_root
    }

    /// Waits until as many lines have arrived as were written, or nothing has for `patience`; `look` as in
    /// [`Self::pass`].
    ///
    /// # Errors
    /// The agent ended by itself.
    pub fn drain(&mut self, lines: u64, patience: Duration, mut look: impl FnMut(u64)) -> Result<()> {
        let (mut arrived, mut since) = (0, clock::monotonic());
        while arrived < lines && clock::monotonic() - since < patience {
            self.pass(Duration::from_millis(200), &mut look)?;
            let now = self.receiver.count().lines;
            if now > arrived {
                (arrived, since) = (now, clock::monotonic());
            }
        }
        // What is sent twice may still be under way.
        self.pass(Duration::from_millis(500), look)
    }

    /// What each container has written so far, by where it comes from.
    ///
    /// # Errors
    /// A ledger cannot be read.
    pub fn written(&self) -> Result<BTreeMap<String, Vec<Written>>> {
        let each = self.samples.iter().map(|sample| {
            let pod = sample.pod();
            Ok((pod.source(&pod.containers[0]), sample.written()?))
        });
        each.collect()
    }
}

/// A line of a container's log file, or a part of one: `tag` is `F` or `P`.
#[must_use]
pub fn log_line(stream: &str, tag: &str, content: &str) -> String {
    let wall = Duration::from_nanos(clock::wall_ns().try_into().unwrap_or(0));
    let time = humantime::format_rfc3339_nanos(std::time::UNIX_EPOCH + wall);
    format!("{time} {stream} {tag} {content}\n")
}

/// The middle one, or the upper of the two in the middle; not a number where there is none.
#[must_use]
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    quantile(&of, 0.5)
}

/// The first one that is not below this share of all, which are sorted; not a number where there is none.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn pod(number: usize, kind: Kind) -> SamplePod {
    let json = ("mif.moreh.io/log.format", if kind == Kind::Vllm { "text" } else { "json" });
    SamplePod::new(
        &format!("{}-{number}", kind.name()),
        &[("mif.moreh.io/log.collect", "true"), ("app.kubernetes.io/name", kind.name()), json],
    )
}

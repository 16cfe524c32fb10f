//! The demo's containers: the same programs, behind pipes of our own or in real containers.
//!
//! In: a folder. Out: log files that grow and are rotated, counts, ledgers. Never: anything left behind.

use crate::clock;
use crate::cri::pods::RunningPod;
use crate::cri::{Containerd, Mounted};
use crate::ledger;
use crate::pods::SamplePod;
use crate::producer::ProducerArgs;
use crate::producer::lines::Kind;
use crate::runtime::rotate::kubelet_rename;
use crate::runtime::{Format, Rotation};
use crate::sample::{Sample, SampleWorld};
use crate::tally::Written;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A log file above this is rotated; small, so that the demo shows many rotations.
const ROTATE_BYTES: u64 = 1 << 20;
/// Files per run. The kubelet's default.
const FILES_MAX: usize = 5;

/// All of them.
pub struct Load {
    pods: Vec<SamplePod>,
    args: Vec<ProducerArgs>,
    world: SampleWorld,
    rotation: Rotation,
    samples: Vec<Sample>,
    real: Option<Real>,
}

/// Real containers, one per pod.
struct Real {
    /// What runs: pod, attempt, container id.
    running: Vec<(RunningPod, u32, String)>,
    bytes_rotated: u64,
    containerd: Containerd,
}

/// Name of a pod, its labels, what it writes. The last one is not selected: nothing of it may arrive.
fn programs() -> Vec<(SamplePod, ProducerArgs)> {
    let opt_in = ("mif.moreh.io/log.collect", "true");
    let name = |value| ("app.kubernetes.io/name", value);
    let instance = |value| ("app.kubernetes.io/instance", value);
    let vllm =
        |role| [opt_in, name("vllm"), instance("llama"), ("mif.moreh.io/pool", "pool-a"), ("mif.moreh.io/role", role)];
    let args = |kind, rate, stderr_every, long_every| ProducerArgs {
        kind,
        seed: 1,
        run: String::new(),
        rate,
        lines: 0,
        stderr_every,
        long_every,
        lines_per_write: 1,
        ledger: PathBuf::new(),
    };
    vec![
        (SamplePod::new("gateway-0", &[name("aigateway"), instance("gw")]), args(Kind::Aigateway, 1_000.0, 0, 0)),
        (
            SamplePod::new("heimdall-0", &[opt_in, ("mif.moreh.io/log.format", "json"), name("heimdall")]),
            args(Kind::Heimdall, 500.0, 1, 0),
        ),
        (SamplePod::new("vllm-prefill-0", &vllm("prefill")), args(Kind::Vllm, 2_000.0, 10, 500)),
        (SamplePod::new("vllm-decode-0", &vllm("decode")), args(Kind::Vllm, 2_000.0, 3, 0)),
        (SamplePod::new("vllm-decode-1", &vllm("decode")), args(Kind::Vllm, 1.0, 0, 0)),
        (SamplePod::new("not-selected-0", &[name("vllm")]), args(Kind::Vllm, 100.0, 0, 0)),
    ]
}

impl Load {
    /// Processes behind pipes, as their own runtime.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn behind_pipes(folder: &Path) -> Result<Self> {
        let program = std::env::current_exe().context("looking for this program")?;
        let world = SampleWorld {
            program,
            pods_root: folder.join("pods"),
            ledgers: folder.join("ledgers"),
            format: Format::Containerd,
        };
        fs::create_dir_all(&world.pods_root)?;
        fs::create_dir_all(&world.ledgers)?;
        let (pods, args) = programs().into_iter().unzip();
        let rotation = Rotation { bytes_max: ROTATE_BYTES, files_max: FILES_MAX, interval: Duration::from_millis(500) };
        Ok(Self { pods, args, world, rotation, samples: Vec::new(), real: None })
    }

    /// Real containers, in a containerd of our own.
    ///
    /// # Errors
    /// containerd does not come up.
    pub fn in_containerd(folder: &Path) -> Result<Self> {
        let mut load = Self::behind_pipes(folder)?;
        let containerd = Containerd::start(folder)?;
        load.real = Some(Real { running: Vec::new(), bytes_rotated: 0, containerd });
        Ok(load)
    }

    /// Where the log files are.
    #[must_use]
    pub fn pods_root(&self) -> PathBuf {
        self.world.pods_root.clone()
    }

    /// The pods, also the one that is not selected.
    #[must_use]
    pub fn pods(&self) -> &[SamplePod] {
        &self.pods
    }

    /// Starts all of them.
    ///
    /// # Errors
    /// One does not start.
    pub fn start(&mut self) -> Result<()> {
        for (pod, args) in self.pods.iter().zip(&self.args) {
            match &mut self.real {
                None => self.samples.push(Sample::start(&self.world, pod, args, self.rotation)?),
                Some(real) => {
                    let running = real.containerd.run_pod(pod, &self.world.pods_root)?;
                    let id = real.start_container(&running, 0, pod, args, &self.world)?;
                    real.running.push((running, 0, id));
                }
            }
        }
        Ok(())
    }

    /// Rotates real containers' files, and restarts a container every five seconds.
    ///
    /// # Errors
    /// What the runtime says.
    pub fn each_second(&mut self, second: u64) -> Result<()> {
        let restarted = usize::try_from(second / 5).unwrap_or(0) % (self.pods.len() - 1);
        if let Some(real) = &mut self.real {
            real.rotate(&self.pods, &self.world.pods_root)?;
        }
        if !second.is_multiple_of(5) {
            return Ok(());
        }
        match &mut self.real {
            None => self.samples[restarted].restart(),
            Some(real) => real.restart(restarted, &self.pods[restarted], &self.args[restarted], &self.world),
        }
    }

    /// Ends all programs and waits for their last lines.
    ///
    /// # Errors
    /// A program failed.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(real) = &mut self.real {
            for (_, _, id) in &real.running {
                real.containerd.stop_container(id, 10)?;
            }
        }
        self.samples.iter_mut().try_for_each(Sample::stop)
    }

    /// Lines that selected containers wrote.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.selected_ledgers().map(|(_, _, path)| ledger::lines(&path)).sum()
    }

    /// Bytes in the log files so far, those of the pod that is not selected too.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.real {
            None => self.samples.iter().map(Sample::bytes).sum(),
            Some(real) => real.bytes(&self.pods, &self.world.pods_root),
        }
    }

    /// The ledgers of selected containers.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn written(&self) -> Result<BTreeMap<String, Vec<Written>>> {
        let mut written: BTreeMap<String, Vec<Written>> = BTreeMap::new();
        for (source, name, path) in self.selected_ledgers() {
            let hashes = ledger::read(&path).with_context(|| format!("reading {}", path.display()))?;
            written.entry(source).or_default().push(Written { name, hashes });
        }
        Ok(written)
    }

    fn attempts(&self, which: usize) -> u32 {
        match &self.real {
            None => self.samples.get(which).map_or(0, Sample::attempts),
            Some(real) => real.running.get(which).map_or(0, |(_, attempt, _)| attempt + 1),
        }
    }

    /// Source, name of the std stream, file.
    fn selected_ledgers(&self) -> impl Iterator<Item = (String, String, PathBuf)> {
        self.pods[..self.pods.len() - 1].iter().enumerate().flat_map(|(which, pod)| {
            let source = pod.source(&pod.containers[0]);
            self.world
                .ledgers(pod, self.attempts(which))
                .map(move |(name, path)| (source.clone(), name, path))
                .collect::<Vec<_>>()
        })
    }
}

impl Real {
    /// The program runs from the machine's file system, with the machine's C library.
    fn start_container(
        &self,
        running: &RunningPod,
        attempt: u32,
        pod: &SamplePod,
        args: &ProducerArgs,
        world: &SampleWorld,
    ) -> Result<String> {
        let args = world.run_args(pod, args, attempt);
        let mount = |host: &Path, container: &str, readonly| Mounted {
            host: host.into(),
            container: container.into(),
            readonly,
        };
        let mut mounts = vec![
            mount(&world.program, "/program", true),
            mount(&world.ledgers, &world.ledgers.to_string_lossy(), false),
        ];
        for folder in ["/lib", "/lib64"].map(Path::new) {
            if folder.exists() {
                mounts.push(mount(folder, &folder.to_string_lossy(), true));
            }
        }
        let command = ["/program".to_string(), "producer".to_string()].into_iter().chain(args.to_args()).collect();
        self.containerd.start_container(running, attempt, command, &mounts)
    }

    fn restart(&mut self, which: usize, pod: &SamplePod, args: &ProducerArgs, world: &SampleWorld) -> Result<()> {
        let (running, attempt, id) = self.running[which].clone();
        self.containerd.stop_container(&id, 10)?;
        let next = self.start_container(&running, attempt + 1, pod, args, world)?;
        self.running[which] = (running, attempt + 1, next);
        self.containerd.remove_container(&id)
    }

    fn rotate(&mut self, pods: &[SamplePod], pods_root: &Path) -> Result<()> {
        for (pod, (_, attempt, id)) in pods.iter().zip(&self.running) {
            let path = log_file(pod, *attempt, pods_root);
            let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if size > ROTATE_BYTES {
                kubelet_rename(&path, FILES_MAX, clock::wall_ns())?;
                self.containerd.reopen_log(id)?;
                self.bytes_rotated += size;
            }
        }
        Ok(())
    }

    fn bytes(&self, pods: &[SamplePod], pods_root: &Path) -> u64 {
        let all = pods.iter().zip(&self.running);
        let current = all.flat_map(|(pod, (_, attempt, _))| (0..=*attempt).map(|n| log_file(pod, n, pods_root)));
        self.bytes_rotated + current.map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum::<u64>()
    }
}

fn log_file(pod: &SamplePod, attempt: u32, pods_root: &Path) -> PathBuf {
    pod.log_folder(pods_root).join(&pod.containers[0]).join(format!("{attempt}.log"))
}

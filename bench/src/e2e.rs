//! Real containers end to end: every line that they wrote, and its order, compared with what was stored.
//!
//! In: a store to push to. Out: a verdict per kind of container. Never: anything left behind; the folder, the
//! containers and the agent go also on a failure or Ctrl-C.

pub mod cases;
pub mod cluster;
mod deployed;
pub mod pipes;
mod pod_spec;

use crate::agent::{self, AgentProcess, AgentSettings};
use crate::clock;
use crate::cri::image::IMAGE;
use crate::cri::pods::{ContainerSpec, Rights, RunningPod};
use crate::cri::{Containerd, Mounted};
use crate::demo::{compare, drain};
use crate::logfiles;
use crate::pods::kubectl_json;
use crate::runtime::rotate::kubelet_rename;
use crate::stop;
use crate::store::Store;
use crate::tally::{Comparison, Tally, Written};
use anyhow::{Context, Result, bail, ensure};
use cases::{Case, STEADY};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The arguments of `cargo xtask e2e`.
#[derive(Clone, Debug, clap::Args)]
pub struct E2eArgs {
    /// Only these kinds of containers.
    pub only: Vec<String>,
    /// Compare the runtime's log files instead of what an agent sent: a test of this test.
    #[arg(long)]
    pub files_only: bool,
    /// Which witness the agent uses.
    #[arg(long, default_value = "auto", value_parser = ["auto", "ebpf", "file"])]
    pub capture: String,
    /// Build the agent optimised.
    #[arg(long)]
    pub release: bool,
    /// Instead of all that: install the chart into this cluster, whose nodes reach this machine's 127.0.0.1.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// With --kubeconfig: the agent's image, which the nodes have (`cargo xtask image --name`).
    #[arg(long, default_value = "local/penstock:e2e")]
    pub image: String,
    /// With --kubeconfig: an image with a shell, which the nodes have, for the pods that write.
    #[arg(long, default_value = "local/app:1")]
    pub app_image: String,
    /// With --kubeconfig: further values for the chart.
    #[arg(long)]
    pub values: Option<PathBuf>,
    /// With --kubeconfig: a shell command that restarts the API server.
    #[arg(long)]
    pub restart_api: Option<String>,
}

const NODE: &str = "e2e-node";
/// How long a container may run.
const CONTAINER_PATIENCE: Duration = Duration::from_secs(120);
/// From one rotation to the next of a container that is rotated.
const ROTATION_INTERVAL: Duration = Duration::from_millis(200);
/// Files kept by a rotation. With `files_only` all, as nobody reads them in time.
const FILES_MAX: usize = 5;

/// How long the agent may take to start.
const AGENT_PATIENCE: Duration = Duration::from_secs(20);
/// Of the lines of a steady container, with a hook.
const STEADY_SHARE_MIN: f64 = 0.99;

/// Pods, their folders, and the daemon that runs them.
struct World<'a> {
    containerd: Containerd,
    pods_root: PathBuf,
    data: PathBuf,
    files_max: usize,
    stop: &'a AtomicBool,
}

/// Runs all cases. True: every line arrived once, unchanged and in order.
///
/// # Errors
/// Something could not be started, or a container failed.
pub fn run(args: &E2eArgs, store: &dyn Store) -> Result<bool> {
    if let Some(kubeconfig) = &args.kubeconfig {
        return cluster::run(args, kubeconfig, store);
    }
    let stop = stop::on_signal()?;
    let program = if args.files_only { PathBuf::new() } else { agent::build(args.release)? };
    let folder = tempfile::Builder::new().prefix("penstock-e2e-").tempdir()?;
    let (pods_root, data) = (folder.path().join("pods"), folder.path().join("cases"));
    std::fs::create_dir_all(&pods_root)?;
    let cases: Vec<_> =
        cases::all().into_iter().filter(|case| args.only.is_empty() || args.only.contains(&case.pod.name)).collect();
    let files_max = if args.files_only { usize::MAX } else { FILES_MAX };
    let world = World { containerd: Containerd::start(folder.path())?, pods_root, data, files_max, stop: &stop };
    println!("runtime: {}", world.containerd.version()?);
    if args.only.is_empty() {
        pipes::check(&world.containerd, &world.pods_root).context("finding the pipes of a container")?;
        println!("  a container's pipes were found, those of exec probes were not");
    }
    let written = cases.iter().map(|case| case.prepare(&world.data)).collect::<Result<BTreeMap<_, _>>>()?;
    let tally = if args.files_only {
        world.run_all(&cases.iter().collect::<Vec<_>>())?;
        files(&cases, &written, &world.pods_root)?
    } else {
        with_agent((args, &program), store, folder.path(), &world, &cases, &written)?
    };
    println!("tally: {tally}");
    let is_whole = args.only.is_empty() && !args.files_only;
    let is_deployable = !is_whole || deployed::check(&world, folder.path(), args.release)?;
    Ok(tally.is_exact() && is_deployable)
}

/// The whole way: containers, agent, store.
fn with_agent(
    (args, program): (&E2eArgs, &Path),
    store: &dyn Store,
    folder: &Path,
    world: &World<'_>,
    cases: &[Case],
    written: &BTreeMap<String, Vec<Written>>,
) -> Result<Tally> {
    let settings = AgentSettings {
        node_name: NODE.into(),
        data_dir: folder.join("data"),
        log_dir: world.pods_root.clone(),
        pods: folder.join("pods.json"),
        loki_url: store.url(),
        loki_more: String::new(),
        capture: args.capture.clone(),
        admin: agent::free_address()?,
        more: String::new(),
    };
    let pods: Vec<_> = cases.iter().map(|case| case.pod.clone()).collect();
    std::fs::write(&settings.pods, kubectl_json(&pods, NODE))?;
    let mut agent = AgentProcess::start(program, &settings, folder)?;
    agent.runs(&settings, AGENT_PATIENCE)?;
    let lines_of = |is_wanted: &dyn Fn(&str) -> bool| {
        let wanted = written.iter().filter(|(source, _)| is_wanted(source));
        wanted.flat_map(|(_, each)| each).map(|one| one.hashes.len() as u64).sum()
    };
    let is_steady = |case: &Case| case.pod.name == STEADY;
    let (steady, others): (Vec<_>, Vec<_>) = cases.iter().partition(|case| is_steady(case));
    world.run_all(&steady)?;
    drain(store, lines_of(&|source| source.starts_with(STEADY)), &mut agent)?;
    let is_ahead = steady.is_empty() || is_ahead(&settings);
    world.run_all(&others)?;
    drain(store, lines_of(&|_| true), &mut agent)?;
    println!("{}", settings.witnesses());
    let last_words = agent.last_words();
    let status = agent.stop(Duration::from_secs(25))?;
    let tally = compare(written, store);
    if !tally.is_exact() || !is_ahead || !status.success() {
        println!("the agent ended with {status}; its last words:\n{last_words}");
    }
    ensure!(is_ahead, "a steady container's lines are to go out ahead of their file");
    Ok(tally)
}

/// Whether nearly all lines so far came from the kernel, or there is no hook.
fn is_ahead(settings: &AgentSettings) -> bool {
    let of = |witness: &str| settings.metric(&format!("lines_total{{source=\"{witness}\"}}"));
    let (ahead, file) = (of("ebpf"), of("file"));
    let share = ahead / (ahead + file);
    println!("  {STEADY}: {:.2} % of {} lines went out ahead of their file", share * 100.0, ahead + file);
    share >= STEADY_SHARE_MIN || !settings.has_hook()
}

/// What the files hold, instead of what was sent.
fn files(cases: &[Case], written: &BTreeMap<String, Vec<Written>>, pods_root: &Path) -> Result<Tally> {
    let mut comparison = Comparison::new(written);
    for case in cases.iter().filter(|case| case.is_selected) {
        logfiles::each_record(&case.pod, pods_root, case.is_json(), &mut |record| comparison.take(record))?;
    }
    Ok(comparison.finish())
}

impl World<'_> {
    fn run_all(&self, cases: &[&Case]) -> Result<()> {
        for case in cases {
            let begun = clock::monotonic();
            let rotations = self.run_case(case).with_context(|| format!("case {}", case.pod.name))?;
            let rotated = if rotations > 0 { format!(", {rotations} rotations") } else { String::new() };
            let taken = (clock::monotonic() - begun).as_millis();
            println!("  {:<12} {} in {taken} ms{rotated}", case.pod.name, case.what);
        }
        Ok(())
    }

    /// All runs of one pod, one after the other. Returns how often a file was rotated.
    fn run_case(&self, case: &Case) -> Result<u32> {
        let pod = self.containerd.run_pod(&case.pod, &self.pods_root)?;
        let mut rotations = 0;
        for (attempt, script) in (0..).zip(&case.scripts) {
            let id = self.start(&pod, case, attempt, script)?;
            if case.is_rotated {
                rotations += self.rotate_while_running(case, attempt, &id)?;
            }
            self.end(&id)?;
        }
        Ok(rotations)
    }

    /// Starts the first run of a pod. Returns the container's ID.
    fn begin(&self, case: &Case) -> Result<String> {
        let pod = self.containerd.run_pod(&case.pod, &self.pods_root)?;
        self.start(&pod, case, 0, &case.scripts[0])
    }

    /// Waits for a container's end, and removes it.
    fn end(&self, id: &str) -> Result<()> {
        self.containerd.wait(id, CONTAINER_PATIENCE)?;
        self.containerd.remove_container(id)
    }

    fn start(&self, pod: &RunningPod, case: &Case, attempt: u32, script: &str) -> Result<String> {
        if self.stop.load(Ordering::Relaxed) {
            bail!("ended by a signal");
        }
        let host = case.folder(&self.data, attempt);
        let data = Mounted { host, container: "/data".into(), readonly: true };
        let command = ["/bin/sh", "-c", script].map(String::from).to_vec();
        let rights = Rights { user: case.user, ..Rights::default() };
        let spec = ContainerSpec { image: IMAGE.to_owned(), command, mounts: vec![data], rights, ..Default::default() };
        let id = self.containerd.start_container_with(pod, attempt, &spec)?;
        self.link(case, attempt, &id)?;
        Ok(id)
    }

    /// The kubelet links a container's ID to its log once it has started it.
    fn link(&self, case: &Case, attempt: u32, id: &str) -> Result<()> {
        let (pod, container) = (&case.pod, &case.pod.containers[0]);
        let links = self.pods_root.with_file_name("containers");
        std::fs::create_dir_all(&links)?;
        let link = links.join(format!("{}_{}_{container}-{id}.log", pod.name, pod.namespace));
        let log = pod.log_folder(&self.pods_root).join(container).join(format!("{attempt}.log"));
        std::os::unix::fs::symlink(log, link).context("linking a container's log as the kubelet does")
    }

    fn rotate_while_running(&self, case: &Case, attempt: u32, id: &str) -> Result<u32> {
        let path = case.pod.log_folder(&self.pods_root).join(&case.pod.containers[0]).join(format!("{attempt}.log"));
        let mut rotations = 0;
        loop {
            std::thread::sleep(ROTATION_INTERVAL);
            if self.stop.load(Ordering::Relaxed) {
                bail!("ended by a signal");
            }
            if self.containerd.exit_code(id)?.is_some() {
                return Ok(rotations);
            }
            kubelet_rename(&path, self.files_max, clock::wall_ns())?;
            match self.containerd.reopen_log(id) {
                Ok(()) => rotations += 1,
                // It ended between the look and the call.
                Err(_) if self.containerd.exit_code(id)?.is_some() => return Ok(rotations),
                Err(error) => return Err(error),
            }
        }
    }
}

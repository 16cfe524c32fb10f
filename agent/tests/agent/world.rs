//! A folder with pods and their log files, a receiver, and the agent between them.
//!
//! In: what is written, what is configured. Out: what the receiver stored, what the agent says of itself. Waiting is
//! always for a condition. Dropping it ends the agent.

use penstock_bench::agent::{AgentProcess, AgentSettings, free_address};
use penstock_bench::clock;
use penstock_bench::pods::{SamplePod, kubectl_json};
use penstock_bench::receiver::{Receiver, ReceiverConfig, StoredEntry};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_penstock");
pub(crate) const NODE: &str = "gpu-node-1";
/// A bound for what must happen; nothing waits for it when it does.
const SOON: Duration = Duration::from_secs(45);
/// The labels of a pod that is collected.
pub(crate) const COLLECT: (&str, &str) = ("mif.moreh.io/log.collect", "true");

pub(crate) struct World {
    agent: Option<AgentProcess>,
    pub(crate) receiver: Receiver,
    pub(crate) settings: AgentSettings,
    /// Further lines of the section `loki`.
    pub(crate) loki: String,
    pub(crate) pods: Vec<SamplePod>,
    _runtime: Runtime,
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(ReceiverConfig { sharding: false, ..ReceiverConfig::default() })
    }

    pub(crate) fn with(config: ReceiverConfig) -> Self {
        let folder = tempfile::Builder::new().prefix("penstock-test-").tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let receiver = runtime.block_on(Receiver::start(config)).unwrap();
        let settings = AgentSettings {
            node_name: NODE.into(),
            data_dir: folder.path().join("data"),
            log_dir: folder.path().join("pods"),
            pods: folder.path().join("pods.json"),
            loki_url: receiver.url(),
            loki_more: String::new(),
            capture: "file".into(),
            admin: free_address().unwrap(),
            more: String::new(),
        };
        fs::create_dir_all(&settings.log_dir).unwrap();
        let (loki, pods) = (String::new(), Vec::new());
        let world = Self { agent: None, receiver, settings, loki, pods, _runtime: runtime, folder };
        world.write_pods();
        world
    }

    /// One more pod, known to the agent, with the folder of its container; returns its place in `pods`.
    pub(crate) fn pod(&mut self, name: &str, labels: &[(&str, &str)]) -> usize {
        let mut pod = SamplePod::new(name, &[&[COLLECT, ("app.kubernetes.io/name", name)], labels].concat());
        pod.containers = vec!["c".into()];
        self.add_pod(pod)
    }

    pub(crate) fn add_pod(&mut self, pod: SamplePod) -> usize {
        for container in &pod.containers {
            fs::create_dir_all(pod.log_folder(&self.settings.log_dir).join(container)).unwrap();
        }
        self.pods.push(pod);
        self.write_pods();
        self.pods.len() - 1
    }

    pub(crate) fn write_pods(&self) {
        let new = self.settings.pods.with_extension("new");
        fs::write(&new, kubectl_json(&self.pods, NODE)).unwrap();
        fs::rename(new, &self.settings.pods).unwrap();
    }

    /// The folder of a pod's first container.
    pub(crate) fn logs(&self, pod: usize) -> PathBuf {
        let pod = &self.pods[pod];
        pod.log_folder(&self.settings.log_dir).join(&pod.containers[0])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `NAME-0` to `NAME-(count - 1)` in a pod's `0.log`.
    pub(crate) fn write(&self, pod: usize, name: &str, count: usize) -> Vec<String> {
        let lines: Vec<String> = (0..count).map(|n| format!("{name}-{n}")).collect();
        append(&self.logs(pod).join("0.log"), cri(&lines));
        lines
    }

    pub(crate) fn yaml(&self) -> String {
        self.settings.yaml().replace("\nadmin: ", &format!("\n{}admin: ", self.loki))
    }

    /// Starts the agent, with 3 s to end.
    pub(crate) fn start(&mut self) {
        self.start_with(Command::new(PROGRAM), &self.yaml());
    }

    pub(crate) fn start_with(&mut self, program: Command, yaml: &str) {
        assert!(self.agent.is_none(), "it runs already");
        self.agent = Some(AgentProcess::start_with(program, yaml, &["--grace", "3"], self.folder.path()).unwrap());
    }

    pub(crate) fn agent(&self) -> &AgentProcess {
        self.agent.as_ref().expect("started")
    }

    /// SIGTERM; how it ended, and how long that took.
    pub(crate) fn stop(&mut self) -> (ExitStatus, Duration) {
        let begun = clock::monotonic();
        let status = self.agent.take().expect("started").stop(SOON).unwrap();
        (status, clock::monotonic() - begun)
    }

    pub(crate) fn kill(&mut self) {
        self.agent.take().expect("started").kill().unwrap();
    }

    /// Everything that agents here have said.
    pub(crate) fn words(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("penstock.log")).unwrap_or_default()).into_owned()
    }

    /// Waits until the agent has said this.
    pub(crate) fn until_said(&self, words: &str) {
        self.until(&format!("it says {words:?}"), || self.words().contains(words));
    }

    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = clock::monotonic();
        while !is_so() {
            assert!(
                clock::monotonic() - begun < SOON,
                "never: {what}; stored: {:?}; {:?}; the agent's words:\n{}",
                self.lines().iter().rev().take(10).map(|line| line.get(..30).unwrap_or(line)).collect::<Vec<_>>(),
                self.receiver.stats(),
                self.words()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until so many entries are stored, and returns their lines.
    pub(crate) fn until_lines(&self, count: usize) -> Vec<String> {
        self.until(&format!("{count} lines"), || self.receiver.stats().entries_stored >= count as u64);
        self.lines()
    }

    pub(crate) fn entries(&self) -> Vec<StoredEntry> {
        self.receiver.entries("{}").unwrap()
    }

    /// Lines stored, in the order of arrival.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.entries().iter().map(|entry| String::from_utf8_lossy(&entry.line).into_owned()).collect()
    }

    pub(crate) fn get(&self, page: &str) -> (u16, String) {
        self.settings.page(page)
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.settings.metric(name)
    }

    pub(crate) fn until_metric(&self, name: &str, least: f64) {
        self.until(&format!("{name} is {least}"), || self.metric(name) >= least);
    }

    pub(crate) fn until_ready(&self) {
        self.until("it is ready", || self.get("/readyz").0 == 200);
    }
}

/// Appends and closes.
pub(crate) fn append(path: &Path, bytes: impl AsRef<[u8]>) {
    File::options().create(true).append(true).open(path).unwrap().write_all(bytes.as_ref()).unwrap();
}

/// Opens as a container's runtime does, which keeps its file open.
pub(crate) fn open(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}

pub(crate) fn stamp(time_ns: i64) -> String {
    let time = UNIX_EPOCH + Duration::from_nanos(time_ns.try_into().unwrap());
    humantime::format_rfc3339_nanos(time).to_string()
}

/// A line of a CRI file, whole, on stdout, as of now.
pub(crate) fn line(text: impl AsRef<[u8]>) -> Vec<u8> {
    line_at(clock::wall_ns(), text)
}

pub(crate) fn line_at(time_ns: i64, text: impl AsRef<[u8]>) -> Vec<u8> {
    [format!("{} stdout F ", stamp(time_ns)).as_bytes(), text.as_ref(), b"\n"].concat()
}

pub(crate) fn cri(lines: &[impl AsRef<[u8]>]) -> Vec<u8> {
    lines.iter().flat_map(line).collect()
}

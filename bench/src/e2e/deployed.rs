//! The image as the chart runs it: the rendered DaemonSet's pod under the private containerd, in each of its modes.
//!
//! In: a containerd, the chart, the image. Out: whether each mode delivered every line once, and whether each right that the chart
//! asks for is needed. Never: an API server; the pods come from a file.

use super::cases::{Case, STEADY};
use super::pod_spec::Deployed;
use super::{NODE, World, is_ahead};
use crate::agent::{self, AgentSettings};
use crate::charts::Release;
use crate::clock;
use crate::cri::pods::ContainerSpec;
use crate::demo::compare;
use crate::image;
use crate::pods::{SamplePod, kubectl_json};
use crate::receiver::{Receiver, ReceiverConfig};
use crate::store::Store as _;
use crate::tools::Tool;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Runtime;

const REPOSITORY: &str = "local/penstock";
const TAG: &str = "e2e";
/// How long the agent may take to start, and its lines to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// A file beside what a container writes: it may begin.
const GO: &str = "go";
/// `nobody`: whose processes and files are not root's.
const OTHER_USER: i64 = 65_534;

/// A way in which the chart runs the agent.
struct Mode {
    name: String,
    /// Values of the chart.
    values: serde_json::Value,
    /// A capability, or [`NODE_PROCESSES`], that is taken from what the chart asks for.
    without: Option<&'static str>,
    /// Whether the pod that writes runs before the agent. While the runtime starts a container, its process is still root's, and
    /// an agent that looks then finds its pipes with fewer rights.
    is_late: bool,
    /// Whether lines come from the kernel, where it has a hook.
    captures: bool,
}

/// The right to see the node's processes, as a pod spec calls it.
const NODE_PROCESSES: &str = "hostPID";

impl Mode {
    fn all() -> Vec<Self> {
        let least = json!({"leastPrivilege": true});
        let mode =
            |name: &str, values, captures| Self { name: name.into(), values, without: None, is_late: false, captures };
        let mut modes = vec![
            mode("privileged", json!({}), true),
            mode("least-privilege", least.clone(), true),
            Self { is_late: true, ..mode("least-privilege-late", least.clone(), true) },
            mode("file-only", json!({"config": {"capture": "file"}}), false),
        ];
        modes.extend(["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", NODE_PROCESSES].map(|right| Self {
            without: Some(right),
            is_late: true,
            ..mode(&format!("without-{}", right.to_lowercase().replace('_', "-")), least.clone(), false)
        }));
        modes
    }
}

/// Runs all modes. True: all held.
///
/// # Errors
/// The image or a manifest cannot be made, or a container not be run.
pub(super) fn check(world: &World<'_>, folder: &Path, release: bool) -> Result<bool> {
    if let Some(why) = Tool::Helm.missing() {
        println!("left out: the image as the chart runs it ({why})");
        return Ok(true);
    }
    let tar = folder.join("penstock.tar");
    image::make(&agent::build(release)?, &format!("{REPOSITORY}:{TAG}"), &tar)?;
    world.containerd.import(&tar).context("giving containerd the image")?;
    let mut held = true;
    for mode in Mode::all() {
        held &= play(world, folder, &mode).with_context(|| format!("the chart's pod, {}", mode.name))?;
    }
    Ok(held)
}

/// One mode: the agent's pod, and one that writes.
fn play(world: &World<'_>, folder: &Path, mode: &Mode) -> Result<bool> {
    let runtime = Runtime::new()?;
    let receiver = runtime.block_on(Receiver::start(ReceiverConfig { keep_entries: true, ..Default::default() }))?;
    let folder = folder.join(&mode.name);
    let case = case(mode)?;
    let go = case.folder(&world.data, 0).join(GO);
    let written = BTreeMap::from([case.prepare(&world.data)?]);
    let lines: u64 = written.values().flatten().map(|one| one.hashes.len() as u64).sum();
    let settings = settings(world, &folder, &receiver)?;
    fs::write(&settings.pods, kubectl_json(std::slice::from_ref(&case.pod), NODE))?;
    let writer = mode.is_late.then(|| world.begin(&case)).transpose()?;
    let deployed = Deployed::read(&release(mode, &settings, &folder)?.manifests()?)?;
    let mut spec = deployed.container(NODE, &folder)?;
    spec.rights.add.retain(|right| mode.without != Some(right));
    spec.rights.sees_node &= mode.without != Some(NODE_PROCESSES);
    let pod = SamplePod::new(&format!("penstock-{}", mode.name), &[]);
    let pod = world.containerd.run_pod_with(&pod, &world.pods_root, &spec.rights)?;
    let id = world.containerd.start_container_with(&pod, 0, &spec)?;
    probe(world, &settings, &deployed, &id)?;
    fs::write(go, "")?;
    let writer = writer.map_or_else(|| world.begin(&case), Ok)?;
    world.end(&writer)?;
    wait(world, &id, || receiver.count().lines >= lines)?;
    let captured = settings.metric("lines_total{source=\"ebpf\"}");
    let is_as_meant = match (mode.captures, mode.is_late) {
        (true, false) => is_ahead(&settings),
        (true, true) => captured > 0.0 || !settings.has_hook(),
        (false, _) => captured == 0.0,
    };
    let witnesses = settings.witnesses();
    world.containerd.stop_container(&id, deployed.grace_seconds())?;
    let code = world.containerd.exit_code(&id)?;
    let tally = compare(&written, &receiver);
    let held = tally.is_exact() && is_as_meant && code == Some(0);
    println!("  {}: {}", mode.name, rights(&spec));
    println!("    {witnesses}; exit code {code:?}; {tally}");
    if !held {
        println!("    DID NOT HOLD; the agent said\n{}", words(world, &mode.name));
    }
    runtime.block_on(receiver.stop());
    Ok(held)
}

/// A steady container of another user, which waits for [`GO`].
fn case(mode: &Mode) -> Result<Case> {
    let mut case = super::cases::all().into_iter().find(|case| case.pod.name == STEADY).context("no steady case")?;
    let labels: Vec<_> = case.pod.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    case.pod = SamplePod::new(&format!("writer-{}", mode.name), &labels);
    case.user = Some(OTHER_USER);
    let script = &mut case.scripts[0];
    *script = format!("until [ -e /data/{GO} ]; do usleep 50000; done; {script}");
    Ok(case)
}

fn settings(world: &World<'_>, folder: &Path, receiver: &Receiver) -> Result<AgentSettings> {
    let data_dir = folder.join("data");
    fs::create_dir_all(&data_dir)?;
    Ok(AgentSettings {
        node_name: NODE.into(),
        pods: data_dir.join("pods.json"),
        data_dir,
        log_dir: world.pods_root.clone(),
        loki_url: receiver.url(),
        loki_more: String::new(),
        capture: "auto".into(),
        admin: agent::free_address()?,
        more: String::new(),
    })
}

/// The chart with values for this machine, and those of the mode above them.
fn release(mode: &Mode, settings: &AgentSettings, folder: &Path) -> Result<Release> {
    let file = |name: &str, values: &serde_json::Value| -> Result<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, values.to_string())?;
        Ok(path)
    };
    let machine = json!({
        "image": {"repository": REPOSITORY, "tag": TAG},
        "config": {
            "data_dir": settings.data_dir, "log_dir": settings.log_dir, "discovery": {"static": settings.pods},
            "loki": {"url": settings.loki_url}, "admin": format!("0.0.0.0:{}", settings.admin.port()),
        },
    });
    let values = vec![file("machine.yaml", &machine)?, file("mode.yaml", &mode.values)?];
    Ok(Release { values, ..Release::new("penstock", "e2e") })
}

/// Until the pages that the rendered probes ask answer with 200.
fn probe(world: &World<'_>, settings: &AgentSettings, deployed: &Deployed, id: &str) -> Result<()> {
    for page in deployed.probes()? {
        wait(world, id, || settings.page(&page).0 == 200).with_context(|| format!("asking for {page}"))?;
    }
    Ok(())
}

/// Until something is so, or [`PATIENCE`] is over; what is missing then is told by whoever compares.
fn wait(world: &World<'_>, id: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let begun = clock::monotonic();
    while !is_so() && clock::monotonic() - begun < PATIENCE {
        if let Some(code) = world.containerd.exit_code(id)? {
            bail!("the agent ended with exit code {code}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn rights(spec: &ContainerSpec) -> String {
    let rights = &spec.rights;
    let may = match &rights.add[..] {
        _ if rights.is_privileged => "privileged".to_owned(),
        [] => "no capability".to_owned(),
        added => added.join(", "),
    };
    let root = if rights.has_readonly_root { ", read-only root" } else { "" };
    format!("{may}{root}{}", if rights.sees_node { ", hostPID" } else { "" })
}

/// What the agent wrote to its log file.
fn words(world: &World<'_>, mode: &str) -> String {
    let pod = SamplePod::new(&format!("penstock-{mode}"), &[]);
    let log = pod.log_folder(&world.pods_root).join(&pod.containers[0]).join("0.log");
    fs::read_to_string(&log).unwrap_or_else(|error| format!("{}: {error}", log.display()))
}

//! The chart in a real cluster: installed by helm, with pods of every kind beside it, and trouble while they write.
//!
//! In: a kubeconfig, an image that the nodes have, a store that pods can reach. Out: a verdict a pod. Never: anything left in the
//! cluster; the release and the namespace go also on a failure or Ctrl-C. On the nodes the agent's `data_dir` stays.

pub mod kubectl;
pub mod samples;

use super::E2eArgs;
use crate::charts::Release;
use crate::clock;
use crate::stop;
use crate::store::Store;
use anyhow::{Context, Result, bail, ensure};
use kubectl::Kubectl;
use samples::{Arrived, SAMPLES};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NAMESPACE: &str = "penstock-e2e";
const RELEASE: &str = "penstock";
/// From the pods' start to the restart of the agent, and from there to that of the API server.
const BEFORE_TROUBLE: Duration = Duration::from_secs(20);
/// How long the pods may take to write, and what they wrote to arrive.
const PATIENCE: Duration = Duration::from_secs(180);

/// What stays in the cluster no longer than this lives.
struct Installed<'a> {
    kubectl: &'a Kubectl,
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.kubectl.helm(&["uninstall", RELEASE, "--wait"]).and(self.kubectl.delete_namespace()) {
            eprintln!("cleaning up: {error:#}");
        }
    }
}

/// Installs, lets the pods write, makes trouble, compares. True: every line arrived once.
///
/// # Errors
/// The cluster, helm or kubectl refuse, or it takes too long.
pub fn run(args: &E2eArgs, kubeconfig: &Path, store: &dyn Store) -> Result<bool> {
    let stop = stop::on_signal()?;
    let kubectl = Kubectl::new(kubeconfig, NAMESPACE)?;
    println!("cluster: {}", kubectl.version()?);
    let _installed = Installed { kubectl: &kubectl };
    install(args, &kubectl, store)?;
    let tested = kubectl.helm(&["test", RELEASE, "--timeout=1m"]);
    let said = kubectl.run(&["logs", &format!("{RELEASE}-test")])?;
    tested.with_context(|| format!("helm test, whose pod says:\n{said}"))?;
    println!("  helm test: {}", said.trim_end().replace('\n', "\n    "));
    kubectl.apply(&samples::manifests(&args.app_image))?;
    println!("  {} pods write", SAMPLES.len());
    pass(BEFORE_TROUBLE, &stop)?;
    kubectl.run(&["delete", "pod", samples::DELETED, "--grace-period=1", "--wait=false"])?;
    kubectl.run(&["rollout", "restart", &format!("daemonset/{RELEASE}")])?;
    kubectl.run(&["rollout", "status", &format!("daemonset/{RELEASE}"), "--timeout=2m"])?;
    println!("  a pod was deleted while it wrote, and the agent restarted");
    if let Some(command) = &args.restart_api {
        pass(BEFORE_TROUBLE, &stop)?;
        let status = Command::new("sh").args(["-c", command]).status().context("starting sh")?;
        ensure!(status.success(), "`{command}` failed ({status})");
        kubectl.until_it_answers(PATIENCE)?;
        println!("  the API server was restarted");
    }
    kubectl.until_ended(&samples::ending(), PATIENCE, &stop)?;
    let (arrived, restarts) = loop {
        let restarts = kubectl.restarts(samples::CRASHING)?;
        let arrived = settle(store, &stop)?;
        // It may have been started once more meanwhile.
        if kubectl.restarts(samples::CRASHING)? == restarts {
            break (arrived, restarts);
        }
    };
    let mut held = true;
    for sample in SAMPLES {
        let verdict = arrived.verdict(sample, restarts);
        println!("  {:<11} {verdict}", sample.name);
        held &= verdict.holds;
    }
    let lines = |source: &str| kubectl.metric(&format!("penstock_lines_total{{source=\"{source}\"}}"));
    println!("  since the restart {} lines from the kernel, {} from the files", lines("ebpf")?, lines("file")?);
    println!("  {} log files were rotated while they were written", kubectl.rotations(samples::LONG)?);
    if !held {
        println!("the agent says\n{}", kubectl.run(&["logs", &format!("daemonset/{RELEASE}"), "--tail=40"])?);
    }
    Ok(held)
}

fn install(args: &E2eArgs, kubectl: &Kubectl, store: &dyn Store) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (repository, tag) = args.image.rsplit_once(':').context("--image: NAME:TAG")?;
    let values = json!({
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "test": {"image": args.app_image},
        "config": {"loki": {"url": store.url()}, "data_dir": format!("/var/lib/penstock-e2e-{}", std::process::id())},
    });
    let own = folder.path().join("e2e.yaml");
    std::fs::write(&own, values.to_string())?;
    let own = own.to_string_lossy();
    let chart = Release::new("penstock", RELEASE).chart;
    let chart = chart.to_string_lossy();
    let mut command =
        vec!["install", RELEASE, &chart, "--create-namespace", "--wait", "--timeout=2m", "--values", &own];
    let more = args.values.as_ref().map(|file| file.to_string_lossy().into_owned());
    command.extend(more.iter().flat_map(|file| ["--values", file]));
    let begun = clock::monotonic();
    kubectl.helm(&command)?;
    println!("  helm install: the agent is ready after {} s", (clock::monotonic() - begun).as_secs());
    Ok(())
}

/// Until nothing has arrived for five seconds.
fn settle(store: &dyn Store, stop: &AtomicBool) -> Result<Arrived> {
    let mut lines = store.count().lines;
    loop {
        pass(Duration::from_secs(5), stop)?;
        let now = store.count().lines;
        if now == lines {
            return Ok(Arrived::read(store));
        }
        lines = now;
    }
}

fn pass(time: Duration, stop: &AtomicBool) -> Result<()> {
    let begun = clock::monotonic();
    while clock::monotonic() - begun < time {
        if stop.load(Ordering::Relaxed) {
            bail!("ended by a signal");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

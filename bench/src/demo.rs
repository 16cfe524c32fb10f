//! The main job, shown: sample containers, the agent, a live table, a tally.
//!
//! In: a store to push to, and for how long. Out: a table on stdout, and whether every line arrived once and
//! unchanged. Never: a process, mount or folder left behind.

pub mod lag;
pub mod load;

use crate::agent::{self, AgentProcess, AgentSettings};
use crate::clock;
use crate::cri;
use crate::pods::kubectl_json;
use crate::stop;
use crate::store::{Count, Store};
use crate::tally::{Comparison, Tally, Written};
use anyhow::{Context, Result};
use lag::Lag;
use load::Load;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The arguments of `cargo xtask demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// How long to write. Without it: until Ctrl-C.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Which witness the agent uses.
    #[arg(long, default_value = "auto", value_parser = ["auto", "ebpf", "file"])]
    pub capture: String,
    /// Build the agent optimised.
    #[arg(long)]
    pub release: bool,
    /// Do not use real containers even where containerd is installed.
    #[arg(long)]
    pub no_containerd: bool,
}

/// The name of the node in the demo.
pub const NODE: &str = "demo-node";
/// How long after the last line everything must have arrived, at the latest.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Runs it. True: every line arrived, once and unchanged.
///
/// # Errors
/// Something could not be started, or the agent ended by itself.
pub fn run(args: &DemoArgs, store: &dyn Store) -> Result<bool> {
    let stop = stop::on_signal()?;
    let folder = tempfile::Builder::new().prefix("penstock-demo-").tempdir()?;
    println!("building the agent …");
    let program = agent::build(args.release)?;
    let why_not = if args.no_containerd { Some("--no-containerd".to_string()) } else { cri::missing() };
    let mut load = match &why_not {
        None => {
            println!("containers: real ones, in a private containerd (CRI)");
            Load::in_containerd(folder.path())?
        }
        Some(why) => {
            println!("containers: sample processes behind pipes with a runtime-like logger (no containerd: {why})");
            Load::behind_pipes(folder.path())?
        }
    };
    let settings = AgentSettings {
        node_name: NODE.into(),
        data_dir: folder.path().join("data"),
        log_dir: load.pods_root(),
        pods: folder.path().join("pods.json"),
        loki_url: store.url(),
        loki_more: String::new(),
        capture: args.capture.clone(),
        admin: agent::free_address()?,
        more: String::new(),
    };
    std::fs::write(&settings.pods, kubectl_json(load.pods(), NODE))?;
    let mut agent = AgentProcess::start(&program, &settings, folder.path())?;
    println!("agent: pid {}, capture {}, admin http://{}", agent.pid(), args.capture, settings.admin);
    println!("receiver: {}\n", store.url());
    load.start()?;
    let ran = watch(args, store, &mut load, &mut agent, &stop);
    finish(store, load, (agent, &settings), folder.path().join("penstock.log"), ran)
}

/// The table, until time is up or somebody ends it.
fn watch(
    args: &DemoArgs,
    store: &dyn Store,
    load: &mut Load,
    agent: &mut AgentProcess,
    stop: &AtomicBool,
) -> Result<()> {
    let mut lag = Lag::default();
    let mut before = (0, Count::default());
    let begun = clock::monotonic();
    println!("   time    lines in   lines out   waiting  in MB/s  out MB/s    lag ms  agent MiB");
    for second in 1.. {
        let due = begun + Duration::from_secs(second);
        while let Some(left) = due.checked_sub(clock::monotonic()).filter(|left| !left.is_zero()) {
            if stop.load(Ordering::Relaxed) {
                println!("ended by a signal: no more lines, waiting for those under way");
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(20)));
            lag.note(clock::monotonic(), load.lines(), store.count().lines);
        }
        agent.check()?;
        let (bytes, count, lines) = (load.bytes(), store.count(), load.lines());
        println!(
            "{second:>5} s {lines:>11} {:>11} {:>9} {:>8} {:>9} {:>9} {:>10}",
            count.lines,
            lines.saturating_sub(count.lines),
            megabytes(bytes - before.0),
            megabytes(count.bytes - before.1.bytes),
            lag.worst_and_reset().as_millis(),
            agent.resident_bytes() >> 20,
        );
        before = (bytes, count);
        if args.seconds.is_some_and(|seconds| second >= seconds) {
            return Ok(());
        }
        load.each_second(second)?;
    }
    Ok(())
}

fn finish(
    store: &dyn Store,
    mut load: Load,
    (mut agent, settings): (AgentProcess, &AgentSettings),
    log: PathBuf,
    ran: Result<()>,
) -> Result<bool> {
    load.stop()?;
    ran?;
    let lines = load.lines();
    drain(store, lines, &mut agent)?;
    let (last_words, witnesses) = (agent.last_words(), settings.witnesses());
    let status = agent.stop(Duration::from_secs(25)).with_context(|| format!("its log is {}", log.display()))?;
    let result = compare(&load.written()?, store);
    println!("\n{witnesses}");
    println!("tally: {result}");
    println!("agent: {status} after SIGTERM");
    if !result.is_exact() || !status.success() {
        println!("the agent's last words:\n{last_words}");
        return Ok(false);
    }
    println!("every line arrived once, unchanged and in order");
    Ok(true)
}

/// Waits until as many lines have arrived as were written, and a little longer for some that should not.
///
/// # Errors
/// The agent ended.
pub fn drain(store: &dyn Store, lines: u64, agent: &mut AgentProcess) -> Result<()> {
    let begun = clock::monotonic();
    while store.count().lines < lines && clock::monotonic() - begun < DRAIN_MAX {
        agent.check()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    Ok(())
}

/// Tally of ledgers and store.
#[must_use]
pub fn compare(written: &BTreeMap<String, Vec<Written>>, store: &dyn Store) -> Tally {
    let mut comparison = Comparison::new(written);
    store.each(&mut |entry| comparison.take(entry));
    comparison.finish()
}

/// With two digits: 1.25
fn megabytes(bytes: u64) -> String {
    format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}

//! The data threads: what each is given, their start, their end.
//!
//! In: the configuration, the kernel source, what is kept on disk. Out: threads that run until all are told to stop. Never: a
//! pod that two of them have.

use super::capture;
use super::data_thread::DataThread;
use super::inbox::{Inbox, Receiver, Senders};
use super::outside::Shell;
use super::storage::Storage;
use crate::checkpoint::layout::{self, Kept};
use crate::clock::Clock;
use crate::config::{Config, StartAt};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::pipeline::thread_limits::ThreadLimits;
use crate::pipeline::{Pipeline, Settings};
use crate::send::{self, http::Client};
use crate::sources::ebpf::shared::SharedTap;
use crate::sources::ebpf::{EbpfSource, Kernel};
use crate::sources::file::FileSource;
use crate::sources::file::os::OsDisk;
use crate::types::pod::PodSnapshot;
use crate::types::request::Request;
use crate::types::shard::Shard;
use anyhow::{Context as _, bail};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tracing::warn;

/// What all of them use.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) pods: watch::Receiver<Arc<PodSnapshot>>,
    pub(super) client: Client,
    pub(super) grace: Duration,
}

/// A data thread that has not begun, and what it hands to the sender.
pub(super) struct Prepared {
    data: DataThread,
    outgoing: mpsc::Receiver<Request>,
    senders: Senders,
    client: Client,
}

/// Makes everything ready.
///
/// # Errors
/// The log directory cannot be used; what is kept on disk cannot be divided; the system has no descriptor or thread left.
pub(super) fn prepare(
    config: &Config,
    kernel: Option<Kernel>,
    senders: &Senders,
    receivers: Vec<Receiver>,
    shared: Shared,
) -> anyhow::Result<Vec<Prepared>> {
    let threads = config.performance.threads;
    let opened = layout::open(&config.data_dir, threads)
        .with_context(|| format!("dividing what is kept in data_dir {}", config.data_dir.display()))?;
    opened.messages.iter().for_each(|message| warn!("{message}"));
    let skips_existing = config.start_at == StartAt::End && opened.is_first_start;
    let thread_limits = ThreadLimits::new(config.loki.rate, config.loki.burst);
    let log_dir = open_log_dir(config)?.log_dir().to_path_buf();
    let taps = capture::start(kernel, &log_dir, shared.clock, senders, &shared.metrics)?;
    let mut taps = taps.map(Vec::into_iter);
    let mut prepared = Vec::new();
    for ((shard, receiver), kept) in Shard::all(threads).zip(receivers).zip(opened.threads) {
        let Kept { store, journal, positions, recovered } = kept;
        let tap = taps.as_mut().and_then(Iterator::next);
        let disk = open_log_dir(config)?;
        let backlog_bytes_max = config.backlog_bytes_max / threads as u64;
        let source = FileSource::new(disk, log_dir.clone(), backlog_bytes_max, positions, skips_existing);
        let seed = shared.clock.now().wall_ns.cast_unsigned() ^ u64::from(std::process::id()) ^ shard.index() as u64;
        let settings = Settings::new(config, shard, seed);
        // More than the pipeline ever has under way.
        let (requests, outgoing) = mpsc::channel(2 * config.loki.requests_in_flight);
        let storage = Storage::start(store, Arc::clone(&shared.metrics), shared.clock)?;
        let data = DataThread {
            index: shard.index(),
            ring: tap.as_ref().map(ring).transpose()?,
            pipeline: Pipeline::new(
                settings,
                source,
                tap,
                recovered,
                thread_limits.clone(),
                Arc::clone(&shared.metrics),
            ),
            shell: Shell { requests, journal, storage },
            receiver,
            pods: shared.pods.clone(),
            health: Arc::clone(&shared.health),
            clock: shared.clock,
            grace: shared.grace,
        };
        prepared.push(Prepared { data, outgoing, senders: senders.clone(), client: shared.client.clone() });
    }
    Ok(prepared)
}

/// Runs them until they have ended.
///
/// # Errors
/// Those of a data thread; it panicked, or the system has no thread left.
pub(super) fn run(prepared: Vec<Prepared>, runtime: &Runtime) -> anyhow::Result<()> {
    let mut threads = Vec::new();
    for Prepared { data, outgoing, senders, client } in prepared {
        let index = data.index;
        let name = if index == 0 { "penstock-data".to_owned() } else { format!("penstock-data-{index}") };
        runtime.spawn(send::run(client, outgoing, move |answer| {
            if let Some(sender) = senders.0.get(index) {
                sender.put(Inbox::Answer(answer));
            }
        }));
        threads.push(std::thread::Builder::new().name(name).spawn(move || data.run())?);
    }
    let mut outcome = Ok(());
    for thread in threads {
        let ended = thread.join().map_err(|_| anyhow::anyhow!("a data thread panicked; please report this"));
        outcome = outcome.and(ended.and_then(|ended| ended));
    }
    outcome
}

fn open_log_dir(config: &Config) -> anyhow::Result<OsDisk> {
    if config.log_dir.is_file() {
        bail!("log_dir {} is a file; it must be the folder of the pods' logs", config.log_dir.display());
    }
    OsDisk::new(&config.log_dir, &config.log_link_dirs).with_context(|| {
        format!("cannot use log_dir {}; is it mounted, and may the agent read it?", config.log_dir.display())
    })
}

fn ring(tap: &SharedTap<EbpfSource>) -> std::io::Result<OwnedFd> {
    tap.with(|source| source.ring().try_clone_to_owned())
}

//! `penstock run`: the threads and what connects them.
//!
//! Data threads, usually one, do the files and the pipeline; beside each one thread writes its positions; network, pods and
//! the admin server run on a small tokio runtime. In: the configuration, signals. Out: an exit, orderly.

pub(crate) mod capture;
mod data_thread;
mod data_threads;
mod inbox;
mod memory;
mod outside;
mod storage;

use crate::admin::{self, AdminState};
use crate::checkpoint::lock::Lock;
use crate::clock::Clock;
use crate::config::{self, Config, Source};
use crate::discovery::{self, DiscoveryConfig, own_pod};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::send;
use crate::types::pod::PodSnapshot;
use inbox::Inbox;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

/// Ships logs until SIGTERM or SIGINT; then flushes and saves within `grace`. A second signal ends it at once.
///
/// # Errors
/// What keeps the agent from starting, with the remedy: the data directory is taken, the log directory is not
/// there, the admin address is in use, the kernel source was asked for and cannot be had.
pub fn run(config: &Config, grace: Duration) -> anyhow::Result<()> {
    memory::keep_for_batches();
    let clock = Clock::start();
    let lock = Lock::take(&config.data_dir)?;
    let kernel = capture::attach(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let signals = runtime.block_on(async { Signals::listen() })?;
    raise_file_limit();
    // A lease that a writer breaks is told by this signal, which ends a process that has no handler.
    signal_hook::flag::register(signal_hook::consts::SIGIO, Arc::default())?;
    let threads = config.performance.threads;
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::new(threads));
    let (snapshots, pods) = watch::channel(Arc::new(PodSnapshot::default()));
    let client = send::http::Client::new(&config.loki)?;
    let (senders, receivers) = inbox::channels(threads)?;
    let common = data_threads::Shared {
        clock,
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        pods: pods.clone(),
        client: client.clone(),
        grace,
    };
    let prepared = data_threads::prepare(config, kernel, &senders, receivers, common)?;

    let (stop, stopped) = watch::channel(false);
    let (streams, streams_asked) = mpsc::channel(8);
    let state = AdminState { metrics, health: Arc::clone(&health), streams, clock };
    let listener = runtime.block_on(admin::bind(config.admin))?;
    info!(version = env!("CARGO_PKG_VERSION"), node = config.node_name, admin = %config.admin, "penstock runs");
    runtime.spawn(async move { admin::serve(listener, Arc::new(state)).await });
    let to_data = senders.clone();
    let on_change = move || to_data.put(|| Inbox::LokiFiles);
    runtime.spawn(client.changes(move || health.trouble().is_some(), on_change));
    runtime.spawn(inbox::forward_streams(streams_asked, senders.clone()));
    runtime.spawn(inbox::forward_pods(pods, senders.clone()));
    let discovering = runtime.spawn(discover(config, clock, snapshots, stopped));
    runtime.spawn(signals.forward(senders));

    let outcome = data_threads::run(prepared, &runtime);
    let _nobody_listens = stop.send(true);
    let _late = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(1), discovering).await });
    runtime.shutdown_timeout(Duration::from_millis(200));
    drop(lock);
    outcome
}

fn discover(
    config: &Config,
    clock: Clock,
    snapshots: watch::Sender<Arc<PodSnapshot>>,
    stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let sources = config.labels.values().chain(config.structured_metadata.values());
    let label_keys = sources.filter_map(|source| match source {
        Source::PodLabel(key) => Some(key.clone()),
        _ => None,
    });
    let discovery = DiscoveryConfig {
        node_name: config.node_name.clone(),
        discovery: config.discovery.clone(),
        select: config.select.clone(),
        json: config.json.clone(),
        label_keys: label_keys.collect(),
        data_dir: config.data_dir.clone(),
        kubeconfig: config::variable("KUBECONFIG").map(Into::into),
        own_pod: own_pod::find(),
        pace: discovery::Pace::default(),
    };
    let (status, _) = watch::channel(discovery::Status::default());
    discovery::run(discovery, clock, snapshots, status, stopped)
}

/// SIGTERM and SIGINT, from the first moment on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Call within the runtime.
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn forward(mut self, senders: inbox::Senders) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => info!("SIGTERM: flushing"),
                _ = self.interrupt.recv() => info!("SIGINT: flushing"),
            }
            senders.put(|| Inbox::Stop);
        }
    }
}

/// Rotated and deleted files are held open until they are read.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        warn!("cannot raise the limit of open files: {error}");
    }
}

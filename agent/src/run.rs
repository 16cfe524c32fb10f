//! `penstock run`: the threads and what connects them.
//!
//! One data thread does the files and the pipeline; one thread writes the positions; network, pods and the admin
//! server run on a small tokio runtime. In: the configuration, signals. Out: an exit, orderly.

pub(crate) mod capture;
mod data_thread;
mod inbox;
mod outside;
mod storage;

use crate::admin::{self, AdminState};
use crate::checkpoint::journal::Journal;
use crate::checkpoint::lock::Lock;
use crate::checkpoint::store::Store;
use crate::clock::Clock;
use crate::config::{self, Config, Source, StartAt};
use crate::discovery::{self, DiscoveryConfig, own_pod};
use crate::health::Health;
use crate::limits::REQUESTS_IN_FLIGHT_MAX;
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, Settings};
use crate::send;
use crate::sources::ebpf::EbpfSource;
use crate::sources::file::FileSource;
use crate::sources::file::os::OsDisk;
use crate::types::pod::PodSnapshot;
use anyhow::{Context as _, bail};
use data_thread::DataThread;
use inbox::Inbox;
use outside::Shell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::Storage;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

/// Ships logs until SIGTERM or SIGINT; then flushes and saves within `grace`. A second signal ends it at once.
///
/// # Errors
/// What keeps the agent from starting, with the remedy: the data directory is taken, the log directory is not
/// there, the admin address is in use, the kernel source was asked for and cannot be had.
pub fn run(config: &Config, grace: Duration) -> anyhow::Result<()> {
    let clock = Clock::start();
    let kernel = capture::attach(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let signals = runtime.block_on(async { Signals::listen() })?;
    let lock = Lock::take(&config.data_dir)?;
    raise_file_limit();
    // A lease that a writer breaks is told by this signal, which ends a process that has no handler.
    signal_hook::flag::register(signal_hook::consts::SIGIO, Arc::default())?;
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    let (sender, receiver) = inbox::channel()?;
    let (requests, outgoing) = mpsc::channel(2 * REQUESTS_IN_FLIGHT_MAX);

    let store = Store::new(&config.data_dir);
    let storage = Storage::start(store.clone(), Arc::clone(&metrics), clock)?;
    let tap = |log_dir: &Path| capture::start(kernel, log_dir, clock, sender.clone(), &metrics);
    let (journal, pipeline) = pipeline(config, &store, clock, &metrics, tap)?;
    let client = send::http::Client::new(&config.loki)?;
    let shell = Shell { requests, journal, storage };

    let (snapshots, pods) = watch::channel(Arc::new(PodSnapshot::default()));
    let (stop, stopped) = watch::channel(false);
    let (streams, streams_asked) = mpsc::channel(8);
    let state = AdminState { metrics, health: Arc::clone(&health), streams, clock };
    let listener = runtime.block_on(admin::bind(config.admin))?;
    info!(version = env!("CARGO_PKG_VERSION"), node = config.node_name, admin = %config.admin, "penstock runs");
    runtime.spawn(async move { admin::serve(listener, Arc::new(state)).await });
    let (to_data, held) = (sender.clone(), Arc::clone(&health));
    let on_change = move || to_data.put(Inbox::LokiFiles);
    runtime.spawn(client.clone().changes(move || held.trouble().is_some(), on_change));
    let to_data = sender.clone();
    runtime.spawn(send::run(client, outgoing, move |answer| to_data.put(Inbox::Answer(answer))));
    runtime.spawn(inbox::forward_streams(streams_asked, sender.clone()));
    runtime.spawn(inbox::forward_pods(pods.clone(), sender.clone()));
    let discovering = runtime.spawn(discover(config, clock, snapshots, stopped));
    runtime.spawn(signals.forward(sender));

    let data = DataThread { pipeline, shell, receiver, pods, health, clock, grace };
    let thread = std::thread::Builder::new().name("penstock-data".into()).spawn(move || data.run())?;
    let outcome = thread.join().map_err(|_| anyhow::anyhow!("the data thread panicked; please report this"))?;
    let _nobody_listens = stop.send(true);
    let _late = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(1), discovering).await });
    runtime.shutdown_timeout(Duration::from_millis(200));
    drop(lock);
    outcome
}

fn pipeline(
    config: &Config,
    store: &Store,
    clock: Clock,
    metrics: &Arc<Metrics>,
    tap: impl FnOnce(&Path) -> anyhow::Result<Option<EbpfSource>>,
) -> anyhow::Result<(Journal, Pipeline<OsDisk, EbpfSource>)> {
    let loaded = store.load();
    let (journal, recovered, damage) = Journal::open(&config.data_dir);
    for message in loaded.messages.iter().chain(&damage) {
        warn!("{message}");
    }
    if config.log_dir.is_file() {
        bail!("log_dir {} is a file; it must be the folder of the pods' logs", config.log_dir.display());
    }
    let disk = OsDisk::new(&config.log_dir, &config.log_link_dirs).with_context(|| {
        format!("cannot use log_dir {}; is it mounted, and may the agent read it?", config.log_dir.display())
    })?;
    let log_dir = disk.log_dir().to_path_buf();
    let tap = tap(&log_dir)?;
    let skips_existing = config.start_at == StartAt::End && loaded.is_first_start;
    let source = FileSource::new(disk, log_dir, config.backlog_bytes_max, loaded.positions, skips_existing);
    let seed = clock.now().wall_ns.cast_unsigned() ^ u64::from(std::process::id());
    let pipeline = Pipeline::new(Settings::new(config, seed), source, tap, recovered, Arc::clone(metrics));
    Ok((journal, pipeline))
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

    async fn forward(mut self, sender: inbox::Sender) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => info!("SIGTERM: flushing"),
                _ = self.interrupt.recv() => info!("SIGINT: flushing"),
            }
            sender.put(Inbox::Stop);
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

//! Pods from the Kubernetes API, and what was known of them in the last run until it answers.
//!
//! In: the steps of the watches ([`watch`]). Out: snapshots, and the file of known pods ([`keep`]). Never: a
//! wait for the disk or for one watch while another has news.

mod error;
mod keep;
mod watch;

use super::book::{Book, Change};
use super::meta::{EXCLUDE_LABELS, PodMeta};
use super::{DiscoveryConfig, Status, known, publish, stopped};
use crate::clock::Clock;
use crate::types::pod::PodSnapshot;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use std::sync::Arc;
use tokio::sync::{mpsc, watch as latest};
use tokio::task::JoinSet;

/// Steps on their way from the watches to the book; a full queue holds the watches.
const STEPS_MAX: usize = 64;

/// One step of one of the watches.
enum Step {
    Pods(Change<PodMeta>),
    /// Of the namespaces with the opt-out label of that index.
    Namespaces(usize, Change<String>),
}

pub(super) async fn run(
    config: DiscoveryConfig,
    mut book: Book,
    watch_namespaces: bool,
    clock: Clock,
    snapshots: latest::Sender<Arc<PodSnapshot>>,
    status: latest::Sender<Status>,
    mut shutdown: latest::Receiver<bool>,
) {
    let config = Arc::new(config);
    let path = known::path(&config.data_dir);
    if let Some(last_run) = keep::load(path.clone(), config.node_name.clone()).await {
        book.remember(last_run);
        publish(&book, &snapshots);
    }
    let (to_keep, keep_from) = latest::channel(Arc::new(book.known(&config.node_name)));
    let keeper = tokio::spawn(keep::run(path, keep_from, config.pace.known_interval, clock, shutdown.clone()));

    let (sender, mut steps) = mpsc::channel(STEPS_MAX);
    let mut watches = JoinSet::new();
    start_watches(&mut watches, &config, watch_namespaces, clock, &sender, &status);
    loop {
        let step = tokio::select! {
            () = stopped(&mut shutdown) => break,
            step = steps.recv() => step,
        };
        let Some(step) = step else { break };
        if take(&mut book, step) {
            publish(&book, &snapshots);
            if book.is_current() {
                to_keep.send_replace(Arc::new(book.known(&config.node_name)));
            }
        }
    }
    watches.shutdown().await;
    drop(to_keep);
    // It ends by itself once there is nothing more to keep; a panic in it has been reported by the runtime.
    let _ = keeper.await;
}

/// Whether that was news.
fn take(book: &mut Book, step: Step) -> bool {
    match step {
        Step::Pods(change) => book.pods(change),
        Step::Namespaces(label, change) => book.excluded_namespaces(label, change),
    }
}

fn start_watches(
    watches: &mut JoinSet<()>,
    config: &Arc<DiscoveryConfig>,
    watch_namespaces: bool,
    clock: Clock,
    steps: &mpsc::Sender<Step>,
    status: &latest::Sender<Status>,
) {
    let shell = || watch::Shell { config: Arc::clone(config), clock, steps: steps.clone(), status: status.clone() };
    let fields = format!("spec.nodeName={}", config.node_name);
    watches.spawn(watch::follow::<Pod, _>(
        watch::Wanted {
            what: "pods",
            select: kube::runtime::watcher::Config::default().fields(&fields),
            slim: Box::new(PodMeta::new),
            step: Box::new(Step::Pods),
        },
        shell(),
    ));
    for (index, label) in EXCLUDE_LABELS.iter().enumerate().filter(|_| watch_namespaces) {
        watches.spawn(watch::follow::<Namespace, _>(
            watch::Wanted {
                what: "namespaces",
                select: kube::runtime::watcher::Config::default().labels(&format!("{label}=true")),
                slim: Box::new(|metadata| metadata.name),
                step: Box::new(move |change| Step::Namespaces(index, change)),
            },
            shell(),
        ));
    }
}

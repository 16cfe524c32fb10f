//! Which pods run on this node, and what is to become of their logs.
//!
//! In: the Kubernetes API (a watch of the metadata of this node's pods), or a file with pods. Out: a
//! [`PodSnapshot`] whenever something changed, latest wins; [`Status`] for metrics and `/readyz`. Never: the
//! spec or status of a pod in memory, pods of other nodes, or an end because a source does not answer: the
//! pods known last stay in use, and it is asked again.

pub mod book;
pub mod known;
mod kubernetes;
pub mod meta;
pub mod own_pod;
pub mod select;
pub mod static_file;

use crate::clock::Clock;
use crate::config::{self, Selector};
use crate::limits;
use crate::types::pod::PodSnapshot;
use book::{Book, Rules};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What discovery needs of the configuration.
#[derive(Clone, Debug)]
pub struct DiscoveryConfig {
    /// Pods of this node are wanted.
    pub node_name: String,
    /// Where pods are learned from.
    pub discovery: config::Discovery,
    /// A pod is collected if any matches.
    pub select: Vec<Selector>,
    /// A collected pod's lines are parsed as JSON if any matches.
    pub json: Vec<Selector>,
    /// Keys of the pod labels that later rooms need.
    pub label_keys: Vec<String>,
    /// The known pods are kept here.
    pub data_dir: PathBuf,
    /// Instead of the in-cluster configuration or `$KUBECONFIG`.
    pub kubeconfig: Option<PathBuf>,
    /// The agent's own pod, from [`own_pod::find`].
    pub own_pod: Option<own_pod::OwnPod>,
    /// How often and how soon.
    pub pace: Pace,
}

/// How often and how soon the source is asked. The default is what `limits` says.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// See [`limits::API_START_JITTER_MAX`].
    pub start_jitter_max: Duration,
    /// See [`limits::API_RETRY_MIN`].
    pub retry_min: Duration,
    /// See [`limits::API_RETRY_MAX`].
    pub retry_max: Duration,
    /// See [`limits::API_REFUSED_RETRY`].
    pub refused_retry: Duration,
    /// See [`limits::API_SETTLED`].
    pub settled: Duration,
    /// See [`limits::KNOWN_PODS_INTERVAL`].
    pub known_interval: Duration,
    /// See [`limits::STATIC_POLL_INTERVAL`].
    pub static_poll: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            start_jitter_max: limits::API_START_JITTER_MAX,
            retry_min: limits::API_RETRY_MIN,
            retry_max: limits::API_RETRY_MAX,
            refused_retry: limits::API_REFUSED_RETRY,
            settled: limits::API_SETTLED,
            known_interval: limits::KNOWN_PODS_INTERVAL,
            static_poll: limits::STATIC_POLL_INTERVAL,
        }
    }
}

/// How the source is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Full lists received (of pods and of namespaces), or files read, since the start.
    pub lists: u64,
    /// Failed calls, or files that could not be read, since the start.
    pub errors: u64,
    /// What is wrong at present, and the remedy, by what was asked for: `pods`, `namespaces`.
    pub trouble: BTreeMap<&'static str, String>,
}

/// Runs until `shutdown` becomes true (or its sender is gone), then writes the known pods once more. Remembered
/// pods are published first, with `is_current` false. Trouble with the source never ends it: it is logged
/// once a minute with the remedy, shown in `status`, and tried again.
pub async fn run(
    config: DiscoveryConfig,
    clock: Clock,
    snapshots: watch::Sender<Arc<PodSnapshot>>,
    status: watch::Sender<Status>,
    shutdown: watch::Receiver<bool>,
) {
    let rules = Rules {
        select: config.select.clone(),
        json: config.json.clone(),
        label_keys: config.label_keys.clone(),
        own_pod: config.own_pod.clone(),
    };
    match config.discovery.clone() {
        config::Discovery::Kubernetes { watch_namespaces } => {
            let book = Book::new(rules, watch_namespaces);
            kubernetes::run(config, book, watch_namespaces, clock, snapshots, status, shutdown).await;
        }
        config::Discovery::Static(path) => {
            let book = Book::new(rules, false);
            static_file::run(&config, &path, book, clock, &snapshots, &status, shutdown).await;
        }
    }
}

/// Sends out what the book says now, if that is news.
fn publish(book: &Book, snapshots: &watch::Sender<Arc<PodSnapshot>>) {
    let last = Arc::clone(&snapshots.borrow());
    if let Some(snapshot) = book.snapshot(&last) {
        snapshots.send_replace(Arc::new(snapshot));
    }
}

/// Returns once the agent is to stop.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever would have said stop.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

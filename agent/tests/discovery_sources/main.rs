//! The sources of discovery: the real client against a stub of the Kubernetes API, and a static file.

mod kubernetes;
mod static_file;
mod stub;

use penstock::clock::Clock;
use penstock::config::Discovery;
use penstock::discovery::{self, DiscoveryConfig, Pace, Status};
use penstock::types::pod::PodSnapshot;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A discovery that runs until it is stopped.
struct Running {
    snapshots: watch::Receiver<Arc<PodSnapshot>>,
    status: watch::Receiver<Status>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn config(discovery: Discovery, folder: &Path) -> DiscoveryConfig {
    DiscoveryConfig {
        node_name: "n1".into(),
        discovery,
        select: vec!["log=yes".parse().unwrap()],
        json: vec![],
        label_keys: vec!["app".into()],
        data_dir: folder.to_owned(),
        kubeconfig: Some(folder.join("kubeconfig")),
        own_pod: None,
        pace: Pace {
            start_jitter_max: Duration::ZERO,
            retry_min: Duration::from_millis(5),
            retry_max: Duration::from_millis(20),
            refused_retry: Duration::from_millis(20),
            settled: Duration::from_millis(50),
            known_interval: Duration::from_millis(5),
            static_poll: Duration::from_millis(5),
        },
    }
}

fn start(config: DiscoveryConfig) -> Running {
    let (snapshot_sender, snapshots) = watch::channel(Arc::default());
    let (status_sender, status) = watch::channel(Status::default());
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(discovery::run(config, Clock::start(), snapshot_sender, status_sender, stopped));
    Running { snapshots, status, stop, task }
}

/// A bound for what must happen; nothing waits for it when it does.
const SOON: Duration = Duration::from_secs(20);

impl Running {
    async fn until(&mut self, what: &str, is_so: impl Fn(&PodSnapshot) -> bool) -> Arc<PodSnapshot> {
        let found = tokio::time::timeout(SOON, self.snapshots.wait_for(|snapshot| is_so(snapshot))).await;
        Arc::clone(&found.unwrap_or_else(|_| panic!("never: {what}")).unwrap())
    }

    /// Current, and exactly these pods are collected.
    async fn until_collected(&mut self, uids: &[&str]) -> Arc<PodSnapshot> {
        self.until(&format!("collected are {uids:?}"), |snapshot| snapshot.is_current && collected(snapshot) == uids)
            .await
    }

    async fn until_status(&mut self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        let found = tokio::time::timeout(SOON, self.status.wait_for(|status| is_so(status))).await;
        found.unwrap_or_else(|_| panic!("never: {what}")).unwrap().clone()
    }

    /// Stops it as SIGTERM does.
    async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(SOON, self.task).await.expect("it stops when told to").unwrap();
    }
}

fn collected(snapshot: &PodSnapshot) -> Vec<&str> {
    let mut uids: Vec<&str> = snapshot.pods.values().filter(|pod| pod.collect).map(|pod| &*pod.log_uid).collect();
    uids.sort_unstable();
    uids
}

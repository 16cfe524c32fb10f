//! One watch at the Kubernetes API: asks for a list, then for its changes, for as long as it takes.
//!
//! In: the kind of object, and which of them. Out: steps for the book, and how it goes. Never: more of an
//! object than its metadata; a list that the API server must fetch from etcd (`resourceVersion=0`); an end.

use super::Step;
use super::error::{ApiError, chain};
use crate::clock::Clock;
use crate::discovery::book::Change;
use crate::discovery::{DiscoveryConfig, Status};
use crate::limits;
use crate::repeat::Repeats;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What is asked for, and what is made of it.
pub(super) struct Wanted<T> {
    /// The resource's name, for messages.
    pub(super) what: &'static str,
    /// Which of them.
    pub(super) select: watcher::Config,
    /// What is kept of an object; `None`: it is left out.
    pub(super) slim: Box<dyn Fn(ObjectMeta) -> Option<T> + Send + Sync>,
    /// For the book.
    pub(super) step: Box<dyn Fn(Change<T>) -> Step + Send + Sync>,
}

/// What a watch has around it.
pub(super) struct Shell {
    pub(super) config: Arc<DiscoveryConfig>,
    pub(super) clock: Clock,
    pub(super) steps: mpsc::Sender<Step>,
    pub(super) status: watch::Sender<Status>,
}

/// Why a connection was given up.
enum End {
    /// Set it up again.
    Failed,
    /// Nobody listens any more.
    Closed,
}

/// Runs until the receiver of the steps is gone, or it is aborted.
pub(super) async fn follow<K, T>(wanted: Wanted<T>, shell: Shell)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
    T: Send + 'static,
{
    let mut watch = Watch { wanted, shell, listing: None, failures: 0, repeats: Repeats::default() };
    tokio::time::sleep(watch.shell.config.pace.start_jitter_max.mul_f64(fastrand::f64())).await;
    loop {
        match watch.connect().await {
            Ok(client) => {
                if matches!(watch.session::<K>(client).await, End::Closed) {
                    return;
                }
            }
            Err(error) => watch.trouble(&error).await,
        }
    }
}

struct Watch<T> {
    wanted: Wanted<T>,
    shell: Shell,
    /// Objects of a list that is not complete yet.
    listing: Option<Vec<T>>,
    /// In a row.
    failures: u32,
    repeats: Repeats,
}

impl<T: Send + 'static> Watch<T> {
    async fn connect(&self) -> Result<Client, ApiError> {
        let no_way = |error: &dyn std::error::Error| ApiError::NoWay { why: chain(error) };
        let mut config = match &self.shell.config.kubeconfig {
            None => kube::Config::infer().await.map_err(|error| no_way(&error))?,
            Some(path) => {
                let file = kube::config::Kubeconfig::read_from(path).map_err(|error| no_way(&error))?;
                let options = kube::config::KubeConfigOptions::default();
                kube::Config::from_custom_kubeconfig(file, &options).await.map_err(|error| no_way(&error))?
            }
        };
        config.connect_timeout = Some(limits::API_CONNECT_MAX);
        config.read_timeout = Some(limits::API_SILENCE_MAX);
        config.reset_reader_on_write = true;
        // It would try 429, 503 and 504 for minutes without a word.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| ApiError::of_client(self.wanted.what, &error))
    }

    /// One connection, until it is better set up anew.
    async fn session<K>(&mut self, client: Client) -> End
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let mut select = self.wanted.select.clone().any_semantic().timeout(limits::API_WATCH_TIMEOUT.as_secs() as u32);
        // With pages kube would leave `resourceVersion=0` out. One node's pods are few enough for one.
        select.page_size = None;
        let events = kube::runtime::watcher(Api::<PartialObjectMeta<K>>::all(client), select);
        let mut events = std::pin::pin!(events);
        self.listing = None;
        loop {
            let wait = if self.is_unsettled() { self.shell.config.pace.settled } else { Duration::MAX };
            let Ok(event) = tokio::time::timeout(wait, events.next()).await else {
                self.well();
                continue;
            };
            match event {
                None => return End::Failed,
                Some(Ok(event)) => {
                    if self.take(event).await.is_err() {
                        return End::Closed;
                    }
                }
                Some(Err(error)) => {
                    let error = ApiError::of_watch(self.wanted.what, &error);
                    self.trouble(&error).await;
                    if error.needs_list() || self.failures >= limits::API_FAILURES_MAX {
                        return End::Failed;
                    }
                }
            }
        }
    }

    /// Whether silence would be a good sign: the watch was taken up again after a failure.
    fn is_unsettled(&self) -> bool {
        self.failures > 0 && self.listing.is_none()
    }

    async fn take<K>(&mut self, event: Event<PartialObjectMeta<K>>) -> Result<(), mpsc::error::SendError<Step>> {
        let slim = &self.wanted.slim;
        let change = match event {
            Event::Init => {
                self.listing = Some(Vec::new());
                return Ok(());
            }
            Event::InitApply(object) => {
                self.listing.get_or_insert_default().extend(slim(object.metadata));
                return Ok(());
            }
            Event::InitDone => {
                let objects = self.listing.take().unwrap_or_default();
                tracing::debug!(what = self.wanted.what, count = objects.len(), "listed from the Kubernetes API");
                self.shell.status.send_modify(|status| status.lists += 1);
                Some(Change::Listed(objects))
            }
            Event::Apply(object) => slim(object.metadata).map(Change::Applied),
            Event::Delete(object) => slim(object.metadata).map(Change::Gone),
        };
        self.well();
        match change {
            Some(change) => self.shell.steps.send((self.wanted.step)(change)).await,
            None => Ok(()),
        }
    }

    /// It works.
    fn well(&mut self) {
        if self.failures > 0 {
            let what = self.wanted.what;
            tracing::info!(failures = self.failures, "watching {what} at the Kubernetes API works again");
            self.failures = 0;
            self.shell.status.send_modify(|status| {
                status.trouble.remove(what);
            });
        }
    }

    /// It does not: says so, and waits before the next try.
    async fn trouble(&mut self, error: &ApiError) {
        let pace = &self.shell.config.pace;
        self.failures = self.failures.saturating_add(1);
        let kind = if error.is_refusal() { "refused" } else { "failed" };
        if let Some(suppressed) = self.repeats.report(kind, self.shell.clock.now().mono) {
            tracing::warn!(suppressed, "{error}");
        }
        self.shell.status.send_modify(|status| {
            status.errors += 1;
            status.trouble.insert(self.wanted.what, error.to_string());
        });
        let full = match error.is_refusal() {
            true => pace.refused_retry,
            false => pace.retry_min.saturating_mul(1 << (self.failures - 1).min(16)).min(pace.retry_max),
        };
        tokio::time::sleep(full.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
    }
}

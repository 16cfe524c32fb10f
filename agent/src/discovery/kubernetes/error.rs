//! What can go wrong between the agent and the Kubernetes API, in words that help.
//!
//! In: the errors of the `kube` crate. Out: [`ApiError`], with the remedy. Never: a decision what to do, but
//! for [`ApiError::is_refusal`] and [`ApiError::needs_list`].

use kube::runtime::watcher;
use std::error::Error;
use std::fmt::Write;

/// A call to the API that did not work out.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// Not in a cluster, and no kubeconfig, or one that cannot be used. The operator mends it.
    #[error(
        "no usable way to the Kubernetes API: {why}; run in a pod with a ServiceAccount, set KUBECONFIG, or use \
         `discovery: static`"
    )]
    NoWay { why: String },
    /// 401. The operator mends it.
    #[error(
        "the Kubernetes API does not know the agent (401) that wants to watch {what}: {why}; check the token of the \
         ServiceAccount or the credentials in the kubeconfig"
    )]
    Unknown { what: &'static str, why: String },
    /// 403. The operator mends it.
    #[error("the agent may not list and watch {what} (403): {why}; {remedy}")]
    Forbidden { what: &'static str, why: String, remedy: &'static str },
    /// 410: the place in the history from which the watch was to go on is no more. A new list mends it.
    #[error("the Kubernetes API no longer has the history of the watch of {what} (410); listing anew")]
    Gone { what: &'static str },
    /// The rest: not reachable, overloaded, an answer that is not understood. A retry may help.
    #[error("watching {what} at the Kubernetes API: {why}; trying again")]
    Other { what: &'static str, why: String },
}

impl ApiError {
    pub(super) fn of_client(what: &'static str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(what, status),
            other => Self::Other { what, why: chain(other) },
        }
    }

    pub(super) fn of_watch(what: &'static str, error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::of_client(what, error),
            watcher::Error::WatchError(status) => Self::of_status(what, status),
            watcher::Error::NoResourceVersion => Self::Other { what, why: chain(error) },
        }
    }

    fn of_status(what: &'static str, status: &kube::core::Status) -> Self {
        let why = status.message.clone();
        match status.code {
            401 => Self::Unknown { what, why },
            403 => Self::Forbidden { what, why, remedy: remedy(what) },
            410 => Self::Gone { what },
            code => Self::Other { what, why: format!("{code} {why}") },
        }
    }

    /// Nobody but an operator can mend it: ask slowly.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::NoWay { .. } | Self::Unknown { .. } | Self::Forbidden { .. })
    }

    /// Asking for the same watch again is of no use.
    pub(super) fn needs_list(&self) -> bool {
        self.is_refusal() || matches!(self, Self::Gone { .. })
    }
}

fn remedy(what: &str) -> &'static str {
    match what {
        "namespaces" => {
            "give its ServiceAccount a ClusterRole with the verbs list and watch on namespaces, or turn off \
             `watch_namespaces`"
        }
        _ => "give its ServiceAccount a ClusterRole with the verbs list and watch on pods",
    }
}

/// The error and what caused it: `kube` keeps the telling part in the cause.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    text
}

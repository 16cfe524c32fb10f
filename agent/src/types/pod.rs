//! discovery → pipeline: which pods run on this node, in the slim form that later rooms need.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One pod of this node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pod {
    /// The UID as it stands in the log path. For a static (mirror) pod that is the value of its
    /// annotation `kubernetes.io/config.hash`, not the UID of the API object.
    pub log_uid: String,
    /// Namespace name.
    pub namespace: String,
    /// Pod name.
    pub name: String,
    /// Whether its logs are to be shipped: selected, and not excluded.
    pub collect: bool,
    /// Whether its lines are parsed as JSON.
    pub json: bool,
    /// The pod labels that the configuration names as a source, and no others.
    pub labels: BTreeMap<String, String>,
    /// Names of containers that are not collected.
    pub excluded_containers: Vec<String>,
}

/// All pods of this node as known at one moment; replaced as a whole when anything changes.
#[derive(Clone, Debug, Default)]
pub struct PodSnapshot {
    /// By [`Pod::log_uid`].
    pub pods: HashMap<String, Arc<Pod>>,
    /// Whether the source has answered since the agent started. While it is false the pods are those
    /// remembered from the last run, and one that is missing may well exist.
    pub is_current: bool,
}

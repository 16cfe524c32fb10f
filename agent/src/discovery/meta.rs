//! What is kept of a pod as the API (or a file) describes it.
//!
//! In: the metadata of a pod. Out: [`PodMeta`], which is all that [`super::book`] needs, also after a restart
//! with other selectors. Never: anything of spec or status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// Labels whose value `true`, on a pod or its namespace, keeps its logs from being collected.
pub const EXCLUDE_LABELS: [&str; 2] = ["penstock.io/exclude", "vector.dev/exclude"];

/// Annotations that name containers that are not collected, separated by commas.
const EXCLUDE_CONTAINERS: [&str; 2] = ["penstock.io/exclude-containers", "vector.dev/exclude-containers"];

/// Set by the kubelet on the API's image of a static pod, and on nothing else (kubelet `types.IsMirrorPod`).
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Set by the kubelet on a static pod to the UID it runs it under, before it makes the mirror pod, which the
/// API then gives a UID of its own (kubelet `config.applyDefaults`).
const HASH: &str = "kubernetes.io/config.hash";

/// The part of a pod's metadata that decides what becomes of its logs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PodMeta {
    /// UID of the API object.
    pub uid: String,
    /// Namespace name.
    pub namespace: String,
    /// Pod name.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// UID under which the kubelet runs it, where that is another: a mirror pod.
    pub mirrored_uid: Option<String>,
    /// Containers that the opt-out annotations name, sorted.
    pub excluded_containers: Vec<String>,
}

impl PodMeta {
    /// `None` where the metadata has no UID, name or namespace: not an object that an API server gave out.
    #[must_use]
    pub fn new(metadata: ObjectMeta) -> Option<Self> {
        let annotations = metadata.annotations.unwrap_or_default();
        let present = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        if !(present(&metadata.uid) && present(&metadata.name) && present(&metadata.namespace)) {
            return None;
        }
        Some(Self {
            uid: metadata.uid?,
            namespace: metadata.namespace?,
            name: metadata.name?,
            labels: metadata.labels.unwrap_or_default(),
            mirrored_uid: mirrored_uid(&annotations),
            excluded_containers: excluded_containers(&annotations),
        })
    }

    /// The UID in the path of its logs.
    #[must_use]
    pub fn log_uid(&self) -> &str {
        self.mirrored_uid.as_deref().unwrap_or(&self.uid)
    }
}

fn mirrored_uid(annotations: &BTreeMap<String, String>) -> Option<String> {
    annotations.get(MIRROR)?;
    annotations.get(HASH).filter(|hash| !hash.is_empty()).cloned()
}

fn excluded_containers(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<String> = EXCLUDE_CONTAINERS
        .iter()
        .filter_map(|key| annotations.get(*key))
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Whether one of the opt-out labels is set.
#[must_use]
pub fn is_excluded(labels: &BTreeMap<String, String>) -> bool {
    EXCLUDE_LABELS.iter().any(|key| labels.get(*key).is_some_and(|value| value == "true"))
}

//! The pods and the excluded namespaces as known at present, and the snapshot made of them.
//!
//! In: lists and single changes from a source, in their order. Out: a [`PodSnapshot`], and [`Known`] for the
//! disk. Never: a clock, a file, a socket.

use super::meta::{EXCLUDE_LABELS, PodMeta, is_excluded};
use super::own_pod::OwnPod;
use super::select::matches_any;
use crate::config::Selector;
use crate::types::pod::{Pod, PodSnapshot};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What decides about a pod, from the configuration.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// A pod is collected if any matches.
    pub select: Vec<Selector>,
    /// Its lines are parsed as JSON if any matches.
    pub json: Vec<Selector>,
    /// Keys of the pod labels to keep.
    pub label_keys: Vec<String>,
    /// The agent's own pod.
    pub own_pod: Option<OwnPod>,
}

/// One step of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// All there are; others are gone.
    Listed(Vec<T>),
    /// New, or changed.
    Applied(T),
    /// Deleted, or no longer of this node.
    Gone(T),
}

/// What is kept on disk from one run to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Known {
    /// The node whose pods these are.
    pub node_name: String,
    /// In the order of their UIDs.
    pub pods: Vec<PodMeta>,
    /// Namespaces with the opt-out label.
    pub excluded_namespaces: BTreeSet<String>,
}

/// Pods and excluded namespaces.
#[derive(Debug)]
pub struct Book {
    rules: Rules,
    /// By the UID of the API object.
    pods: BTreeMap<String, PodMeta>,
    pods_listed: bool,
    namespaces: Namespaces,
}

/// Namespaces that carry an opt-out label, for each of the labels on its own: each is a watch of its own.
#[derive(Debug, Default)]
struct Namespaces {
    excluded: [BTreeSet<String>; EXCLUDE_LABELS.len()],
    listed: [bool; EXCLUDE_LABELS.len()],
    remembered: BTreeSet<String>,
}

impl Book {
    /// An empty book. With `watch_namespaces` it is current only once they are known too, so that no line of
    /// an excluded namespace is shipped in between.
    #[must_use]
    pub fn new(rules: Rules, watch_namespaces: bool) -> Self {
        let namespaces = Namespaces { listed: [!watch_namespaces; EXCLUDE_LABELS.len()], ..Namespaces::default() };
        Self { rules, pods: BTreeMap::new(), pods_listed: false, namespaces }
    }

    /// Takes over what the last run knew, until the source answers.
    pub fn remember(&mut self, known: Known) {
        self.pods = by_uid(known.pods);
        if !self.namespaces.is_listed() {
            self.namespaces.remembered = known.excluded_namespaces;
        }
    }

    /// Pods from the source. Whether that was news: most changes of a pod are changes of its status.
    pub fn pods(&mut self, change: Change<PodMeta>) -> bool {
        match change {
            Change::Listed(pods) => {
                let pods = by_uid(pods);
                let is_news = !self.pods_listed || pods != self.pods;
                self.pods = pods;
                self.pods_listed = true;
                is_news
            }
            Change::Applied(pod) => {
                let is_news = self.pods.get(&pod.uid) != Some(&pod);
                if is_news {
                    self.pods.insert(pod.uid.clone(), pod);
                }
                is_news
            }
            Change::Gone(pod) => self.pods.remove(&pod.uid).is_some(),
        }
    }

    /// Names of namespaces that carry `EXCLUDE_LABELS[label]` with the value `true`. Whether that was news.
    pub fn excluded_namespaces(&mut self, label: usize, change: Change<String>) -> bool {
        let namespaces = &mut self.namespaces;
        let (Some(excluded), Some(listed)) = (namespaces.excluded.get_mut(label), namespaces.listed.get_mut(label))
        else {
            return false;
        };
        let is_news = match change {
            Change::Listed(names) => {
                let names = names.into_iter().collect();
                let is_news = !*listed || *excluded != names;
                *excluded = names;
                *listed = true;
                is_news
            }
            Change::Applied(name) => excluded.insert(name),
            Change::Gone(name) => excluded.remove(&name),
        };
        if namespaces.is_listed() {
            namespaces.remembered.clear();
        }
        is_news
    }

    /// Whether the source has answered in full.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.pods_listed && self.namespaces.is_listed()
    }

    /// What the next run should know.
    #[must_use]
    pub fn known(&self, node_name: &str) -> Known {
        Known {
            node_name: node_name.to_owned(),
            pods: self.pods.values().cloned().collect(),
            excluded_namespaces: self.namespaces.all(),
        }
    }

    /// The pods for the rooms behind. Pods that have not changed since `last` are shared with it. `None` when
    /// nothing has.
    #[must_use]
    pub fn snapshot(&self, last: &PodSnapshot) -> Option<PodSnapshot> {
        let namespaces = self.namespaces.all();
        let mut pods: HashMap<String, Arc<Pod>> = HashMap::with_capacity(self.pods.len());
        // A mirror pod never takes the place of a pod whose own UID it claims.
        let (mirrors, others): (Vec<_>, Vec<_>) = self.pods.values().partition(|meta| meta.mirrored_uid.is_some());
        for meta in others.into_iter().chain(mirrors) {
            if pods.contains_key(meta.log_uid()) {
                continue;
            }
            let pod = self.pod(meta, &namespaces);
            let shared = last.pods.get(&pod.log_uid).filter(|old| ***old == pod).cloned();
            pods.insert(pod.log_uid.clone(), shared.unwrap_or_else(|| Arc::new(pod)));
        }
        let is_current = self.is_current();
        (pods != last.pods || is_current != last.is_current).then_some(PodSnapshot { pods, is_current })
    }

    fn pod(&self, meta: &PodMeta, namespaces: &BTreeSet<String>) -> Pod {
        let rules = &self.rules;
        let mut excluded_containers = meta.excluded_containers.clone();
        let mut collect = matches_any(&rules.select, &meta.labels)
            && !is_excluded(&meta.labels)
            && !namespaces.contains(&meta.namespace);
        match rules.own_pod.as_ref().filter(|own| own.uid == meta.log_uid()) {
            None => {}
            Some(OwnPod { container: Some(name), .. }) => {
                if !excluded_containers.contains(name) {
                    excluded_containers.push(name.clone());
                }
            }
            Some(OwnPod { container: None, .. }) => collect = false,
        }
        let kept = rules.label_keys.iter().filter_map(|key| meta.labels.get_key_value(key));
        Pod {
            log_uid: meta.log_uid().to_owned(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            collect,
            json: collect && matches_any(&rules.json, &meta.labels),
            labels: if collect { kept.map(|(k, v)| (k.clone(), v.clone())).collect() } else { BTreeMap::new() },
            excluded_containers: if collect { excluded_containers } else { Vec::new() },
        }
    }
}

impl Namespaces {
    fn is_listed(&self) -> bool {
        self.listed.iter().all(|listed| *listed)
    }

    fn all(&self) -> BTreeSet<String> {
        self.excluded.iter().flatten().chain(&self.remembered).cloned().collect()
    }
}

fn by_uid(pods: Vec<PodMeta>) -> BTreeMap<String, PodMeta> {
    pods.into_iter().map(|pod| (pod.uid.clone(), pod)).collect()
}

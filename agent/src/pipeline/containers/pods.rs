//! The pods of the node: who is wanted, who was left out before, who was given up.
//!
//! In: snapshots, the time. Out: verdicts, and the levels that a container's label sets share. Never: a file.

use crate::label::Levels;
use crate::limits::METADATA_WAIT;
use crate::sources::file::names::PodFolder;
use crate::types::pod::{Pod, PodSnapshot};
use crate::types::time::Now;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Known {
    pod: Arc<Pod>,
    left_at: Option<Duration>,
    /// By container name, for the life of the pod.
    levels: HashMap<String, Levels>,
}

/// A pod that did not become known in time.
#[derive(Debug, Default)]
struct GivenUp {
    /// Container instances that were counted as lost: name, restart counter.
    counted: HashSet<(String, u32)>,
    /// When a file of it was seen last.
    seen_at: Duration,
}

/// The pods of the node, those that left a while ago among them.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct KnownPods {
    pods: HashMap<String, Known>,
    /// Known pods that were not collected when they were seen; once they are, it is from their current file on.
    not_collected: HashSet<String>,
    /// The same of single containers: UID and name.
    excluded: HashSet<(String, String)>,
    /// By UID.
    given_up: HashMap<String, GivenUp>,
}

impl KnownPods {
    /// Whether a container's log is to be held. An unknown pod's is, until the pod is known; that of one that was
    /// given up is looked at, so that it is counted.
    pub(in crate::pipeline) fn is_wanted(&self, folder: &PodFolder<'_>, container: &str) -> bool {
        let is_collected =
            |pod: &Pod| pod.collect && !pod.excluded_containers.iter().any(|excluded| excluded == container);
        self.pods.get(folder.uid).is_none_or(|known| is_collected(&known.pod))
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Arc<Pod>> {
        self.pods.get(uid).map(|known| &known.pod)
    }

    /// Whether the container was left out before: its rotated files are not wanted.
    pub(super) fn was_left_out(&self, uid: &str, container: &str) -> bool {
        self.not_collected.contains(uid) || self.excluded.contains(&(uid.to_owned(), container.to_owned()))
    }

    /// The levels that a container of a known pod has used, over its restarts and changes of its labels.
    pub(super) fn levels(&mut self, uid: &str, container: &str) -> Levels {
        let known = self.pods.get_mut(uid);
        known.map(|known| known.levels.entry(container.to_owned()).or_default().clone()).unwrap_or_default()
    }

    /// Takes in a snapshot. The pods that are not in it any more are kept for a while: their files may be.
    pub(super) fn update(&mut self, snapshot: &PodSnapshot, now: Now) {
        for (uid, pod) in &snapshot.pods {
            if !pod.collect {
                self.not_collected.insert(uid.clone());
            }
            self.excluded.extend(pod.excluded_containers.iter().map(|name| (uid.clone(), name.clone())));
            self.given_up.remove(uid);
            let levels = self.pods.remove(uid).map(|known| known.levels).unwrap_or_default();
            self.pods.insert(uid.clone(), Known { pod: Arc::clone(pod), left_at: None, levels });
        }
        for (uid, known) in &mut self.pods {
            if !snapshot.pods.contains_key(uid) {
                known.left_at.get_or_insert(now.mono);
            }
        }
        let is_recent = |known: &Known| known.left_at.is_none_or(|at| now.mono < at + METADATA_WAIT);
        self.pods.retain(|_, known| is_recent(known));
        let pods = &self.pods;
        self.not_collected.retain(|uid| pods.contains_key(uid));
        self.excluded.retain(|(uid, _)| pods.contains_key(uid));
    }

    /// The containers of the snapshot begin where they are to begin: what comes from now on is all wanted.
    pub(super) fn begun(&mut self, snapshot: &PodSnapshot) {
        let is_collected = |uid: &String| snapshot.pods.get(uid).is_some_and(|pod| pod.collect);
        self.not_collected.retain(|uid| !is_collected(uid));
        let pods = &snapshot.pods;
        self.excluded.retain(|(uid, name)| {
            !is_collected(uid) || pods.get(uid).is_some_and(|pod| pod.excluded_containers.contains(name))
        });
    }

    /// Waits no more for an unknown pod. True for the first time.
    pub(super) fn give_up(&mut self, uid: &str, now: Now) -> bool {
        let is_new = !self.given_up.contains_key(uid);
        self.given_up.entry(uid.to_owned()).or_default().seen_at = now.mono;
        is_new
    }

    pub(super) fn is_given_up(&self, uid: &str) -> bool {
        self.given_up.contains_key(uid)
    }

    /// A file of a pod that was given up is there. True where that container instance is not counted yet; it is then.
    pub(super) fn count_once(&mut self, uid: &str, container: &str, restart: u32, now: Now) -> bool {
        self.given_up.get_mut(uid).is_some_and(|given_up| {
            given_up.seen_at = now.mono;
            given_up.counted.insert((container.to_owned(), restart))
        })
    }

    /// Forgets pods that were given up and have no files any more.
    pub(super) fn forget_given_up(&mut self, now: Now) {
        self.given_up.retain(|_, given_up| now.mono < given_up.seen_at + METADATA_WAIT);
    }
}

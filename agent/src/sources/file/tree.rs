//! The folders: log directory → pod → container. Each is watched before it is listed, so nothing falls between.
//!
//! In: a folder that may have changed. Out: instances with their files (by `adopt`), and events. Only folders of
//! containers that are wanted are entered.

use super::adopt::Candidate;
use super::disk::{Disk, WatchId};
use super::names::{self, PodFolder};
use super::{ContainerDir, Event, FileSource, InstanceKey, PodDir, Target, Wanted};
use crate::metrics::label::DropReason;
use crate::types::time::Now;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// A container's folder that changes from look to look is looked at so often at once, then again a moment later.
const LOOKS_AT_ONCE: u32 = 4;

const RIGHTS_NEEDED: &str = "the agent must be able to read it (root, or CAP_DAC_READ_SEARCH)";

impl<D: Disk> FileSource<D> {
    pub(super) fn scan_root(&mut self, now: Now, wanted: Wanted<'_>) {
        if !self.targets.values().any(|target| matches!(target, Target::Root)) {
            let log_dir = self.log_dir.clone();
            self.watch_folder(&log_dir, Target::Root);
        }
        let names = match self.disk.list(&self.log_dir) {
            Ok(names) => names,
            Err(error) => {
                let why = format!("cannot be listed ({error}); check log_dir and the agent's rights");
                self.events.push(Event::Refused { path: self.log_dir.clone(), why });
                return;
            }
        };
        let is_there = |name: &str| names.iter().any(|entry| entry.is_dir && entry.name == name);
        let vanished: Vec<String> = self.pods.keys().filter(|name| !is_there(name)).cloned().collect();
        for pod in vanished {
            self.pod_vanished(&pod);
        }
        for entry in names {
            if entry.is_dir && names::pod_folder(&entry.name).is_some() && !self.pods.contains_key(&entry.name) {
                self.pods.insert(entry.name.clone(), PodDir::default());
                self.scan_pod(&entry.name, now, wanted);
            }
        }
    }

    /// Asks again who is wanted. Call when that has changed.
    pub fn reconsider(&mut self, now: Now, wanted: Wanted<'_>) {
        let pods: Vec<String> = self.pods.keys().cloned().collect();
        for pod in pods {
            self.scan_pod(&pod, now, wanted);
        }
        // What was scanned is told with the next tick.
    }

    pub(super) fn scan_pod(&mut self, pod: &str, now: Now, wanted: Wanted<'_>) {
        let Some(folder) = names::pod_folder(pod) else { return };
        let path = self.log_dir.join(pod);
        let Some(known) = self.pods.get(pod) else { return };
        if known.watch.is_none() {
            let watch = self.watch_folder(&path, Target::Pod(pod.to_owned()));
            if let Some(known) = self.pods.get_mut(pod) {
                known.watch = watch;
            }
        }
        let entries = match self.disk.list(&path) {
            Ok(entries) => entries,
            Err(error) => return self.cannot_list(&path, &error),
        };
        let here: Vec<String> = entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect();
        self.drop_containers(pod, &folder, &here, wanted);
        for container in here {
            if !wanted(&folder, &container) {
                continue;
            }
            let Some(known) = self.pods.get_mut(pod) else { return };
            if !known.containers.contains_key(&container) {
                known.containers.insert(container.clone(), ContainerDir::default());
            }
            self.scan_container(pod, &container, now);
        }
    }

    fn drop_containers(&mut self, pod: &str, folder: &PodFolder<'_>, here: &[String], wanted: Wanted<'_>) {
        let Some(known) = self.pods.get(pod) else { return };
        let containers: Vec<String> = known.containers.keys().cloned().collect();
        for container in containers {
            if !here.contains(&container) {
                self.container_vanished(pod, &container);
            } else if !wanted(folder, &container) {
                self.container_unwanted(pod, &container);
            }
        }
    }

    fn container_unwanted(&mut self, pod: &str, container: &str) {
        let Some(dir) = self.pods.get_mut(pod).and_then(|pod| pod.containers.remove(container)) else { return };
        for watch in dir.watches {
            self.targets.remove(&watch);
            self.disk.unwatch(watch);
        }
        self.events.extend(dir.instances.into_values().map(Event::Unwanted));
    }

    fn pod_vanished(&mut self, pod: &str) {
        let Some(known) = self.pods.get(pod) else { return };
        let containers: Vec<String> = known.containers.keys().cloned().collect();
        for container in containers {
            self.container_vanished(pod, &container);
        }
        if let Some(known) = self.pods.remove(pod)
            && let Some(watch) = known.watch
        {
            self.targets.remove(&watch);
        }
    }

    fn container_vanished(&mut self, pod: &str, container: &str) {
        let Some(dir) = self.pods.get_mut(pod).and_then(|pod| pod.containers.remove(container)) else { return };
        for watch in dir.watches {
            self.targets.remove(&watch);
        }
        for key in dir.instances.into_values() {
            self.names_vanished(key, &[]);
        }
    }

    pub(super) fn container(&mut self, pod: &str, container: &str) -> Option<&mut ContainerDir> {
        self.pods.get_mut(pod)?.containers.get_mut(container)
    }

    /// Lists a container's folder and takes in what is new there.
    pub(super) fn scan_container(&mut self, pod: &str, container: &str, now: Now) {
        let path = self.log_dir.join(pod).join(container);
        if self.container(pod, container).is_some_and(|dir| dir.watches.is_empty()) {
            let watch = self.watch_folder(&path, Target::Container(pod.to_owned(), container.to_owned()));
            if let Some(dir) = self.container(pod, container) {
                dir.watches.extend(watch);
                dir.link_folders.clear();
            }
        }
        let mut found = match self.candidates(pod, container, &path) {
            Ok(found) => found,
            Err(error) => return self.cannot_list(&path, &error),
        };
        for look in 1.. {
            // Between the list and the look at a name it may have become another file's, and the one that was meant, under
            // a name that was not listed, would come after it. Two looks that say the same were of one moment.
            match self.candidates(pod, container, &path) {
                Ok(again) if again == found => break,
                Ok(again) => found = again,
                Err(error) => return self.cannot_list(&path, &error),
            }
            if look >= LOOKS_AT_ONCE {
                if self.is_put_off(&format!("{pod}/{container}"), now) {
                    return;
                }
                break;
            }
        }
        let mut by_restart: BTreeMap<u32, Vec<Candidate>> = BTreeMap::new();
        for (restart, candidate) in found {
            by_restart.entry(restart).or_default().push(candidate);
        }
        let newest = by_restart.keys().next_back().copied();
        self.gone_restarts(pod, container, &by_restart);
        for (restart, mut candidates) in by_restart {
            candidates.sort_by(|a, b| names::by_age(a.suffix.as_deref(), b.suffix.as_deref()));
            self.adopt(pod, container, restart, candidates, now);
            if newest > Some(restart) {
                self.supersede(pod, container, restart);
            }
        }
    }

    /// The log files in a container's folder, in the order of their names, with their restart numbers.
    fn candidates(&mut self, pod: &str, container: &str, folder: &Path) -> io::Result<Vec<(u32, Candidate)>> {
        let mut found = Vec::new();
        for entry in self.disk.list(folder)? {
            let Some(name) = names::log_file(&entry.name) else { continue };
            let path = folder.join(&entry.name);
            if entry.is_dir {
                self.refuse(&path, "is a folder where a log file should be; it is left alone");
                continue;
            }
            if name.suffix.is_none()
                && let Some(target) = self.disk.link_target(&path)
            {
                found.extend(self.linked(pod, container, &target).into_iter().map(|linked| (name.restart, linked)));
            }
            let inode = self.disk.inode_of(&path);
            let is_gzip = name.is_gzip;
            found.push((name.restart, Candidate { path, name: entry.name, suffix: name.suffix, is_gzip, inode }));
        }
        found.sort_unstable_by(|(_, a), (_, b)| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The rotated files beside the one to which docker's link leads.
    fn linked(&mut self, pod: &str, container: &str, target: &Path) -> Vec<Candidate> {
        let (Some(folder), Some(base)) = (target.parent(), target.file_name().and_then(|name| name.to_str())) else {
            return Vec::new();
        };
        let is_watched = self.container(pod, container).is_some_and(|dir| dir.link_folders.iter().any(|f| f == folder));
        if !is_watched {
            let watch = self.watch_folder(folder, Target::Container(pod.to_owned(), container.to_owned()));
            if let Some(dir) = self.container(pod, container) {
                dir.watches.extend(watch);
                dir.link_folders.push(folder.to_path_buf());
            }
        }
        let siblings = self.disk.list(folder).unwrap_or_default();
        let disk = &mut self.disk;
        let mut rotated = |name: String| {
            let (suffix, is_gzip) = names::rotated_suffix(name.strip_prefix(base)?)?;
            let path = folder.join(&name);
            let inode = disk.inode_of(&path);
            Some(Candidate { path, suffix: Some(suffix.to_owned()), is_gzip, name, inode })
        };
        siblings.into_iter().filter_map(|entry| rotated(entry.name)).collect()
    }

    fn gone_restarts(&mut self, pod: &str, container: &str, here: &BTreeMap<u32, Vec<Candidate>>) {
        let Some(dir) = self.container(pod, container) else { return };
        let gone: Vec<InstanceKey> =
            dir.instances.iter().filter(|(restart, _)| !here.contains_key(restart)).map(|(_, key)| *key).collect();
        dir.instances.retain(|restart, _| here.contains_key(restart));
        for key in gone {
            self.names_vanished(key, &[]);
        }
    }

    fn supersede(&mut self, pod: &str, container: &str, restart: u32) {
        let key = self.container(pod, container).and_then(|dir| dir.instances.get(&restart).copied());
        if let Some(key) = key
            && let Some(instance) = self.instance(key)
            && !instance.is_superseded
        {
            instance.is_superseded = true;
            self.enqueue(key);
        }
    }

    /// A watch is no more, as its folder was removed; another may have its name by now.
    pub(super) fn unwatched(&mut self, watch: WatchId) {
        match self.targets.remove(&watch) {
            Some(Target::Pod(pod)) => {
                if let Some(known) = self.pods.get_mut(&pod) {
                    known.watch = None;
                }
            }
            Some(Target::Container(pod, container)) => {
                if let Some(dir) = self.container(&pod, &container) {
                    // Also those that stand: asking again gives the same watch.
                    dir.watches.clear();
                }
            }
            Some(Target::Growth(key)) => {
                if let Some(instance) = self.instance(key) {
                    instance.growth_told(watch);
                }
            }
            Some(Target::Root | Target::Close(..)) | None => {}
        }
    }

    /// A name came and went: a file is lost, unless an earlier look had found it.
    pub(super) fn passed(&mut self, watch: WatchId, name: &str) {
        let Some(Target::Container(pod, container)) = self.targets.get(&watch).cloned() else { return };
        let Some(log) = names::log_file(name).filter(|log| !log.is_gzip) else { return };
        let key = self.container(&pod, &container).and_then(|dir| dir.instances.get(&log.restart).copied());
        let known = key.and_then(|key| self.instance(key));
        let is_known = known.is_some_and(|instance| {
            let names = instance.files.iter().filter_map(|file| file.name.as_deref());
            names.chain(instance.aliases.iter().map(|(alias, ..)| alias.as_str())).any(|known| known == name)
        });
        if !is_known {
            self.events.push(Event::Dropped { reason: DropReason::Gone, bytes: 0, files: 1 });
        }
    }

    fn cannot_list(&mut self, folder: &Path, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.refuse(folder, format!("cannot be listed ({error}); {RIGHTS_NEEDED}"));
        }
    }

    fn watch_folder(&mut self, folder: &Path, target: Target) -> Option<WatchId> {
        match self.disk.watch_folder(folder) {
            Ok(watch) => {
                self.targets.insert(watch, target);
                Some(watch)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.refuse(folder, format!("{error}; {RIGHTS_NEEDED}"));
                None
            }
            Err(_) => {
                self.events.push(Event::WatchRefused);
                None
            }
        }
    }

    /// Tells of a file that is left alone, once until the next rescan.
    pub(super) fn refuse(&mut self, path: &Path, why: impl ToString) {
        if self.refused.insert(path.to_path_buf()) {
            self.events.push(Event::Refused { path: path.to_path_buf(), why: why.to_string() });
        }
    }
}

//! Whose log the bytes of a pipe end in.
//!
//! In: paths of log files, links named after container IDs. Out: an [`Owner`], where the names say it. Never: a log file
//! that is opened or read.

use super::cgroup::is_container_id;
use crate::sources::file::names::{log_file, pod_folder};
use crate::types::capture::Owner;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What the kernel puts behind the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// The container instance whose log file this is: its last three components are `NS_POD_UID/CONTAINER/N.log`, or a
/// rotated file of these.
pub(super) fn of_log_path(path: &Path) -> Option<Owner> {
    let text = path.to_str()?;
    let mut parts = text.strip_suffix(DELETED).unwrap_or(text).rsplit('/');
    let (file, container, folder) = (parts.next()?, parts.next()?, parts.next()?);
    let name = log_file(file).filter(|name| !name.is_gzip)?;
    pod_folder(folder)?;
    let is_named = !container.is_empty();
    is_named.then(|| Owner::Instance {
        pod_folder: folder.to_owned(),
        container: container.to_owned(),
        restart: name.restart,
    })
}

/// The container instance whose log files these are, if they are all of one. Rotated ones count for the same.
pub(super) fn of_open_logs<'a>(paths: impl Iterator<Item = &'a Path>) -> Option<Owner> {
    let mut owners = paths.map(of_log_path);
    let first = owners.next()??;
    owners.all(|owner| owner.as_ref() == Some(&first)).then_some(first)
}

/// The folders with links `POD_NS_CONTAINER-ID.log` to log files (`/var/log/containers`).
#[derive(Debug)]
pub(super) struct Links {
    folders: Vec<PathBuf>,
    owners: HashMap<String, Owner>,
    is_outdated: bool,
}

impl Links {
    pub(super) fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, owners: HashMap::new(), is_outdated: true }
    }

    /// The folders are listed again when somebody asks next.
    pub(super) fn outdate(&mut self) {
        self.is_outdated = true;
    }

    /// A folder that is not there has no links.
    fn list(&mut self) {
        let before = std::mem::take(&mut self.owners);
        for folder in &self.folders {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(id) = name.to_str().and_then(linked_id) else { continue };
                let read = || of_log_path(&std::fs::read_link(entry.path()).ok()?);
                if let Some(owner) = before.get(id).cloned().or_else(read) {
                    self.owners.insert(id.to_owned(), owner);
                }
            }
        }
    }

    /// The container instance with this ID.
    pub(super) fn owner(&mut self, container: &str) -> Option<&Owner> {
        if std::mem::take(&mut self.is_outdated) {
            self.list();
        }
        self.owners.get(container)
    }
}

fn linked_id(name: &str) -> Option<&str> {
    let (_, id) = name.strip_suffix(".log")?.rsplit_once('-')?;
    is_container_id(id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(folder: &str, container: &str, restart: u32) -> Option<Owner> {
        Some(Owner::Instance { pod_folder: folder.into(), container: container.into(), restart })
    }

    #[test]
    fn log_paths_name_the_container_instance() {
        for (path, owner) in [
            ("/var/log/pods/ns_pod_uid/app/3.log", instance("ns_pod_uid", "app", 3)),
            ("/var/log/pods/ns_pod_uid/app/3.log.20260822-100000", instance("ns_pod_uid", "app", 3)),
            ("/var/log/pods/ns_pod_uid/app/0.log (deleted)", instance("ns_pod_uid", "app", 0)),
            ("/var/log/pods/ns_pod_uid/app/0.log.20260822-100000.gz", None),
            ("/var/log/pods/ns_pod_uid/app/x.log", None),
            ("/var/log/pods/ns_pod_uid/0.log", None),
            ("/var/log/pods/ns_pod_uid//0.log", None),
            ("0.log", None),
        ] {
            assert_eq!(of_log_path(Path::new(path)), owner, "{path}");
        }
    }

    #[test]
    fn several_open_logs_count_only_where_they_are_of_one_instance() {
        let owner = |paths: &[&str]| of_open_logs(paths.iter().map(Path::new));
        let (old, new) = ("/p/a_b_c/x/1.log.20260822-100000", "/p/a_b_c/x/1.log");
        assert_eq!(owner(&[old, new]), instance("a_b_c", "x", 1));
        assert_eq!(owner(&[new, "/p/a_b_c/x/2.log"]), None);
        assert_eq!(owner(&[new, "/p/a_b_c/y/1.log"]), None);
        assert_eq!(owner(&[]), None);
    }

    #[test]
    fn a_link_leads_from_the_container_id_to_the_instance() {
        let folder = tempfile::tempdir().unwrap();
        let (id, other) = ("a".repeat(64), "b".repeat(64));
        let link =
            |name: String| std::os::unix::fs::symlink("/var/log/pods/ns_pod_uid/app/2.log", folder.path().join(name));
        link(format!("pod_ns_app-{id}.log")).unwrap();
        link("pod_ns_app-short.log".into()).unwrap();
        let mut links = Links::new(vec![folder.path().to_path_buf(), folder.path().join("missing")]);
        assert_eq!(links.owner(&id).cloned(), instance("ns_pod_uid", "app", 2));
        assert_eq!(links.owner(&other), None);
        std::fs::remove_file(folder.path().join(format!("pod_ns_app-{id}.log"))).unwrap();
        assert!(links.owner(&id).is_some());
        links.outdate();
        assert_eq!(links.owner(&id), None);
    }
}

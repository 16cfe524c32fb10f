//! The log directory, and the folder where the agent keeps its positions.
//!
//! In: the two paths. Out: findings, and how large the log tree is. Never: a file made or changed, a folder
//! that stays, or a lock that stays.

use super::finding::Finding;
use crate::config::Config;
use rustix::fs::{Access, FlockOperation, access, flock, statvfs};
use std::fs::{File, create_dir, read_dir, remove_dir};
use std::io;
use std::path::{Path, PathBuf};

/// In `data_dir`; held with `flock` by the agent that runs on it.
pub const LOCK_FILE: &str = "lock";
/// Known pods, positions and journal stay well below this.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// What is below `log_dir`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) pods: usize,
    pub(super) containers: usize,
    pub(super) files: usize,
    /// Symlinks that lead neither into `log_dir` nor into one of the folders allowed, and broken ones.
    links_out: Vec<PathBuf>,
    unreadable: Vec<String>,
}

pub(super) fn log_dir(config: &Config) -> (Tree, Finding) {
    let path = &config.log_dir;
    let rights = "run as root or with CAP_DAC_READ_SEARCH, and mount the node's /var/log/pods at log_dir";
    let pods = match read_dir(path) {
        Ok(pods) => pods,
        Err(error) => {
            return (Tree::default(), Finding::fail("log_dir", format!("{}: {error}", path.display()), rights));
        }
    };
    let mut allowed: Vec<PathBuf> = std::iter::once(path).chain(&config.log_link_dirs).cloned().collect();
    allowed.extend(allowed.clone().iter().filter_map(|folder| folder.canonicalize().ok()));
    let mut tree = Tree::default();
    for pod in pods.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        tree.pods += 1;
        walk_pod(&pod.path(), &allowed, &mut tree);
    }
    let finding = judge(path, &tree, rights);
    (tree, finding)
}

fn walk_pod(pod: &Path, allowed: &[PathBuf], tree: &mut Tree) {
    for container in entries(pod, tree) {
        if !container.is_dir() {
            continue;
        }
        tree.containers += 1;
        for file in entries(&container, tree) {
            if file.is_symlink() && !file.canonicalize().is_ok_and(|to| allowed.iter().any(|from| to.starts_with(from)))
            {
                tree.links_out.push(file);
                continue;
            }
            tree.files += 1;
            if let Err(error) = File::open(&file) {
                // Files come and go while they are counted.
                if error.kind() != io::ErrorKind::NotFound {
                    tree.unreadable.push(format!("{}: {error}", file.display()));
                }
            }
        }
    }
}

fn entries(folder: &Path, tree: &mut Tree) -> Vec<PathBuf> {
    match read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tree.unreadable.push(format!("{}: {error}", folder.display()));
            Vec::new()
        }
    }
}

fn judge(path: &Path, tree: &Tree, rights: &str) -> Finding {
    let detail =
        format!("{}: {} pods, {} containers, {} files", path.display(), tree.pods, tree.containers, tree.files);
    if let Some(first) = tree.unreadable.first() {
        return Finding::fail(
            "log_dir",
            format!("{detail}; {} unreadable, such as {first}", tree.unreadable.len()),
            rights,
        );
    }
    if let Some(first) = tree.links_out.first() {
        let count = tree.links_out.len();
        let detail = format!(
            "{detail}; {count} symlinks are broken or lead elsewhere and are not followed, such as {}",
            first.display()
        );
        return Finding::warn(
            "log_dir",
            detail,
            "where they are the runtime's, mount and name their folder in log_link_dirs",
        );
    }
    if tree.pods == 0 {
        return Finding::warn(
            "log_dir",
            detail,
            "right on a node without pods; else mount the node's /var/log/pods there",
        );
    }
    Finding::ok("log_dir", detail)
}

pub(super) fn data_dir(path: &Path) -> Finding {
    let shown = path.display();
    let Some(existing) = path.ancestors().find(|folder| folder.exists()) else {
        return Finding::fail("data_dir", format!("{shown}: no part of it exists"), "mount a folder of the node there");
    };
    if !existing.is_dir() {
        return Finding::fail("data_dir", format!("{} is not a folder", existing.display()), "choose another data_dir");
    }
    if let Err(error) = access(existing, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        let detail = format!("{}: {error}", existing.display());
        return Finding::fail(
            "data_dir",
            detail,
            "give the agent the right to write there, or choose another data_dir",
        );
    }
    if let Err(error) = try_to_make(existing) {
        let detail = format!("{}: nothing can be made there ({error})", existing.display());
        return Finding::fail("data_dir", detail, "choose a data_dir on a disk of the node that can be written to");
    }
    if is_locked(&path.join(LOCK_FILE)) {
        let remedy = "if that is this node's agent, all is well; else stop it or give this one a data_dir of its own";
        return Finding::fail("data_dir", format!("{shown} is locked: an agent is running on it"), remedy);
    }
    let free = statvfs(existing).map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    let state = if existing == path { "writable" } else { "does not exist yet and can be made" };
    match free {
        Ok(free) if free < FREE_BYTES_MIN => {
            let detail = format!("{shown}: {state}, {} MiB free", free >> 20);
            Finding::warn("data_dir", detail, "free at least 64 MiB, or positions may not be saved")
        }
        Ok(free) => Finding::ok("data_dir", format!("{shown}: {state}, {} MiB free", free >> 20)),
        Err(error) => {
            Finding::warn("data_dir", format!("{shown}: {state}; free space unknown: {error}"), "look with df")
        }
    }
}

/// What the rights say is not all: `/proc` grants them and makes nothing, and a disk may be full.
fn try_to_make(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".penstock-doctor-{}", std::process::id()));
    create_dir(&path)?;
    remove_dir(path)
}

/// Tried, and let go at once. A lock that cannot be tried is not one.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| {
        flock(&file, FlockOperation::NonBlockingLockShared).is_err_and(|error| error == rustix::io::Errno::WOULDBLOCK)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use std::fs::{create_dir_all, write};

    fn config(log_dir: &Path, link_dir: &Path) -> Config {
        let text = format!("log_dir: {}\nlog_link_dirs: [{}]", log_dir.display(), link_dir.display());
        crate::config::read(&text, &|_| Some("n1".into())).unwrap()
    }

    #[test]
    fn the_log_tree_is_counted_and_foreign_links_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (logs, docker) = (folder.path().join("pods"), folder.path().join("docker"));
        assert_eq!(log_dir(&config(&logs, &docker)).1.level, Level::Fail, "it does not exist");
        create_dir_all(logs.join("ns_pod_uid/c1")).unwrap();
        create_dir_all(&docker).unwrap();
        write(logs.join("ns_pod_uid/c1/0.log"), "").unwrap();
        write(docker.join("x-json.log"), "").unwrap();
        std::os::unix::fs::symlink(docker.join("x-json.log"), logs.join("ns_pod_uid/c1/1.log")).unwrap();
        let (tree, finding) = log_dir(&config(&logs, &docker));
        assert_eq!((tree.pods, tree.containers, tree.files), (1, 1, 2));
        assert_eq!(finding.level, Level::Ok, "{finding:?}");
        std::os::unix::fs::symlink("/etc/passwd", logs.join("ns_pod_uid/c1/2.log")).unwrap();
        let (tree, finding) = log_dir(&config(&logs, &docker));
        assert_eq!((tree.files, finding.level), (2, Level::Warn));
        assert!(finding.detail.contains("1 symlinks") && finding.detail.contains("2.log"), "{finding:?}");
    }

    #[test]
    fn a_data_dir_that_cannot_be_made_is_refused_and_a_log_dir_that_is_a_file() {
        for path in ["/proc/x", "/proc/self/x/y"] {
            let finding = data_dir(Path::new(path));
            assert!(finding.level == Level::Fail && finding.remedy.is_some(), "{finding:?}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(log_dir(&config(file.path(), Path::new("/x"))).1.level, Level::Fail);
    }

    #[test]
    fn a_data_dir_in_use_is_refused_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let finding = data_dir(&path);
        assert!(
            finding.level != Level::Fail && finding.detail.contains("can be made") && !path.exists(),
            "{finding:?}"
        );
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        create_dir_all(&path).unwrap();
        let held = File::create(path.join(LOCK_FILE)).unwrap();
        assert!(data_dir(&path).detail.contains("writable"));
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        let finding = data_dir(&path);
        assert!(finding.level == Level::Fail && finding.detail.contains("locked"), "{finding:?}");
        assert_eq!(data_dir(&path.join(LOCK_FILE)).level, Level::Fail, "a file is no folder");
    }
}

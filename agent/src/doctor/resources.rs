//! inotify and open files: what the kernel allows against what this node's log tree needs.
//!
//! In: limits as the kernel tells them, and the size of the tree. Out: findings. Never: a limit raised.

use super::files::Tree;
use super::finding::Finding;
use rustix::fs::inotify;
use rustix::process::{Resource, getrlimit};

/// Descriptors for everything but log files: connections, `data_dir`, the admin server.
const OTHER_FILES: usize = 128;

pub(super) fn examine(tree: &Tree) -> Vec<Finding> {
    let limit = |name: &str| std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).unwrap_or_default();
    let probe = inotify::init(inotify::CreateFlags::CLOEXEC).map(drop).map_err(|error| error.to_string());
    // One watch per folder: log_dir, pods, containers.
    let watches = 1 + tree.pods + tree.containers;
    let soft = getrlimit(Resource::Nofile).current;
    vec![
        watching(&limit("max_user_watches"), &limit("max_user_instances"), watches, &probe),
        open_files(soft, OTHER_FILES + tree.files),
    ]
}

fn watching(watches_max: &str, instances_max: &str, need: usize, probe: &Result<(), String>) -> Finding {
    let (Ok(watches), Ok(instances)) = (watches_max.trim().parse::<usize>(), instances_max.trim().parse::<usize>())
    else {
        let detail = "no limits in /proc/sys/fs/inotify".to_owned();
        return Finding::warn(
            "inotify",
            detail,
            "is /proc mounted? without inotify new lines are seen by the slow rescan",
        );
    };
    let detail = format!("{watches} watches, {instances} instances per user; {need} watches needed");
    if let Err(error) = probe {
        let remedy = "raise fs.inotify.max_user_instances; without it new lines are seen by the slow rescan";
        return Finding::warn("inotify", format!("{detail}; an instance was refused: {error}"), remedy);
    }
    // Others of the same user (root) share the limit.
    if watches < need.saturating_mul(2) {
        let remedy = format!("sysctl fs.inotify.max_user_watches={}", need.saturating_mul(4).max(65_536));
        return Finding::warn("inotify", detail, remedy);
    }
    Finding::ok("inotify", detail)
}

/// `soft`: `None` is no limit.
fn open_files(soft: Option<u64>, need: usize) -> Finding {
    let Some(soft) = soft else { return Finding::ok("open files", format!("no limit; {need} needed now")) };
    let detail = format!("{soft} allowed; {need} needed now");
    if usize::try_from(soft).is_ok_and(|soft| soft < need.saturating_mul(2)) {
        let remedy = format!("raise RLIMIT_NOFILE (ulimit -n, LimitNOFILE) to {} or more", need.saturating_mul(4));
        return Finding::warn("open files", detail, remedy);
    }
    Finding::ok("open files", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn limits_are_held_against_the_need() {
        assert_eq!(watching("65536\n", "128\n", 500, &Ok(())).level, Level::Ok);
        let few = watching("8192\n", "128\n", 5_000, &Ok(()));
        assert_eq!((few.level, few.remedy.as_deref()), (Level::Warn, Some("sysctl fs.inotify.max_user_watches=65536")));
        let refused = watching("65536\n", "128\n", 1, &Err("Too many open files (os error 24)".to_owned()));
        assert!(refused.level == Level::Warn && refused.detail.contains("Too many open files"));
        assert_eq!(watching("", "x", 1, &Ok(())).level, Level::Warn);
        assert_eq!(open_files(None, 1_000).level, Level::Ok);
        assert_eq!(open_files(Some(1_024), 500).level, Level::Ok);
        assert_eq!(open_files(Some(1_024), 600).level, Level::Warn);
    }
}

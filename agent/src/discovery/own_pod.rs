//! Which pod, and which of its containers, the agent itself runs in: it never collects its own container.
//!
//! In: `/proc/self/mountinfo` and `/proc/self/cgroup`. Out: [`OwnPod`], or nothing outside Kubernetes. Never:
//! a guess: a path counts only where the kubelet itself puts it.
//!
//! The kubelet mounts two files of its own into each container: the termination message, from
//! `…/pods/UID/containers/NAME/…`, and `/etc/hosts`, from `…/pods/UID/etc-hosts`. The first tells the
//! container's name. Where neither is there, the cgroup tells the pod, unless the container has a cgroup
//! namespace, which hides it.

use std::path::Path;

/// The agent's own pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    /// Its UID, as in the path of its logs.
    pub uid: String,
    /// The agent's own container. Not known: the whole pod is left out.
    pub container: Option<String>,
}

/// Looks into `/proc/self`. `None` outside Kubernetes. Reads two small files: not for a hot path.
#[must_use]
pub fn find() -> Option<OwnPod> {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
}

/// As [`find`], from the text of the two files.
#[must_use]
pub fn parse(mountinfo: &str, cgroup: &str) -> Option<OwnPod> {
    let mounts = || mountinfo.lines().filter_map(mount);
    mounts()
        .find_map(|(root, _)| container_of(root).map(|(uid, name)| OwnPod { uid, container: Some(name) }))
        .or_else(|| mounts().find_map(|(root, at)| pod_of_hosts(root, at)).map(OwnPod::unnamed))
        .or_else(|| cgroup.lines().find_map(pod_of_cgroup).map(OwnPod::unnamed))
}

impl OwnPod {
    fn unnamed(uid: String) -> Self {
        Self { uid, container: None }
    }
}

/// Root and mount point of a line of mountinfo (proc_pid_mountinfo(5): the fourth and fifth field). Mounts of
/// other containers, seen through a mount of the whole host, are left out.
fn mount(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split(' ').skip(3);
    let (root, at) = (fields.next()?, fields.next()?);
    (!at.contains("/pods/")).then_some((root, at))
}

/// `…/pods/UID/containers/NAME/FILE`
fn container_of(root: &str) -> Option<(String, String)> {
    let (_, rest) = root.rsplit_once("/pods/")?;
    let mut parts = rest.split('/');
    let (uid, folder, name, file) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && folder == "containers" && !name.is_empty() && !file.is_empty();
    (is_whole && is_uid(uid)).then(|| (uid.to_owned(), name.to_owned()))
}

/// `…/pods/UID/etc-hosts`, mounted at `/etc/hosts`
fn pod_of_hosts(root: &str, at: &str) -> Option<String> {
    let (_, rest) = root.rsplit_once("/pods/")?;
    let uid = rest.strip_suffix("/etc-hosts")?;
    (at == "/etc/hosts" && is_uid(uid)).then(|| uid.to_owned())
}

/// A line of `/proc/self/cgroup`, v1 or v2, whose path has a part `podUID` (cgroupfs) or
/// `…kubepods…-podUID_WITH_UNDERSCORES.slice` (systemd).
fn pod_of_cgroup(line: &str) -> Option<String> {
    let path = line.splitn(3, ':').nth(2)?;
    if !path.contains("kubepods") {
        return None;
    }
    path.split('/').rev().find_map(|part| {
        let (is_slice, name) = part.strip_suffix(".slice").map_or((false, part), |name| (true, name));
        let uid = match is_slice {
            true => name.rsplit_once("-pod")?.1.replace('_', "-"),
            false => name.strip_prefix("pod")?.to_owned(),
        };
        is_uid(&uid).then_some(uid)
    })
}

/// A UUID, or the 32 hexadecimal digits of a static pod.
fn is_uid(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = text.bytes().filter(|b| *b == b'-').count();
    digits == 32 && text.len() == digits + dashes && matches!(dashes, 0 | 4)
}

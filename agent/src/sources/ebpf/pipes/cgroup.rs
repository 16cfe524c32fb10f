//! What a process's cgroup path says: of which container it is, and of which pod.
//!
//! In: the text of `/proc/PID/cgroup`. Out: a container ID and a pod UID, where the path names them. Never: a guess from
//! a name that is not one of the known forms.
//!
//! Forms (kubelet's and the runtimes' sources): cgroupfs `…/kubepods[/burstable|/besteffort]/podUID/ID`, systemd
//! `kubepods-burstable-podUID_WITH_UNDERSCORES.slice/cri-containerd-ID.scope` (`crio-`, `docker-`), and, where kubelet
//! and containerd disagree, `kubepods-…-podUID.slice:cri-containerd:ID`. All of them also below another root.

/// Hexadecimal digits of a container ID: containerd, CRI-O and docker alike.
pub(super) const CONTAINER_ID_CHARS: usize = 64;

/// Where a process is in the tree of cgroups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CgroupPlace {
    /// The path in the hierarchy that says most.
    pub(super) path: String,
    /// The innermost container's ID.
    pub(super) container: Option<String>,
    /// The innermost pod's UID, as in the name of its log folder.
    pub(super) pod: Option<String>,
}

/// Reads `/proc/PID/cgroup`: of several hierarchies (v1) the first that names a container counts, else the first that
/// names a pod, else the first.
pub(super) fn place(text: &str) -> CgroupPlace {
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let rank = |place: &CgroupPlace| (place.container.is_some(), place.pod.is_some());
    let places = paths.map(|path| CgroupPlace {
        path: path.to_owned(),
        container: path.rsplit('/').find_map(container_id).map(ToOwned::to_owned),
        pod: pod_of(path),
    });
    places.reduce(|best, next| if rank(&next) > rank(&best) { next } else { best }).unwrap_or_default()
}

/// The container ID that one component of a path carries. A monitor beside the container (`crio-conmon-ID.scope`) is
/// not in it.
fn container_id(component: &str) -> Option<&str> {
    let name = component.strip_suffix(".scope").unwrap_or(component);
    let (kind, id) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
    (is_container_id(id) && !kind.contains("conmon")).then_some(id)
}

/// Whether this is the form of a container ID.
pub(super) fn is_container_id(text: &str) -> bool {
    text.len() == CONTAINER_ID_CHARS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn pod_of(path: &str) -> Option<String> {
    let mut is_below_kubepods = false;
    let mut innermost = None;
    for component in path.split('/') {
        innermost = pod_uid(component, is_below_kubepods).or(innermost);
        is_below_kubepods |= component.trim_end_matches(".slice").ends_with("kubepods");
    }
    innermost
}

/// The pod UID that one component carries. In a cgroup namespace the part with `kubepods` may be cut off
/// (`/../podUID/ID`): then it must look like a UID.
fn pod_uid(component: &str, is_below_kubepods: bool) -> Option<String> {
    let name = component.split(':').next()?;
    if let Some(slice) = name.strip_suffix(".slice") {
        let (before, uid) = slice.rsplit_once("-pod")?;
        return (before.contains("kubepods") && is_plain(uid)).then(|| uid.replace('_', "-"));
    }
    let uid = name.strip_prefix("pod").filter(|uid| is_plain(uid))?;
    (is_below_kubepods || is_uid(uid)).then(|| uid.to_owned())
}

fn is_plain(uid: &str) -> bool {
    !uid.is_empty() && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A UUID, or the hash that a static pod has instead.
fn is_uid(uid: &str) -> bool {
    let dashes = uid.bytes().filter(|b| *b == b'-').count();
    let is_hex = uid.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    is_hex && matches!((uid.len(), dashes), (36, 4) | (32, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "8b1f6a52-9c3e-4d4f-9a5b-0123456789ab";
    const HASH: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

    /// Text with `ID`, `UID`, `UID_` (underscores) and `HASH` replaced.
    fn read(text: &str) -> (Option<String>, Option<String>) {
        let text = text.replace("UID_", &UID.replace('-', "_")).replace("UID", UID).replace("HASH", HASH);
        let place = place(&text.replace("ID", ID));
        (place.container, place.pod)
    }

    #[test]
    fn container_and_pod_are_read_from_every_known_form() {
        let (id, uid, hash) = (Some(ID), Some(UID), Some(HASH));
        for (text, container, pod) in [
            ("0::/kubepods/burstable/podUID/ID", id, uid),
            ("0::/kubepods/podUID/ID", id, uid),
            ("0::/kubepods/besteffort/podHASH/ID", id, hash),
            (
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/cri-containerd-ID.scope",
                id,
                uid,
            ),
            ("0::/kubepods.slice/kubepods-podUID_.slice/crio-ID.scope", id, uid),
            ("0::/kubepods.slice/kubepods-podHASH.slice/crio-ID.scope/init.scope", id, hash),
            ("0::/kubepods.slice/kubepods-podUID_.slice/docker-ID.scope", id, uid),
            ("0::/kubepods.slice/kubepods-podUID_.slice/crio-conmon-ID.scope", None, uid),
            ("0::/system.slice/containerd.service/kubepods-besteffort-podUID_.slice:cri-containerd:ID", id, uid),
            ("0::/docker/IDf/kubelet.slice/kubelet-kubepods-podUID_.slice/cri-containerd-ID.scope", id, uid),
            ("0::/../../podUID/ID", id, uid),
            ("0::/../../../burstable/podHASH/ID", id, hash),
            ("0::/../kubepods-burstable-podUID_.slice/cri-containerd-ID.scope", id, uid),
            ("0::/kubepods/podmade-up/ID", id, Some("made-up")),
            ("0::/docker/ID", id, None),
            ("0::/k8s.io/ID", id, None),
            ("0::/", None, None),
            ("0::/user.slice/podman.slice", None, None),
            ("0::/podium/x", None, None),
            ("0::/kubepods/besteffort", None, None),
            ("", None, None),
            ("no colons", None, None),
        ] {
            assert_eq!(read(text), (container.map(Into::into), pod.map(Into::into)), "{text}");
        }
    }

    #[test]
    fn of_several_hierarchies_the_one_that_says_most_counts() {
        let v1 = "12:pids:/\n11:cpu,cpuacct:/kubepods/podUID\n4:memory:/kubepods/podUID/ID\n0::/init\n";
        assert_eq!(read(v1), (Some(ID.into()), Some(UID.into())));
        assert_eq!(place("3:cpu:/a\n0::/b\n").path, "/a");
    }

    #[test]
    fn of_nested_containers_the_innermost_counts() {
        let outer = "f".repeat(CONTAINER_ID_CHARS);
        let place = place(&format!("0::/kubepods/podmine/{outer}/docker/{ID}"));
        assert_eq!((place.container.as_deref(), place.pod.as_deref()), (Some(ID), Some("mine")));
    }
}

//! What becomes of a pod's metadata: selection, opt-outs, mirror pods, the agent's own pod, and what is kept
//! on disk from one run to the next.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use penstock::discovery::book::{Book, Change, Known, Rules};
use penstock::discovery::known::{self, KnownError};
use penstock::discovery::meta::PodMeta;
use penstock::discovery::own_pod::{self, OwnPod};
use penstock::types::pod::{Pod, PodSnapshot};
use std::sync::Arc;

fn meta(json: &serde_json::Value) -> PodMeta {
    let metadata: ObjectMeta = serde_json::from_value(json.clone()).unwrap();
    PodMeta::new(metadata).unwrap()
}

fn pod(uid: &str, label: &str) -> PodMeta {
    let (key, value) = label.split_once('=').unwrap();
    meta(&serde_json::json!({"uid": uid, "name": uid, "namespace": "ns", "labels": {key: value, "app": "x", "b": "y"}}))
}

fn rules() -> Rules {
    let select = |text: &str| vec![text.parse().unwrap(), "also=this".parse().unwrap()];
    let (select, json) = (select("log=yes"), vec!["log=yes,app=x".parse().unwrap()]);
    Rules { select, json, label_keys: vec!["app".into(), "absent".into()], own_pod: None }
}

fn listed(rules: Rules, pods: Vec<PodMeta>) -> PodSnapshot {
    let mut book = Book::new(rules, false);
    book.pods(Change::Listed(pods));
    book.snapshot(&PodSnapshot::default()).unwrap()
}

fn only(rules: Rules, pod: PodMeta) -> Pod {
    let snapshot = listed(rules, vec![pod]);
    let mut pods = snapshot.pods.into_values();
    (*pods.next().unwrap()).clone()
}

/// Rule: exactly the labels that later rooms need are kept; a pod that is not selected is known all the same.
#[test]
fn a_pod_is_kept_slim() {
    let selected = only(rules(), pod("u1", "log=yes"));
    assert!(selected.collect && selected.json);
    assert_eq!(selected.labels.into_iter().collect::<Vec<_>>(), [("app".to_owned(), "x".to_owned())]);
    let other = only(rules(), pod("u2", "also=this"));
    assert!(other.collect && !other.json);
    let unselected = only(rules(), pod("u3", "log=no"));
    assert!(!unselected.collect && !unselected.json && unselected.labels.is_empty());
}

/// Rule (CONTRACT 9): the opt-out label, ours and Vector's, with the value `true` only.
#[test]
fn the_opt_out_label_wins_over_selection() {
    for (label, collect) in [
        ("penstock.io/exclude=true", false),
        ("vector.dev/exclude=true", false),
        ("penstock.io/exclude=false", true),
        ("vector.dev/exclude=True", true),
    ] {
        let mut pod = pod("u", label);
        pod.labels.insert("log".into(), "yes".into());
        assert_eq!(only(rules(), pod).collect, collect, "{label}");
    }
}

/// Rule (CONTRACT 9): containers named by either annotation are left out; blanks do not count.
#[test]
fn annotations_name_containers_to_leave_out() {
    let pod = meta(&serde_json::json!({
        "uid": "u", "name": "n", "namespace": "ns", "labels": {"log": "yes"},
        "annotations": {"penstock.io/exclude-containers": " b ,a,, ", "vector.dev/exclude-containers": "c,a"}}));
    assert_eq!(only(rules(), pod).excluded_containers, ["a", "b", "c"]);
}

/// Rule (CONTRACT 9): an excluded namespace excludes its pods, while it is so; and nothing is current, so
/// nothing new is shipped, before the namespaces are known.
#[test]
fn an_excluded_namespace_excludes_its_pods() {
    let mut book = Book::new(rules(), true);
    let collect = |book: &Book| {
        let snapshot = book.snapshot(&PodSnapshot::default()).unwrap();
        (snapshot.is_current, snapshot.pods["u"].collect)
    };
    book.pods(Change::Listed(vec![pod("u", "log=yes")]));
    assert!(!book.is_current());
    assert!(book.excluded_namespaces(0, Change::Listed(vec!["other".into()])));
    assert!(!book.is_current());
    assert!(book.excluded_namespaces(1, Change::Listed(vec![])));
    assert_eq!(collect(&book), (true, true));
    assert!(book.excluded_namespaces(1, Change::Applied("ns".into())));
    assert_eq!(collect(&book), (true, false));
    assert!(book.excluded_namespaces(0, Change::Applied("ns".into())));
    assert!(book.excluded_namespaces(1, Change::Gone("ns".into())));
    assert_eq!(collect(&book), (true, false), "the other label still stands");
    assert!(book.excluded_namespaces(0, Change::Listed(vec![])));
    assert_eq!(collect(&book), (true, true));
}

fn mirror(uid: &str, hash: &str) -> PodMeta {
    meta(&serde_json::json!({
        "uid": uid, "name": "etcd-n1", "namespace": "kube-system", "labels": {"log": "yes"},
        "annotations": {"kubernetes.io/config.hash": hash, "kubernetes.io/config.mirror": hash,
            "kubernetes.io/config.source": "file", "kubernetes.io/config.seen": "2026-01-01T00:00:00Z"}}))
}

/// Rule: a mirror pod stands under the UID that the kubelet runs it with, which is in the log path.
#[test]
fn a_mirror_pod_is_found_by_its_hash() {
    let hash = "0123456789abcdef0123456789abcdef";
    assert_eq!(only(rules(), mirror("api-uid", hash)).log_uid, hash);
    let plain = meta(&serde_json::json!({"uid": "u", "name": "n", "namespace": "ns",
        "annotations": {"kubernetes.io/config.hash": hash, "kubernetes.io/config.source": "api"}}));
    assert_eq!(plain.log_uid(), "u", "without the mirror annotation a hash says nothing");
}

/// Rule: nobody takes over another pod's logs by claiming its UID in an annotation.
#[test]
fn a_mirror_pod_does_not_displace_a_pod() {
    for uid in ["a", "z"] {
        let snapshot = listed(rules(), vec![mirror(uid, "u"), pod("u", "log=no")]);
        assert_eq!(snapshot.pods.len(), 1);
        assert_eq!(snapshot.pods["u"].namespace, "ns");
    }
}

/// Rule: the agent never collects its own container; where its name is not known, not its whole pod.
#[test]
fn the_agents_own_container_is_left_out() {
    let own = |container: Option<&str>| {
        let own_pod = Some(OwnPod { uid: "u".into(), container: container.map(str::to_owned) });
        listed(Rules { own_pod, ..rules() }, vec![pod("u", "log=yes"), pod("v", "log=yes")])
    };
    let named = own(Some("agent"));
    assert!(named.pods["u"].collect);
    assert_eq!(named.pods["u"].excluded_containers, ["agent"]);
    assert!(named.pods["v"].excluded_containers.is_empty());
    let unnamed = own(None);
    assert!(!unnamed.pods["u"].collect && unnamed.pods["v"].collect);
}

/// Rule: changes that say nothing new make no snapshot, and unchanged pods are shared between snapshots.
#[test]
fn only_news_makes_a_snapshot() {
    let mut book = Book::new(rules(), false);
    assert!(book.pods(Change::Listed(vec![pod("u", "log=yes"), pod("v", "log=yes")])));
    let first = book.snapshot(&PodSnapshot::default()).unwrap();
    assert!(!book.pods(Change::Applied(pod("u", "log=yes"))), "a change of status only");
    assert!(!book.pods(Change::Gone(pod("w", "log=yes"))), "never seen");
    assert!(book.snapshot(&first).is_none());
    assert!(book.pods(Change::Applied(pod("u", "log=no"))));
    let second = book.snapshot(&first).unwrap();
    assert!(!second.pods["u"].collect);
    assert!(Arc::ptr_eq(&first.pods["v"], &second.pods["v"]));
    assert!(book.pods(Change::Gone(pod("u", "log=no"))));
    assert!(!book.snapshot(&second).unwrap().pods.contains_key("u"), "gone from the API: gone from the snapshot");
}

const UID: &str = "3c0cd1f2-9a0b-4d5e-8f67-0123456789ab";

/// Rule: the own pod is read from what the kubelet mounts, else from the cgroup, in every form they have.
#[test]
fn the_own_pod_in_every_form() {
    let named = Some(OwnPod { uid: UID.into(), container: Some("agent".into()) });
    let unnamed = Some(OwnPod { uid: UID.into(), container: None });
    let under = UID.replace('-', "_");
    let id = "f".repeat(64);
    let mountinfo = |root: String, at: &str| {
        format!("1 2 8:1 / / rw - ext4 /dev/sda rw\n701 680 8:1 {root} {at} rw,relatime - ext4 /dev/sda1 rw\n")
    };
    let termination =
        mountinfo(format!("/var/lib/kubelet/pods/{UID}/containers/agent/5d1fa2b3"), "/dev/termination-log");
    let hosts = mountinfo(format!("/lib/kubelet/pods/{UID}/etc-hosts"), "/etc/hosts");
    let foreign = mountinfo(format!("/pods/{UID}/containers/agent/5d1f"), "/host/var/lib/kubelet/pods/x/f");
    let cases: Vec<(&str, &str, String, Option<OwnPod>)> = vec![
        ("termination log", &termination, String::new(), named.clone()),
        ("hosts and termination log", &termination, format!("0::/kubepods/pod{UID}/{id}"), named),
        ("hosts file", &hosts, String::new(), unnamed.clone()),
        ("another container's, through the host", &foreign, String::new(), None),
        ("v1 cgroupfs", "", format!("12:pids:/kubepods/burstable/pod{UID}/{id}\n0::/"), unnamed.clone()),
        ("v1 cgroupfs guaranteed", "", format!("4:cpu,cpuacct:/kubepods/pod{UID}/{id}"), unnamed.clone()),
        (
            "v1 systemd",
            "",
            format!(
                "4:memory:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{under}.slice/cri-containerd-{id}.scope"
            ),
            unnamed.clone(),
        ),
        ("v2 systemd", "", format!("0::/kubepods.slice/kubepods-pod{under}.slice/crio-{id}.scope"), unnamed.clone()),
        (
            "v2 systemd, kind",
            "",
            format!(
                "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{under}.slice/cri-containerd-{id}.scope"
            ),
            unnamed,
        ),
        (
            "a static pod",
            "",
            "0::/kubepods/pod0123456789abcdef0123456789abcdef/x".to_owned(),
            Some(OwnPod { uid: "0123456789abcdef0123456789abcdef".into(), container: None }),
        ),
        ("v2 with a namespace of its own", "", "0::/".to_owned(), None),
        (
            "a desktop",
            "1 2 8:1 / / rw - ext4 /dev/sda rw",
            "0::/user.slice/user-1000.slice/podman.scope".to_owned(),
            None,
        ),
        ("not a UID", "", "0::/kubepods/podcast/x".to_owned(), None),
        ("rubbish", "\u{0}\n \n/pods/", ":::\n::\nkubepods".to_owned(), None),
    ];
    for (what, mountinfo, cgroup, expected) in cases {
        assert_eq!(own_pod::parse(mountinfo, &cgroup), expected, "{what}");
    }
}

fn some_known() -> Known {
    Known {
        node_name: "n1".into(),
        pods: vec![pod("u", "log=yes"), mirror("v", "hash")],
        excluded_namespaces: ["kube-system".to_owned()].into(),
    }
}

/// Rule: what was known comes back after a restart, with all that other selectors would need.
#[test]
fn known_pods_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = known::path(folder.path());
    assert!(known::load(&path, "n1").unwrap().is_none(), "the first start");
    for _ in 0..2 {
        known::save(&path, &some_known()).unwrap();
        assert_eq!(known::load(&path, "n1").unwrap(), Some(some_known()));
    }
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["pods.zst"]);

    let mut book = Book::new(rules(), true);
    book.remember(some_known());
    let snapshot = book.snapshot(&PodSnapshot::default()).unwrap();
    assert!(!snapshot.is_current && snapshot.pods["u"].collect && !snapshot.pods["hash"].collect);
}

/// Rule: a torn, changed, foreign or other node's file is a clear message, never a crash and never pods.
#[test]
fn a_bad_file_of_known_pods_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = known::path(folder.path());
    known::save(&path, &some_known()).unwrap();
    let good = std::fs::read(&path).unwrap();
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(known::load(&path, "n1"), Err(KnownError::Damaged { .. })), "torn at {length}");
    }
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        assert!(known::load(&path, "n1").is_err(), "changed at {place}");
    }
    std::fs::write(&path, "[] the output of something else").unwrap();
    let message = known::load(&path, "n1").unwrap_err().to_string();
    assert!(message.contains("pods.zst is not a file of known pods"), "{message}");
    std::fs::write(&path, &good).unwrap();
    let message = known::load(&path, "n2").unwrap_err().to_string();
    assert!(message.contains("has the pods of node \"n1\", this is \"n2\""), "{message}");
    let message = known::save(&folder.path().join("absent/pods.zst"), &some_known()).unwrap_err().to_string();
    assert!(message.contains("writing the known pods") && message.contains("check that data_dir exists"), "{message}");
}

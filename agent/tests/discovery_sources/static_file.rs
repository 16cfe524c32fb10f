//! Pods from the output of `kubectl get pods -o json`.

use crate::{Running, config, start};
use penstock::config::Discovery;
use penstock::discovery::static_file::parse;
use serde_json::{Value, json};
use std::path::Path;

fn pod(name: &str, node: Option<&str>) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": []}, "status": {"phase": "Failed"},
        "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": {"log": "yes"}}});
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    }
    pod
}

fn list(pods: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": pods, "metadata": {"resourceVersion": ""}}).to_string()
}

/// Rule: a List, a pod and an array are read; of other nodes' pods and other kinds nothing is taken.
#[test]
fn every_form_of_the_file() {
    let service = json!({"kind": "Service", "metadata": {"name": "s", "namespace": "ns", "uid": "s"}});
    let pods = [pod("a", Some("n1")), pod("b", Some("n2")), pod("c", None), pod("d", Some("")), service];
    let names =
        |text: &str| -> Vec<String> { parse(text.as_bytes(), "n1").unwrap().into_iter().map(|pod| pod.name).collect() };
    assert_eq!(names(&list(&pods)), ["a", "c", "d"]);
    assert_eq!(names(&format!("\n {}", json!(pods))), ["a", "c", "d"]);
    assert_eq!(names(&pods[0].to_string()), ["a"]);
    assert_eq!(names(&list(&[])), [""; 0]);
    for wrong in ["", "{", "{}", "7", "\"pods\"", "{\"items\": 7}", "[7]", "{\"kind\": \"Service\", \"metadata\": {}}"]
    {
        assert!(parse(wrong.as_bytes(), "n1").is_err(), "{wrong}");
    }
}

fn run(path: &Path) -> Running {
    start(config(Discovery::Static(path.to_owned()), path.parent().unwrap()))
}

/// Rule: the file is read again when it changes, in place or by rename; a broken or missing one leaves the
/// last good pods in use, with a message that has path, place and remedy.
#[tokio::test]
async fn read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pods.json");
    let mut running = run(&path);
    let status = running.until_status("it is missing", |status| status.errors >= 1).await;
    assert!(status.trouble["pods"].contains("pods.json: No such file"), "{status:?}");
    assert!(!running.snapshots.borrow().is_current, "nothing was read yet");

    std::fs::write(&path, list(&[pod("a", Some("n1"))])).unwrap();
    running.until_collected(&["a"]).await;
    assert!(running.status.borrow().trouble.is_empty());

    std::fs::write(&path, "{\"items\": [\n  oops").unwrap();
    let status = running.until_status("it is broken", |status| !status.trouble.is_empty()).await;
    let message = &status.trouble["pods"];
    assert!(message.contains("pods.json, line 2, column 3") && message.contains("kubectl get pods"), "{message}");
    assert_eq!(crate::collected(&running.snapshots.borrow()), ["a"]);

    let beside = folder.path().join("beside");
    std::fs::write(&beside, list(&[pod("b", None), pod("c", Some("n2"))])).unwrap();
    std::fs::rename(&beside, &path).unwrap();
    running.until_collected(&["b"]).await;

    std::fs::remove_file(&path).unwrap();
    running.until_status("it is gone", |status| status.trouble.contains_key("pods")).await;
    assert_eq!(crate::collected(&running.snapshots.borrow()), ["b"]);
    running.stop().await;
}

//! The watch of the Kubernetes API, and what it survives.

use crate::stub::{Stub, write_kubeconfig};
use crate::{Running, collected, config, start};
use penstock::config::Discovery;
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

const PODS: Discovery = Discovery::Kubernetes { watch_namespaces: false };

fn run(folder: &Path) -> Running {
    start(config(PODS, folder))
}

/// A stub with one selected pod `a` and one other, and a folder with the kubeconfig for it.
async fn stub() -> (Stub, TempDir) {
    let (stub, folder) = (Stub::new(), tempfile::tempdir().unwrap());
    stub.put("pods", "a", &json!({"log": "yes", "app": "x"}));
    stub.put("pods", "other", &json!({}));
    stub.serve(folder.path()).await;
    (stub, folder)
}

/// Rule: one list from the API server's memory and one watch, of this node's pods, of their metadata.
#[tokio::test]
async fn asks_for_no_more_than_is_needed() {
    let (stub, folder) = stub().await;
    let mut running = run(folder.path());
    let snapshot = running.until_collected(&["a"]).await;
    assert_eq!(snapshot.pods.len(), 2);
    assert_eq!(snapshot.pods["a"].labels["app"], "x");
    stub.put("pods", "b", &json!({"log": "yes"}));
    running.until_collected(&["a", "b"]).await;
    stub.put("pods", "a", &json!({"log": "no"}));
    running.until_collected(&["b"]).await;
    stub.delete("pods", "b");
    let snapshot = running.until("b is gone", |snapshot| !snapshot.pods.contains_key("b")).await;
    assert_eq!(snapshot.pods.len(), 2);
    let requests = stub.requests();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    assert!(requests.iter().all(|request| request.starts_with("/api/v1/pods?")), "{requests:#?}");
    assert!(requests.iter().all(|request| request.contains("fieldSelector=spec.nodeName%3Dn1")), "{requests:#?}");
    assert!(requests[0].contains("&resourceVersion=0") && !requests[0].contains("limit"), "{requests:#?}");
    assert!(requests[1].contains("watch=true") && requests[1].contains("resourceVersion=102"), "{requests:#?}");
    let accepted = stub.state.lock().unwrap().accepted.clone();
    assert!(accepted.iter().all(|accept| accept.contains("as=PartialObjectMetadata")), "{accepted:?}");
    running.stop().await;
}

/// Rule: a server that gives out whole pods is understood.
#[tokio::test]
async fn whole_pods_are_understood() {
    let (stub, folder) = stub().await;
    stub.set(|state| state.whole_objects = true);
    let mut running = run(folder.path());
    running.until_collected(&["a"]).await;
    stub.put("pods", "b", &json!({"log": "yes"}));
    running.until_collected(&["a", "b"]).await;
    running.stop().await;
}

/// Rule: after a connection that broke off the watch goes on where it was, without a new list; a bookmark
/// moves that place.
#[tokio::test]
async fn a_broken_watch_is_taken_up_where_it_was() {
    let (stub, folder) = stub().await;
    let mut running = run(folder.path());
    running.until_collected(&["a"]).await;
    stub.bookmark();
    stub.put("pods", "b", &json!({"log": "yes"}));
    running.until_collected(&["a", "b"]).await;
    stub.cut();
    stub.put("pods", "d", &json!({}));
    running.until("the watch stands again", |snapshot| snapshot.pods.contains_key("d")).await;
    assert_eq!(running.status.borrow().errors, 0, "a connection that ends is no error");

    stub.set(|state| state.fail = Some(("pods", 503, 2)));
    stub.cut();
    let status = running.until_status("the second failure", |status| status.errors == 2).await;
    assert!(status.trouble["pods"].contains("503 the stub says no"), "{status:?}");
    running.until_status("quiet, so it is well again", |status| status.trouble.is_empty()).await;
    stub.put("pods", "c", &json!({"log": "yes"}));
    running.until_collected(&["a", "b", "c"]).await;
    let requests = stub.requests();
    let lists = requests.iter().filter(|request| !request.contains("watch=true")).count();
    assert_eq!(lists, 1, "{requests:#?}");
    assert!(requests[2].contains("resourceVersion=153"), "{requests:#?}");
    assert!(requests[3..].iter().all(|request| request.contains("resourceVersion=154")), "{requests:#?}");
    running.stop().await;
}

/// Rule: 410 Gone, as an event and as a status, leads to a new list; what was deleted meanwhile is gone.
#[tokio::test]
async fn gone_leads_to_a_new_list() {
    for gone_as_status in [false, true] {
        let (stub, folder) = stub().await;
        let mut running = run(folder.path());
        running.until_collected(&["a"]).await;
        stub.set(|state| {
            state.gone_as_status = gone_as_status;
            state.fail = Some(("pods", 503, u32::MAX));
        });
        stub.cut();
        running.until_status("the API is down", |status| status.errors >= 2).await;
        stub.delete("pods", "a");
        stub.put("pods", "b", &json!({"log": "yes"}));
        stub.forget();
        assert_eq!(collected(&running.snapshots.borrow()), ["a"], "while the API is down what was known stays");
        stub.set(|state| state.fail = None);
        let snapshot = running.until_collected(&["b"]).await;
        assert!(!snapshot.pods.contains_key("a"));
        stub.put("pods", "c", &json!({"log": "yes"}));
        running.until_collected(&["b", "c"]).await;
        assert!(running.status.borrow().trouble.is_empty());
        running.stop().await;
    }
}

/// Rule: with the API down at the start the pods of the last run are used, marked as such, until it answers.
#[tokio::test]
async fn the_api_may_be_down_at_the_start() {
    let (stub, folder) = stub().await;
    let mut running = run(folder.path());
    running.until_collected(&["a"]).await;
    stub.put("pods", "b", &json!({"log": "yes"}));
    running.until_collected(&["a", "b"]).await;
    running.stop().await;

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    write_kubeconfig(folder.path(), address.port());
    let mut running = run(folder.path());
    let snapshot = running.until("the remembered pods", |snapshot| collected(snapshot) == ["a", "b"]).await;
    assert!(!snapshot.is_current);
    let status = running.until_status("the trouble is told", |status| status.errors >= 3).await;
    assert!(status.trouble["pods"].contains("onnection refused"), "{status:?}");
    stub.delete("pods", "a");
    stub.serve_on(tokio::net::TcpListener::bind(address).await.unwrap());
    running.until_collected(&["b"]).await;
    assert!(running.status.borrow().trouble.is_empty());
    running.stop().await;
}

/// Rule: a start with 500 and a damaged file of known pods: told, and gone on without.
#[tokio::test]
async fn a_bad_start_is_survived() {
    let (stub, folder) = stub().await;
    std::fs::write(folder.path().join("pods.zst"), "PENPODS1 torn").unwrap();
    stub.set(|state| state.fail = Some(("pods", 500, u32::MAX)));
    let mut running = run(folder.path());
    running.until_status("500 is told", |status| status.errors >= 7).await;
    assert!(running.snapshots.borrow().pods.is_empty());
    stub.set(|state| state.fail = None);
    running.until_collected(&["a"]).await;
    running.stop().await;
    let known = penstock::discovery::known::load(&folder.path().join("pods.zst"), "n1").unwrap().unwrap();
    assert_eq!(known.pods.len(), 2, "the damaged file was replaced");
}

/// Rule: 401 and 403 come with a remedy, and are over once the operator has mended them.
#[tokio::test]
async fn refusals_name_the_remedy() {
    for (code, remedy) in [(401, "check the token of the ServiceAccount"), (403, "list and watch on pods")] {
        let (stub, folder) = stub().await;
        stub.set(|state| state.fail = Some(("pods", code, u32::MAX)));
        let mut running = run(folder.path());
        let status = running.until_status("it is told", |status| status.errors >= 1).await;
        assert!(status.trouble["pods"].contains(remedy), "{status:?}");
        stub.set(|state| state.fail = None);
        running.until_collected(&["a"]).await;
        running.stop().await;
    }
}

/// Rule: no kubeconfig is trouble with a remedy, and is tried again.
#[tokio::test]
async fn a_missing_kubeconfig_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = run(folder.path());
    let status = running.until_status("it is told", |status| status.errors >= 2).await;
    assert!(status.trouble["pods"].contains("set KUBECONFIG"), "{status:?}");
    let stub = Stub::new();
    stub.put("pods", "a", &json!({"log": "yes"}));
    stub.serve(folder.path()).await;
    running.until_collected(&["a"]).await;
    running.stop().await;
}

/// Rule (CONTRACT 9): with `watch_namespaces` an opt-out label on the namespace counts, and nothing is
/// current before the namespaces are known.
#[tokio::test]
async fn excluded_namespaces_are_watched() {
    let (stub, folder) = stub().await;
    stub.set(|state| state.fail = Some(("namespaces", 403, u32::MAX)));
    let mut running = start(config(Discovery::Kubernetes { watch_namespaces: true }, folder.path()));
    running.until("the pods are known", |snapshot| snapshot.pods.len() == 2).await;
    let status = running.until_status("403 is told", |status| status.trouble.contains_key("namespaces")).await;
    assert!(status.trouble["namespaces"].contains("turn off `watch_namespaces`"), "{status:?}");
    assert!(!running.snapshots.borrow().is_current);
    stub.put("namespaces", "ns", &json!({"vector.dev/exclude": "true"}));
    stub.set(|state| state.fail = None);
    let snapshot = running.until("current", |snapshot| snapshot.is_current).await;
    assert!(!snapshot.pods["a"].collect);
    stub.delete("namespaces", "ns");
    running.until_collected(&["a"]).await;
    stub.put("namespaces", "ns", &json!({"penstock.io/exclude": "true"}));
    running.until_collected(&[]).await;
    running.stop().await;
}

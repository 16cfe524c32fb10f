//! The Kubernetes API: whether it answers, and whether we may list and watch this node's pods.
//!
//! In: the API's answers, or the file of `discovery.static`. Out: findings. Never: a pod's content printed.

use super::ANSWER_TIMEOUT;
use super::finding::{Finding, chain};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, Error};
use std::path::Path;
use tokio::time::timeout;

const WHAT: &str = "kubernetes";
const REACH: &str = "run in a cluster with a service account, or set KUBECONFIG, or use discovery.static";

/// Asks the API.
pub(super) async fn examine(node: &str, watch_namespaces: bool) -> Vec<Finding> {
    match timeout(ANSWER_TIMEOUT, ask(node, watch_namespaces)).await {
        Ok(findings) => findings,
        Err(_) => {
            let detail = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
            vec![Finding::fail(WHAT, detail, "is the API server's address reachable from this node?")]
        }
    }
}

async fn ask(node: &str, watch_namespaces: bool) -> Vec<Finding> {
    let client = match Client::try_default().await {
        Ok(client) => client,
        Err(error) => return vec![Finding::fail(WHAT, format!("no way to the API: {}", chain(&error)), REACH)],
    };
    let page = ListParams::default().limit(1).fields(&format!("spec.nodeName={node}"));
    let listed = match Api::<Pod>::all(client.clone()).list(&page).await {
        Ok(list) if list.items.is_empty() => {
            let remedy = "is node_name the name that `kubectl get nodes` shows?";
            Finding::warn(WHAT, format!("the API answers, but knows no pod of node {node}"), remedy)
        }
        Ok(_) => Finding::ok(WHAT, format!("the API lists pods of node {node}")),
        Err(error) => refused(&error),
    };
    let mut findings = vec![listed];
    for (verb, resource) in [("list", "namespaces"), ("watch", "namespaces"), ("watch", "pods")] {
        if resource == "pods" || watch_namespaces {
            findings.extend(right(&client, verb, resource).await);
        }
    }
    findings
}

fn refused(error: &Error) -> Finding {
    let why = match error {
        Error::Api(status) => format!("{} {}", status.code, status.message),
        other => chain(other),
    };
    let detail = format!("listing pods: {why}");
    let remedy = match error {
        Error::Api(status) if status.code == 401 => "the token is refused: renew the service account or KUBECONFIG",
        Error::Api(status) if status.code == 403 => {
            "give the service account a ClusterRole with get, list, watch on pods, and bind it"
        }
        Error::Api(_) => "see the API server's own log",
        _ => REACH,
    };
    Finding::fail(WHAT, detail, remedy)
}

/// What the API says we may do; nothing where it does not say.
async fn right(client: &Client, verb: &str, resource: &str) -> Option<Finding> {
    let attributes =
        ResourceAttributes { verb: Some(verb.to_owned()), resource: Some(resource.to_owned()), ..Default::default() };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let answer =
        Api::<SelfSubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await.ok()?;
    let status = answer.status?;
    if status.allowed {
        return Some(Finding::ok(WHAT, format!("may {verb} {resource}")));
    }
    let why = status.reason.filter(|reason| !reason.is_empty()).map(|reason| format!(": {reason}")).unwrap_or_default();
    let remedy = format!("give the service account a ClusterRole with {verb} on {resource}, and bind it");
    Some(Finding::fail(WHAT, format!("may not {verb} {resource}{why}"), remedy))
}

/// Looks into the file of `discovery.static`.
pub(super) fn examine_static(path: &Path) -> Finding {
    let shown = path.display();
    match std::fs::read(path) {
        Ok(bytes) => match count(&bytes) {
            Ok(pods) => Finding::ok(WHAT, format!("discovery.static: {shown} holds {pods} pods")),
            Err(why) => Finding::fail(
                WHAT,
                format!("discovery.static: {shown}: {why}"),
                "write the output of `kubectl get pods -A -o json` there",
            ),
        },
        Err(error) => {
            Finding::fail(WHAT, format!("discovery.static: {shown}: {error}"), "check the path and the file's rights")
        }
    }
}

fn count(bytes: &[u8]) -> Result<usize, String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
    let items = value.get("items").and_then(|items| items.as_array()).ok_or("no list `items` in it")?;
    match items.iter().find(|item| item.pointer("/metadata/uid").and_then(|uid| uid.as_str()).is_none()) {
        Some(_) => Err("an item without metadata.uid in it".to_owned()),
        None => Ok(items.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn the_static_file_must_be_a_list_of_pods() {
        assert_eq!(count(br#"{"kind":"List","items":[{"metadata":{"uid":"u"}}]}"#), Ok(1));
        assert_eq!(count(br#"{"items":[]}"#), Ok(0));
        assert!(count(b"{").unwrap_err().starts_with("not JSON: "));
        assert!(count(b"[]").is_err() && count(br#"{"items":[{}]}"#).is_err());
        assert_eq!(examine_static(Path::new("/no/such/pods.json")).level, Level::Fail);
    }
}

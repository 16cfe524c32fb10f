//! Sample pods, and the output of `kubectl get pods -o json` for them.
//!
//! In: names and labels. Out: JSON, and the folders that the kubelet would give them. Never: a cluster.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SamplePod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID, also in the log path.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Container names.
    pub containers: Vec<String>,
}

impl SamplePod {
    /// A pod of namespace `demo` with one container `main`, and a UID made from its name.
    #[must_use]
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Self {
        let hash = u128::from(crate::ledger::line_hash(name.as_bytes())) << 64 | 0x4000_8000_0000_0000;
        let hex = format!("{hash:032x}");
        let uid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        Self {
            namespace: "demo".into(),
            name: name.into(),
            uid,
            labels: labels.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect(),
            annotations: BTreeMap::new(),
            containers: vec!["main".into()],
        }
    }

    /// `PODS/NS_POD_UID`
    #[must_use]
    pub fn log_folder(&self, pods_root: &Path) -> PathBuf {
        pods_root.join(format!("{}_{}_{}", self.namespace, self.name, self.uid))
    }

    /// The name under which the tally knows a container's lines: `POD/CONTAINER`.
    #[must_use]
    pub fn source(&self, container: &str) -> String {
        format!("{}/{container}", self.name)
    }

    fn object(&self, node_name: &str) -> Value {
        let containers: Vec<_> =
            self.containers.iter().map(|name| json!({"name": name, "image": "local/app:1"})).collect();
        let statuses: Vec<_> = self
            .containers
            .iter()
            .map(|name| {
                json!({
                    "name": name, "image": "local/app:1", "ready": true, "started": true, "restartCount": 0,
                    "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                })
            })
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": self.name, "namespace": self.namespace, "uid": self.uid, "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": self.labels, "annotations": self.annotations,
            },
            "spec": {"nodeName": node_name, "containers": containers},
            "status": {"phase": "Running", "containerStatuses": statuses},
        })
    }
}

/// What `kubectl get pods -o json` prints.
#[must_use]
pub fn kubectl_json(pods: &[SamplePod], node_name: &str) -> String {
    let items: Vec<_> = pods.iter().map(|pod| pod.object(node_name)).collect();
    format!("{:#}\n", json!({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_holds_what_a_reader_of_pods_needs() {
        let pod = SamplePod::new("gw-0", &[("app.kubernetes.io/name", "aigateway")]);
        let list: Value = serde_json::from_str(&kubectl_json(std::slice::from_ref(&pod), "n1")).unwrap();
        let item = &list["items"][0];
        assert_eq!(item["metadata"]["uid"], pod.uid.as_str());
        assert_eq!(item["metadata"]["labels"]["app.kubernetes.io/name"], "aigateway");
        assert_eq!(item["spec"]["nodeName"], "n1");
        assert_eq!(pod.uid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(pod.log_folder(Path::new("/p")), Path::new("/p").join(format!("demo_gw-0_{}", pod.uid)));
    }
}

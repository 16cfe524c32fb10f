//! A manifest held against Kubernetes' own types: nothing in it that its kind does not know, every value of its type.
//!
//! In: YAML as helm prints it. Out: JSON values, and for each what is wrong. Never: a kind that is taken as it is without having
//! been listed here.

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Kinds of the Prometheus operator, whose types are not Kubernetes' own.
const OPERATORS: [&str; 2] = ["PodMonitor", "PrometheusRule"];

/// The documents of a YAML text; empty ones are left out.
///
/// # Errors
/// It is not YAML.
pub fn read(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("reading what helm printed")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Holds a manifest against the type of its kind.
///
/// # Errors
/// A field that the kind does not know, a value of another type, a kind that is not listed here.
pub fn check(manifest: &Value) -> Result<()> {
    let kind = manifest["kind"].as_str().context("a manifest without a kind")?;
    let name = manifest["metadata"]["name"].as_str().context("a manifest without a name")?;
    let checked = match kind {
        "ClusterRole" => same::<ClusterRole>(manifest),
        "ClusterRoleBinding" => same::<ClusterRoleBinding>(manifest),
        "ConfigMap" => same::<ConfigMap>(manifest),
        "DaemonSet" => same::<DaemonSet>(manifest),
        "Deployment" => same::<Deployment>(manifest),
        "Job" => same::<Job>(manifest),
        "PersistentVolumeClaim" => same::<PersistentVolumeClaim>(manifest),
        "Pod" => same::<Pod>(manifest),
        "Role" => same::<Role>(manifest),
        "RoleBinding" => same::<RoleBinding>(manifest),
        "Secret" => same::<Secret>(manifest),
        "Service" => same::<Service>(manifest),
        "ServiceAccount" => same::<ServiceAccount>(manifest),
        "StatefulSet" => same::<StatefulSet>(manifest),
        _ if OPERATORS.contains(&kind) => Ok(()),
        _ => bail!("{kind} {name}: this kind is not listed in bench/src/charts/manifest.rs"),
    };
    checked.with_context(|| format!("{kind} {name}"))
}

/// Read into the type and written again, nothing may be gone.
fn same<T: DeserializeOwned + Serialize>(manifest: &Value) -> Result<()> {
    let typed: T = serde_json::from_value(manifest.clone())?;
    let again = serde_json::to_value(typed)?;
    let mut gone = Vec::new();
    missing(manifest, &again, "", &mut gone);
    if gone.is_empty() { Ok(()) } else { bail!("not known to Kubernetes: {}", gone.join(", ")) }
}

/// Paths of what stands in `wanted` and not in `found`. What is empty or null may be left out.
fn missing(wanted: &Value, found: &Value, path: &str, gone: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), found) => {
            for (key, value) in wanted {
                missing(value, &found[key.as_str()], &format!("{path}.{key}"), gone);
            }
        }
        (Value::Array(wanted), found) => {
            for (index, value) in wanted.iter().enumerate() {
                missing(value, &found[index], &format!("{path}[{index}]"), gone);
            }
        }
        (Value::Null, _) => {}
        (_, found) if found.is_null() => gone.push(path.trim_start_matches('.').to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> String {
        let manifests = read(text).unwrap();
        match check(&manifests[0]) {
            Ok(()) => String::new(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_field_in_the_wrong_place_is_named() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostPID: true\n  containers:\n  - name: b\n    hostPID: true\n";
        assert_eq!(checked(text), "Pod a: not known to Kubernetes: spec.containers[0].hostPID");
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let text = "kind: Pod\nmetadata: {name: a}\nspec:\n  hostPID: \"true\"\n  containers: []\n";
        assert!(checked(text).contains("invalid type: string \"true\", expected a boolean"), "{}", checked(text));
    }

    #[test]
    fn what_is_right_passes_and_unknown_kinds_do_not() {
        assert_eq!(
            checked("---\n# nothing\n---\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n"),
            ""
        );
        assert!(checked("kind: Gadget\nmetadata: {name: a}\n").contains("not listed"));
    }
}

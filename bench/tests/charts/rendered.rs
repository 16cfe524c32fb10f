//! What helm makes of good values.

use super::{alone, files, is_left_out, name, stack};
use penstock_bench::charts::{self, Release, manifest};
use serde_json::Value;
use std::path::Path;

fn check(release: &Release, file: &Path) -> Vec<Value> {
    let manifests = release.manifests().unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
    for each in &manifests {
        manifest::check(each).unwrap_or_else(|error| panic!("{}: {error:#}", file.display()));
    }
    manifests
}

#[test]
fn helm_has_nothing_to_say_against_the_charts() {
    if is_left_out() {
        return;
    }
    for file in files("values") {
        alone(&file).helm(&["lint", "--strict", "--quiet"]).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    for file in files("values-stack") {
        stack(folder.path(), &file).helm(&["lint", "--quiet"]).unwrap();
    }
}

#[test]
fn every_manifest_is_of_the_type_of_its_kind() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for file in files("values") {
        assert!(check(&alone(&file), &file).iter().any(|manifest| manifest["kind"] == "DaemonSet"), "{file:?}");
    }
    for file in files("values-stack") {
        check(&stack(folder.path(), &file), &file);
    }
}

/// Reviewed by eye when they change: `INSTA_UPDATE=always cargo test --package penstock-bench --test charts`.
#[test]
fn the_usual_manifests_are_those_of_the_snapshots() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for file in files("values")
        .iter()
        .filter(|file| ["default", "least-privilege", "file-only", "host-network"].contains(&&*name(file)))
    {
        insta::assert_snapshot!(format!("penstock-{}", name(file)), alone(file).text().unwrap());
    }
    let file = charts::folder().join("tests/values-stack/default.yaml");
    insta::assert_snapshot!("penstock-stack-default", stack(folder.path(), &file).text().unwrap());
}

#[test]
fn services_have_the_names_that_the_agent_and_loki_are_told_whatever_the_release() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = charts::folder().join("tests/values-stack/default.yaml");
    for release in ["mif", "my-loki", "x"] {
        let stack = Release { name: release.into(), ..stack(folder.path(), &file) };
        let manifests = check(&stack, &file);
        let of = |kind: &'static str| manifests.iter().filter(move |manifest| manifest["kind"] == kind);
        let services: Vec<_> = of("Service").filter_map(|service| service["metadata"]["name"].as_str()).collect();
        let config = of("ConfigMap").find_map(|map| map["data"]["penstock.yaml"].as_str()).unwrap();
        let url = config.lines().find_map(|line| line.trim().strip_prefix("url: http://")).unwrap();
        assert!(services.contains(&url), "the agent is told {url}, which is not among {services:?}");
        let minio = format!("{release}-minio");
        assert!(services.contains(&minio.as_str()), "{minio} is not among {services:?}");
        if release == "mif" {
            for part in ["mif-loki-gateway", "mif-loki-read", "mif-loki-write"] {
                assert!(services.contains(&part), "{part} is not among {services:?}");
            }
        }
    }
}

/// One as a parent chart has it, of which the overlay is for.
#[test]
fn the_overlay_puts_the_agent_in_vectors_place() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().join("moai-inference-framework");
    std::fs::create_dir_all(parent.join("charts")).unwrap();
    let chart = "apiVersion: v2\nname: moai-inference-framework\nversion: 0.0.0\ndependencies:\n- {name: penstock, \
                 version: 0.1.0, repository: \"file://../penstock\", condition: penstock.enabled}\n";
    std::fs::write(parent.join("Chart.yaml"), chart).unwrap();
    std::os::unix::fs::symlink(charts::folder().join("penstock"), parent.join("charts/penstock")).unwrap();
    let overlay = charts::folder().join("moai-overlay.yaml");
    let release = Release { chart: parent, ..alone(&overlay) };
    let manifests = check(&release, &overlay);
    assert!(manifests.iter().any(|manifest| manifest["kind"] == "DaemonSet"));
    assert!(release.text().unwrap().contains("http://mif-loki-gateway"));
    let values: Value = manifest::read(&std::fs::read_to_string(&overlay).unwrap()).unwrap().remove(0);
    assert_eq!(values["vector"]["enabled"], false);
}

//! What the chart tells the agent, held against what the program really takes.

use super::{alone, files, is_left_out};
use clap::Parser as _;
use penstock::cli::{Arguments, Command};
use penstock::config::{self, Config};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// One rendered pod, and the configuration that it is given.
struct Rendered {
    pod: Value,
    config: Config,
}

fn rendered(file: &Path) -> Rendered {
    let manifests = alone(file).manifests().unwrap();
    let of = |kind: &str| manifests.iter().find(|manifest| manifest["kind"] == kind).unwrap();
    let pod = of("DaemonSet")["spec"]["template"]["spec"].clone();
    let yaml = of("ConfigMap")["data"]["penstock.yaml"].as_str().unwrap();
    let names: BTreeMap<_, _> = pod["containers"][0]["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| (variable["name"].as_str().unwrap().to_owned(), OsString::from("a-node")))
        .collect();
    let config = config::read(yaml, &|name| names.get(name).cloned());
    Rendered { pod, config: config.unwrap_or_else(|errors| panic!("{}: {errors}", file.display())) }
}

#[test]
fn arguments_ports_and_probes_are_those_of_the_program() {
    if is_left_out() {
        return;
    }
    for file in files("values") {
        let Rendered { pod, config } = rendered(&file);
        let container = &pod["containers"][0];
        let given = container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
        let arguments = Arguments::try_parse_from(std::iter::once("penstock").chain(given.clone())).unwrap();
        let Command::Run { config: path, grace } = arguments.command else { panic!("{file:?}: it does not run") };
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > grace, "{file:?}");
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().any(|mount| path.starts_with(mount["mountPath"].as_str().unwrap())), "{file:?}");
        assert_eq!(container["ports"][0]["containerPort"], u64::from(config.admin.port()), "{file:?}");
        for (probe, page) in
            [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
        {
            assert_eq!(container[probe]["httpGet"]["path"], page, "{file:?}");
            assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"], "{file:?}");
        }
    }
}

#[test]
fn what_the_agent_reads_and_writes_is_mounted_so() {
    if is_left_out() {
        return;
    }
    for file in files("values") {
        let Rendered { pod, config } = rendered(&file);
        let container = &pod["containers"][0];
        let mount_of = |folder: &Path| {
            let mounts = container["volumeMounts"].as_array().unwrap();
            let mount = mounts.iter().find(|mount| mount["mountPath"].as_str() == folder.to_str());
            let mount = mount.unwrap_or_else(|| panic!("{file:?}: {} is not mounted", folder.display()));
            let volume =
                pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            assert_eq!(volume["hostPath"]["path"].as_str(), folder.to_str(), "links in it are absolute");
            mount["readOnly"].as_bool().unwrap_or(false)
        };
        assert!(!mount_of(&config.data_dir), "{file:?}");
        assert!(mount_of(&config.log_dir), "{file:?}");
        let asks_kernel = config.capture != config::Capture::File;
        assert_eq!(pod["hostPID"].as_bool().unwrap_or(false), asks_kernel, "{file:?}");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["runAsUser"], 0);
    }
}

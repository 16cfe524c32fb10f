//! Dashboards and alerts: every metric in them is one that the agent has, every expression one that Prometheus takes.

use penstock_bench::charts;
use penstock_bench::tools::Tool;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

fn file(name: &str) -> PathBuf {
    charts::folder().with_file_name("grafana").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// Names of series, as `docs/metrics.md` has them, which a test of the agent holds against what it exports.
fn exported() -> BTreeSet<String> {
    let docs = include_str!("../../../docs/metrics.md");
    let row = Regex::new(r"^\| `(penstock_[a-z_]+)` \| (\w+) \|").unwrap();
    let rows = docs.lines().filter_map(|line| row.captures(line));
    rows.flat_map(|row| {
        let endings: &[_] = if &row[2] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        endings.iter().map(|ending| format!("{}{ending}", &row[1])).collect::<Vec<_>>()
    })
    .collect()
}

/// All expressions of a dashboard's panels.
fn expressions(dashboard: &str) -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&text(dashboard)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_metric_is_one_that_the_agent_has() {
    let have = exported();
    assert!(have.len() > 30, "{have:?}");
    let name = Regex::new(r"\bpenstock_[a-z_]+").unwrap();
    for each in ["penstock.json", "alerts.yaml", "alerts_test.yaml"] {
        let text = text(each);
        let unknown: BTreeSet<_> =
            name.find_iter(&text).map(|name| name.as_str()).filter(|name| !have.contains(*name)).collect();
        assert!(unknown.is_empty(), "{each} has metrics that the agent has not: {unknown:?}");
    }
}

#[test]
fn every_alert_leads_to_a_heading_that_is_there() {
    let docs = include_str!("../../../docs/troubleshooting.md");
    let anchors: BTreeSet<_> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| {
            heading.to_lowercase().replace(|c: char| !c.is_alphanumeric() && c != ' ' && c != '-', "").replace(' ', "-")
        })
        .collect();
    let link = Regex::new(r"docs/troubleshooting\.md#([a-z0-9-]+)").unwrap();
    let alerts = text("alerts.yaml");
    let wanted: Vec<_> = link.captures_iter(&alerts).map(|link| link[1].to_owned()).collect();
    assert_eq!(wanted.len(), alerts.matches("- alert:").count(), "each alert has a runbook");
    for anchor in wanted {
        assert!(anchors.contains(&anchor), "#{anchor} is not in docs/troubleshooting.md: {anchors:?}");
    }
}

#[test]
fn prometheus_takes_every_expression_and_the_alerts_fire_as_they_should() {
    let Some(promtool) = Tool::Promtool.find() else { return };
    let run = |args: &[&str], path: PathBuf| {
        let output = Command::new(&promtool).args(args).arg(path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    };
    run(&["check", "rules"], file("alerts.yaml"));
    run(&["test", "rules"], file("alerts_test.yaml"));
    // As rules, because promtool has no other way to look at an expression; Grafana puts the variables in.
    let rules: Vec<_> = expressions("penstock.json")
        .iter()
        .map(|expression| {
            expression.replace("$__rate_interval", "5m").replace("$__range", "1h").replace("$__interval", "1m")
        })
        .enumerate()
        .map(|(number, expression)| json!({"record": format!("panel:{number}"), "expr": expression}))
        .collect();
    assert!(rules.len() > 20);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, json!({"groups": [{"name": "panels", "rules": rules}]}).to_string()).unwrap();
    run(&["check", "rules"], path);
}

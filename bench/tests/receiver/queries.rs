//! The searches of the manual and of the dashboard of logs, each run over lines as the agent sends them.

#![expect(clippy::unwrap_used, reason = "a test's client: what fails here fails the test")]

use crate::client::{NOW, S, get, push, start, stream};
use penstock_bench::receiver::Receiver;
use penstock_bench::receiver::wire::{Entry, Stream};
use serde_json::Value;

const QUERIES: &str = include_str!("../../../docs/query.md");
const MOVE: &str = include_str!("../../../docs/move-from-vector.md");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/logs.json");
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The blocks of a page that are marked as queries.
fn blocks(page: &str) -> Vec<String> {
    let block = |rest: &str| rest.split("```").next().map(|query| query.trim().to_owned());
    page.split("```logql\n").skip(1).filter_map(block).collect()
}

/// Labels and structured metadata as the built-in configuration makes them, of pods as the manual has them in its examples.
fn sent() -> Vec<Stream> {
    let pods = r#"namespace="mif", node_name="gpu-node-1", inference_service="llama", pool_name="pool-a""#;
    let labels = |more: &str| format!("{{{pods}, {more}}}");
    let at = |seconds: i64, pod: &str, trace: &str, line: &str| {
        let metadata = [("container", "main"), ("pod", pod), ("trace_id", trace)];
        let metadata = if trace.is_empty() { &metadata[..2] } else { &metadata[..] };
        Entry::new(NOW - seconds * S, line.to_owned(), metadata)
    };
    let text = |seconds, line: &str| at(seconds, "vllm-decode-0", "", line);
    let gateway = |seconds, level: &str, message: &str| {
        let line = format!(
            r#"{{"timestamp":"2026-11-22T13:46:38Z","level":"{level}","target":"aigateway::proxy::http","message":"{message}","request_id":"req-1","trace_id":"{TRACE}"}}"#
        );
        at(seconds, "aigateway-0", TRACE, &line)
    };
    let picked = r#"{"timestamp":"2026-11-22T13:46:38Z","level":"INFO","message":"endpoint picked","role":"user"}"#;
    let heimdall = |seconds, line: &str| at(seconds, "heimdall-0", "", line);
    vec![
        stream(
            &labels(r#"app="vllm", role="decode""#),
            vec![
                text(60, "ERROR 11-22 13:46:38 engine.py: CUDA out of memory"),
                text(59, "Traceback (most recent call last):"),
                text(58, "preempted req-1"),
                text(57, "xxx …[truncated 300000 bytes]"),
            ],
        ),
        stream(&labels(r#"app="aigateway", level="ERROR""#), vec![gateway(60, "ERROR", "upstream failed")]),
        stream(&labels(r#"app="aigateway", level="DEBUG""#), vec![gateway(59, "DEBUG", "request begins")]),
        stream(&labels(r#"app="heimdall", level="INFO", role="scheduler""#), vec![heimdall(60, picked)]),
        stream(&labels(r#"app="heimdall""#), vec![heimdall(59, "panic: not JSON")]),
        stream(r#"{namespace="mif", node_name="gpu-node-1", app="vllm", shipper="penstock"}"#, vec![text(56, "moved")]),
    ]
}

/// How many streams or samples a query finds.
async fn found(receiver: &Receiver, query: &str) -> usize {
    let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let answer = get(receiver, &format!("/loki/api/v1/query?query={encoded}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    serde_json::from_str::<Value>(&answer.body).unwrap()["data"]["result"].as_array().unwrap().len()
}

#[tokio::test]
async fn every_search_of_the_manual_finds_what_it_is_for() {
    let (receiver, _) = start(|_| {}).await;
    assert_eq!(push(&receiver, sent()).await.status, 204);
    let queries = blocks(QUERIES);
    assert!(queries.len() > 30, "{queries:?}");
    for query in queries {
        assert!(found(&receiver, &query).await > 0, "{query} finds nothing");
    }
}

#[tokio::test]
async fn the_searches_of_the_move_are_understood() {
    let (receiver, _) = start(|_| {}).await;
    assert_eq!(push(&receiver, sent()).await.status, 204);
    for query in blocks(MOVE) {
        // There is no such label any more: that is what the page says of it.
        let is_gone = query.contains("<null>");
        assert_eq!(found(&receiver, &query).await == 0, is_gone, "{query}");
    }
}

#[tokio::test]
async fn every_panel_of_the_dashboard_of_logs_shows_something() {
    let (receiver, _) = start(|_| {}).await;
    assert_eq!(push(&receiver, sent()).await.status, 204);
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let mut count = 0;
    for target in targets {
        // As Grafana puts them in: all values, no search.
        let mut query = target["expr"].as_str().unwrap().replace("$__interval", "5m").replace("$__range", "1h");
        for label in ["namespace", "inference_service", "pool_name", "role", "app", "level"] {
            let all = if label == "namespace" { ".+" } else { ".*" };
            query = query.replace(&format!("=~\"${label}\""), &format!("=~\"{all}\""));
        }
        let query = query.replace("$search", "").replace("$request_id", "req-1");
        assert!(!query.contains('$'), "{query}");
        assert!(found(&receiver, &query).await > 0, "{query} finds nothing");
        count += 1;
    }
    assert!(count > 10, "{count} panels");
}

//! What is exported is what is documented, in a form that Prometheus reads.

use super::label::{DropReason, Source};
use super::{Metrics, Row, TABLE};
use std::time::Duration;

const DOCS: &str = include_str!("../../../docs/metrics.md");

fn documented(row: &Row) -> String {
    let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {} | {} | {} | {} |", row.name, row.kind, row.unit, labels.join(", "), row.help)
}

#[test]
fn docs_list_every_metric_and_no_other() {
    let want: Vec<String> = TABLE.iter().map(documented).collect();
    let have: Vec<&str> = DOCS.lines().filter(|line| line.starts_with("| `penstock_")).collect();
    assert_eq!(have, want, "docs/metrics.md wants these lines:\n{}", want.join("\n"));
}

#[test]
fn docs_name_every_reason_of_a_refusal() {
    for reason in crate::send::answer::refusals::REASONS {
        assert!(DOCS.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn every_metric_is_exported_under_its_name() {
    let metrics = Metrics::default();
    metrics.handover.add(&["file", "gap"], 1);
    metrics.refused_entries.add(&["too_old"], 1);
    metrics.push_requests.add(&["204"], 1);
    let text = metrics.encode();
    for Row { name, kind, labels, .. } in TABLE {
        let sample = if *kind == "histogram" { format!("{name}_count ") } else { (*name).to_owned() };
        let line = text.lines().find(|line| line.starts_with(&sample));
        let line = line.unwrap_or_else(|| panic!("no sample of {name} in\n{text}"));
        for label in *labels {
            assert!(line.contains(&format!("{label}=\"")), "{line}");
        }
        assert!(text.contains(&format!("# TYPE {} {kind}\n", name.trim_end_matches("_total"))), "{name}");
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_dashboards_need_stands_at_zero_and_then_counts() {
    let metrics = Metrics::default();
    assert!(metrics.encode().contains("penstock_lines_total{source=\"file\"} 0\n"), "{}", metrics.encode());
    metrics.lines.add(Source::File, 3);
    metrics.lines.add(Source::File, 4);
    metrics.dropped_bytes.add(DropReason::NoMetadata, 5);
    metrics.backlog_bytes.set(6);
    metrics.delivery_lag_seconds.observe(Duration::from_millis(20));
    let text = metrics.encode();
    for line in [
        "penstock_lines_total{source=\"file\"} 7\n",
        "penstock_lines_total{source=\"ebpf\"} 0\n",
        "penstock_dropped_bytes_total{reason=\"no_metadata\"} 5\n",
        "penstock_backlog_bytes 6\n",
        "penstock_delivery_lag_seconds_bucket{le=\"0.025\"} 1\n",
        "penstock_delivery_lag_seconds_bucket{le=\"0.01\"} 0\n",
        "penstock_delivery_lag_seconds_sum 0.02\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn two_sets_in_one_process_are_apart() {
    let (one, other) = (Metrics::default(), Metrics::default());
    one.cut_lines.add(2);
    assert_eq!((one.cut_lines.get(), other.cut_lines.get()), (2, 0));
}

#[test]
fn no_sample_is_written_twice() {
    let text = Metrics::default().encode();
    let mut names: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

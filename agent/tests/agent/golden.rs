//! The golden cases once more, end to end: their lines in log files, the agent, and what the receiver stored.
//!
//! Loki takes no time that is long past or to come, so all times are moved by one whole number of seconds. Each case
//! has a namespace of its own, so that cases with equal labels do not meet.

#[path = "../golden/reader.rs"]
mod reader;

use super::world::{World, append};
use penstock_bench::clock;
use penstock_bench::pods::SamplePod;
use reader::{Case, Entry};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// 2026-08-22T10:00:01Z, which becomes now.
const LAST_S: i64 = 1_787_392_801;
/// How the times of the cases begin: written, and as numbers.
const DAY: &str = "2026-08-22T";
const NUMBER: &str = "1787392800";

#[test]
fn every_case_arrives_as_written() {
    super::together(&[("compact", || play(false)), ("envelope", || play(true))]);
}

fn play(is_envelope: bool) {
    let shift_s = clock::wall_ns() / 1_000_000_000 - LAST_S;
    let cases: Vec<_> = reader::cases().into_iter().enumerate().filter(|c| c.1.is_envelope == is_envelope).collect();
    let mut world = World::new();
    world.settings.more = format!("line: {}\n", if is_envelope { "envelope" } else { "compact" });
    for (number, case) in &cases {
        let pod = SamplePod {
            namespace: format!("ns-{number}"),
            name: "p-0".into(),
            uid: SamplePod::new(&format!("case-{number}"), &[]).uid,
            labels: case.pod_labels.clone(),
            containers: vec!["c".into()],
            ..SamplePod::default()
        };
        let pod = world.add_pod(pod);
        let raw: String = case.raw.iter().map(|line| moved(line, shift_s) + "\n").collect();
        append(&world.logs(pod).join("0.log"), raw);
    }
    world.start();
    world.until_lines(cases.iter().map(|(_, case)| case.entries.len()).sum());
    assert!(world.stop().0.success());
    for (number, case) in &cases {
        let expected = expected(case, *number, shift_s);
        assert_eq!(by_labels(stored(&world, *number)), by_labels(expected), "{}", case.name);
    }
}

/// Order is kept within a label set.
fn by_labels(entries: Vec<Entry>) -> BTreeMap<BTreeMap<String, String>, Vec<Entry>> {
    let mut found: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        found.entry(entry.labels.clone()).or_default().push(entry);
    }
    found
}

fn stored(world: &World, number: usize) -> Vec<Entry> {
    let entries = world.receiver.entries(&format!("{{namespace=\"ns-{number}\"}}")).unwrap();
    let entry = |mut entry: penstock_bench::receiver::StoredEntry| {
        entry.labels.remove("service_name");
        Entry {
            labels: entry.labels,
            time_ns: entry.time_ns,
            line: String::from_utf8(entry.line.to_vec()).unwrap(),
            metadata: entry.structured_metadata.into_iter().collect(),
        }
    };
    entries.into_iter().map(entry).collect()
}

fn expected(case: &Case, number: usize, shift_s: i64) -> Vec<Entry> {
    let entry = |entry: &Entry| {
        let mut entry = entry.clone();
        entry.labels.insert("namespace".into(), format!("ns-{number}"));
        entry.time_ns += shift_s * 1_000_000_000;
        entry.line =
            moved(&entry.line, shift_s).replace("\"namespace\":\"ns\"", &format!("\"namespace\":\"ns-{number}\""));
        entry
    };
    case.entries.iter().map(entry).collect()
}

/// Every time of that day in a text, later by so much.
fn moved(text: &str, shift_s: i64) -> String {
    let mut parts = text.split(DAY);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (time, rest) = part.split_at("10:00:00".len());
        let then = humantime::parse_rfc3339(&format!("{DAY}{time}Z")).unwrap().duration_since(UNIX_EPOCH).unwrap();
        let then = Duration::from_secs(then.as_secs().checked_add_signed(shift_s).unwrap());
        let then = humantime::format_rfc3339_seconds(UNIX_EPOCH + then).to_string();
        out += then.strip_suffix('Z').unwrap();
        out += rest;
    }
    out.replace(NUMBER, &(NUMBER.parse::<i64>().unwrap() + shift_s).to_string())
}

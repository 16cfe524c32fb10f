//! The pods that write in a cluster, and what must arrive of each.
//!
//! In: an image with a shell. Out: manifests; later, a verdict a pod from what arrived. Never: a line that cannot be told from
//! the others of its pod: each has a number.

use crate::store::Store;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// What must have arrived of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Every line once.
    All,
    /// Every line as often as it was started.
    EachStart,
    /// Nothing.
    Nothing,
    /// The lines from the first on without a gap, each once: it was killed at some line.
    NoGap,
}

/// A pod.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its name, which stands in each of its lines.
    pub name: &'static str,
    labels: &'static [(&'static str, &'static str)],
    /// What stands before and behind the number of a line, as `sed` takes it, and in what arrives.
    line: (&'static str, &'static str),
    arrives: (&'static str, &'static str),
    /// Lines of a turn, turns, and seconds between them.
    turns: (u32, u32, &'static str),
    exit_code: u8,
    expect: Expect,
}

/// The one that is deleted while it writes.
pub const DELETED: &str = "deleted";
/// The one that ends with an error each time.
pub const CRASHING: &str = "crashing";
/// The one whose file is rotated.
pub const LONG: &str = "long";

const COLLECT: (&str, &str) = ("mif.moreh.io/log.collect", "true");
const LEVEL: &str = r#"{"level":"INFO","msg":"line "#;
const SENT_LEVEL: &str = r#"{"level":"INFO","message":"line "#;
const GATEWAY: &str = r#"{"level":"DEBUG","message":"line "#;
const REQUEST: &str = r#"","request_id":"r-1","trace_id":"0af7651916cd43dd8448eb211c80319c"}"#;
const FILLER: &str =
    " INFO:     10.0.0.183:36070 - \"POST /v1/chat/completions HTTP/1.1\" 200 OK, and so on to fill a line";

/// All of them.
pub const SAMPLES: &[Sample] = &[
    text("text", &[COLLECT], (1_000, 20, "1"), Expect::All),
    Sample {
        line: (LEVEL, "\"}"),
        arrives: (SENT_LEVEL, "\"}"),
        ..text("json", &[COLLECT, ("mif.moreh.io/log.format", "json")], (1_000, 20, "1"), Expect::All)
    },
    Sample {
        line: (GATEWAY, REQUEST),
        arrives: (GATEWAY, REQUEST),
        ..text("aigateway", &[("app.kubernetes.io/name", "aigateway")], (1_000, 20, "1"), Expect::All)
    },
    text("unlabelled", &[("app.kubernetes.io/name", "other")], (100, 5, "1"), Expect::Nothing),
    text(LONG, &[COLLECT], (2_000, 140, "0.4"), Expect::All),
    text("short", &[COLLECT], (50, 1, "0"), Expect::All),
    text(DELETED, &[COLLECT], (100, 600, "0.1"), Expect::NoGap),
    Sample { exit_code: 1, ..text(CRASHING, &[COLLECT], (100, 1, "0"), Expect::EachStart) },
];

const fn text(
    name: &'static str,
    labels: &'static [(&'static str, &'static str)],
    turns: (u32, u32, &'static str),
    expect: Expect,
) -> Sample {
    Sample { name, labels, line: ("line ", FILLER), arrives: ("line ", FILLER), turns, exit_code: 0, expect }
}

/// Those that end by themselves.
#[must_use]
pub fn ending() -> Vec<&'static str> {
    SAMPLES.iter().map(|sample| sample.name).filter(|name| ![DELETED, CRASHING].contains(name)).collect()
}

/// A list of the pods, in the network of the node: a test's cluster may have no other.
#[must_use]
pub fn manifests(image: &str) -> Value {
    let items: Vec<_> = SAMPLES.iter().map(|sample| sample.manifest(image)).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

impl Sample {
    fn manifest(&self, image: &str) -> Value {
        let labels: BTreeMap<_, _> = self.labels.iter().copied().collect();
        let restart = if self.exit_code == 0 { "Never" } else { "Always" };
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {
                "hostNetwork": true, "restartPolicy": restart, "terminationGracePeriodSeconds": 1,
                "tolerations": [{"operator": "Exists"}],
                "containers": [{
                    "name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sh", "-c", self.script()],
                }],
            },
        })
    }

    /// By `write`, some dozens of lines at once, as `sed` writes into a pipe.
    fn script(&self) -> String {
        let (lines, turns, pause) = self.turns;
        let (before, behind) = (escaped(self.line.0), escaped(self.line.1));
        format!(
            "turn=0; while [ $turn -lt {turns} ]; do seq $((turn * {lines})) $((turn * {lines} + {lines} - 1)) | \
             sed -e 's|^|{before}|' -e 's|$|{behind}|'; turn=$((turn + 1)); sleep {pause}; done; exit {}",
            self.exit_code
        )
    }

    fn lines(&self) -> u32 {
        self.turns.0 * self.turns.1
    }

    fn number(&self, line: &str) -> Option<u32> {
        line.strip_prefix(self.arrives.0)?.strip_suffix(self.arrives.1)?.parse().ok()
    }
}

/// For the replacement of `sed`'s `s|…|…|`, within single quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('&', "\\&").replace('|', "\\|").replace('\'', "'\\''")
}

/// What arrived: pod, number of the line, how often.
#[derive(Debug, Default)]
pub struct Arrived {
    counts: BTreeMap<String, BTreeMap<u32, u32>>,
    /// Lines that are none of the pod's.
    altered: BTreeMap<String, Vec<String>>,
}

/// How it went with one pod.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether what arrived is what must.
    pub holds: bool,
    words: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.holds { "" } else { "DID NOT HOLD: " }, self.words)
    }
}

impl Arrived {
    /// All that is stored now.
    #[must_use]
    pub fn read(store: &dyn Store) -> Self {
        let mut this = Self::default();
        store.each(&mut |entry| this.take(entry.source, &String::from_utf8_lossy(entry.line)));
        this
    }

    fn take(&mut self, source: &str, line: &str) {
        let pod = source.split('/').next().unwrap_or_default();
        let sample = SAMPLES.iter().find(|sample| sample.name == pod);
        match sample.and_then(|sample| sample.number(line)) {
            Some(number) => *self.counts.entry(pod.to_owned()).or_default().entry(number).or_default() += 1,
            None => self.altered.entry(pod.to_owned()).or_default().push(line.to_owned()),
        }
    }

    /// What must have arrived, beside what did; `restarts` is how often the crashing one was started again.
    #[must_use]
    pub fn verdict(&self, sample: &Sample, restarts: u32) -> Verdict {
        let none = BTreeMap::new();
        let counts = self.counts.get(sample.name).unwrap_or(&none);
        let altered = self.altered.get(sample.name).map_or(0, Vec::len);
        let (wanted, each) = match sample.expect {
            Expect::All => (sample.lines(), 1),
            Expect::EachStart => (sample.lines(), restarts + 1),
            Expect::Nothing => (0, 1),
            Expect::NoGap => (counts.keys().max().map_or(0, |last| last + 1), 1),
        };
        let of = |number: u32| counts.get(&number).copied().unwrap_or(0);
        let lost: u32 = (0..wanted).map(|number| each.saturating_sub(of(number))).sum();
        let doubled: u32 = counts.values().map(|count| count.saturating_sub(each)).sum();
        let arrived: u32 = counts.values().sum();
        let is_much = sample.expect != Expect::NoGap || arrived > 0;
        let beyond = counts.keys().filter(|number| **number >= wanted).count();
        let holds = lost == 0 && doubled == 0 && altered == 0 && beyond == 0 && is_much;
        let starts = if each > 1 { format!(" in {each} starts") } else { String::new() };
        let words = format!(
            "{} of {} lines arrived{starts}; lost {lost}, doubled {doubled}, altered {altered}",
            arrived,
            wanted * each
        );
        Verdict { holds, words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(pod: &str, lines: impl Iterator<Item = u32>) -> Arrived {
        let sample = SAMPLES.iter().find(|sample| sample.name == pod).unwrap();
        let mut arrived = Arrived::default();
        for number in lines {
            arrived.take(&format!("{pod}/main"), &format!("{}{number}{}", sample.arrives.0, sample.arrives.1));
        }
        arrived
    }

    fn holds(pod: &str, arrived: &Arrived, restarts: u32) -> bool {
        arrived.verdict(SAMPLES.iter().find(|sample| sample.name == pod).unwrap(), restarts).holds
    }

    #[test]
    fn a_line_too_few_or_too_many_is_seen() {
        assert!(holds("short", &arrived("short", 0..50), 0));
        assert!(!holds("short", &arrived("short", 1..50), 0));
        assert!(!holds("short", &arrived("short", (0..50).chain([7])), 0));
        assert!(!holds("short", &arrived("short", 0..51), 0));
        assert!(holds(CRASHING, &arrived(CRASHING, (0..100).chain(0..100)), 1));
        assert!(!holds(CRASHING, &arrived(CRASHING, 0..100), 1));
        assert!(holds(DELETED, &arrived(DELETED, 0..333), 0));
        assert!(!holds(DELETED, &arrived(DELETED, (0..333).filter(|n| *n != 5)), 0));
        assert!(!holds(DELETED, &Arrived::default(), 0));
        assert!(!holds("unlabelled", &arrived("unlabelled", 0..1), 0));
    }

    #[test]
    fn the_scripts_write_the_lines_that_are_looked_for() {
        for sample in SAMPLES.iter().filter(|sample| sample.turns.2 == "0") {
            let output = std::process::Command::new("sh").args(["-c", &sample.script()]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let numbers: Vec<_> = text.lines().map(|line| sample.number(line).unwrap()).collect();
            assert_eq!(numbers, (0..sample.lines()).collect::<Vec<_>>());
            assert_eq!(output.status.code(), Some(i32::from(sample.exit_code)));
        }
        let gateway = SAMPLES.iter().find(|sample| sample.name == "aigateway").unwrap();
        assert_eq!(gateway.number(&format!("{GATEWAY}12{REQUEST}")), Some(12));
    }
}

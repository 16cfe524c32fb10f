//! Whole pipelines over a real folder, with a clock that the tests move: pods that come late, or not at all.

mod ahead;
mod fellows;

use crate::metrics::Metrics;
use crate::metrics::label::{DropReason, Source};
use crate::pipeline::thread_limits::ThreadLimits;
use crate::pipeline::{Outside, Pipeline, Settings};
use crate::sources::file::FileSource;
use crate::sources::file::os::OsDisk;
use crate::types::pod::{Pod, PodSnapshot};
use crate::types::request::{Answer, Request};
use crate::types::saved::Recovered;
use crate::types::shard::Shard;
use crate::types::time::Now;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// 2026-08-22T10:00:00Z
const START_NS: i64 = 1_787_392_800_000_000_000;

#[derive(Default)]
struct Loki {
    open: Vec<Request>,
    got: Vec<u8>,
}

impl Outside for Loki {
    fn send(&mut self, request: Request) {
        self.got.extend(snap::raw::Decoder::new().decompress_vec(&request.body).unwrap());
        self.open.push(request);
    }
    fn is_journal_full(&self) -> bool {
        false
    }
    fn append_journal(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn begin_journal(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn save(&mut self, _: Vec<u8>, _: bool) {}
}

struct Node {
    folder: TempDir,
    metrics: Arc<Metrics>,
    pipeline: Pipeline<OsDisk>,
    loki: Loki,
    second: u64,
    /// The most memory held after a step.
    most: usize,
    snapshot: PodSnapshot,
}

impl Node {
    fn new() -> Self {
        Self::with("")
    }

    fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = crate::config::read(config, &|_| Some("n".into())).unwrap();
        let disk = OsDisk::new(folder.path(), &[]).unwrap();
        let source = FileSource::new(
            disk,
            folder.path().to_path_buf(),
            1 << 30,
            crate::types::saved::Positions::default(),
            false,
        );
        let metrics = Arc::new(Metrics::default());
        let recovered = Recovered::default();
        let settings = Settings::new(&config, Shard::WHOLE, 1);
        let thread_limits = ThreadLimits::new(config.loki.rate, config.loki.burst);
        let pipeline = Pipeline::new(settings, source, None, recovered, thread_limits, Arc::clone(&metrics));
        let snapshot = PodSnapshot { is_current: true, ..PodSnapshot::default() };
        Self { folder, metrics, pipeline, loki: Loki::default(), second: 0, most: 0, snapshot }
    }

    fn now(&self, ms: u64) -> Now {
        let mono = Duration::from_secs(self.second) + Duration::from_millis(ms);
        Now { wall_ns: START_NS + i64::try_from(mono.as_nanos()).unwrap(), mono }
    }

    fn path(&self, container: &str, file: &str) -> PathBuf {
        self.folder.path().join("ns_p_uid").join(container).join(file)
    }

    /// Writes a line; returns the bytes that it takes in the file.
    fn write(&self, container: &str, file: &str, content: &str) -> u64 {
        let path = self.path(container, file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let line = format!("2026-08-22T10:00:00.{:09}Z stdout F {content}\n", self.second);
        File::options().create(true).append(true).open(path).unwrap().write_all(line.as_bytes()).unwrap();
        line.len() as u64
    }

    fn pods(&mut self, pod: Option<Pod>) {
        self.snapshot.pods = pod.into_iter().map(|pod| (pod.log_uid.clone(), Arc::new(pod))).collect();
        self.pipeline.pods_changed(&self.snapshot, self.now(0));
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second += 1;
            for ms in [0, 2, 4, 6, 500] {
                let now = self.now(ms);
                self.pipeline.step(now, &mut self.loki);
                self.most = self.most.max(self.pipeline.memory_bytes());
                for request in std::mem::take(&mut self.loki.open) {
                    let (status, body, retry_after, took) = (204, String::new(), None, Duration::ZERO);
                    self.pipeline.answered(&Answer { id: request.id, status, body, retry_after, took }, now);
                }
            }
        }
    }

    /// Memory of each std stream's open line.
    fn joiners(&self) -> Vec<usize> {
        let ready = self.pipeline.containers.values().filter_map(|container| container.ready.as_ref());
        ready.flat_map(|ready| &ready.streams).map(|stream| stream.joiner.memory_bytes()).collect()
    }

    fn dropped(&self) -> (u64, u64) {
        (self.metrics.dropped_files.get(DropReason::NoMetadata), self.metrics.dropped_bytes.get(DropReason::NoMetadata))
    }

    fn has(&self, text: &str) -> bool {
        memchr::memmem::find(&self.loki.got, text.as_bytes()).is_some()
    }
}

fn pod() -> Pod {
    Pod {
        log_uid: "uid".to_owned(),
        namespace: "ns".to_owned(),
        name: "p".to_owned(),
        collect: true,
        json: true,
        labels: [("app.kubernetes.io/name".to_owned(), "a".to_owned())].into(),
        excluded_containers: Vec::new(),
    }
}

/// A line of 256 KiB and some in a runtime's parts, without its end.
fn write_long_line(node: &Node, container: &str) {
    for _ in 0..16 {
        let part = "x".repeat(16_384);
        node.write(container, "0.log", &part);
    }
    let path = node.path(container, "0.log");
    let parts = fs::read_to_string(&path).unwrap().replace(" F ", " P ");
    fs::write(path, parts).unwrap();
}

/// Rule: a lag of decades is a wrong clock's, and would hide all others in the sum.
#[test]
fn a_time_far_off_is_no_lag() {
    let mut node = Node::new();
    node.pods(Some(pod()));
    node.write("a", "0.log", "now");
    let path = node.path("a", "0.log");
    let mut file = File::options().append(true).open(path).unwrap();
    node.run(3);
    file.write_all(b"1969-12-31T00:00:00Z stdout F long ago\n").unwrap();
    node.run(3);
    assert!(node.has("long ago"));
    let text = node.metrics.encode();
    let sum = text.lines().find_map(|line| line.strip_prefix("penstock_delivery_lag_seconds_sum ")).unwrap();
    assert!(sum.parse::<f64>().unwrap() < 10.0, "{sum}");
}

/// Rule: memory is counted while it is held, and given back with the end of a line.
#[test]
fn open_lines_are_counted_as_they_are_held_and_nothing_is_kept_of_them() {
    let mut node = Node::with("memory_bytes_max: 8MiB");
    node.pods(Some(pod()));
    let names: Vec<String> = (0..40).map(|number| format!("c{number}")).collect();
    names.iter().for_each(|name| write_long_line(&node, name));
    node.run(3);
    let held: usize = node.joiners().iter().sum();
    assert_eq!(node.pipeline.open_bytes, held, "what is open is counted as it is held");
    assert!(held > 0 && held <= 2 << 20, "a quarter of the budget is for open lines, {held} are held");
    for name in &names {
        node.write(name, "0.log", "END");
    }
    node.run(60);
    assert_eq!(node.metrics.lines.get(Source::File), 40);
    assert_eq!((node.pipeline.open_bytes, node.joiners().iter().sum::<usize>()), (0, 0));
}

/// Rule: lines that were let go are read again only as there is room for them.
#[test]
fn long_lines_of_many_containers_stay_within_the_budget() {
    let mut node = Node::with("{memory_bytes_max: 8MiB, labels: {container: container.name}}");
    node.pods(Some(pod()));
    for number in 0..60 {
        let name = format!("c{number}");
        write_long_line(&node, &name);
        node.write(&name, "0.log", "END");
    }
    node.run(90);
    assert_eq!(node.metrics.lines.get(Source::File), 60);
    assert!(node.most <= 8 << 20, "{} bytes were held", node.most);
}

#[test]
fn every_container_of_a_pod_that_was_given_up_is_counted_and_what_is_counted_is_never_shipped() {
    let mut node = Node::new();
    node.pods(None);
    let mut bytes = node.write("a", "0.log", "early");
    node.run(60);
    bytes += node.write("b", "0.log", "a minute later");
    node.run(500);
    assert_eq!(node.dropped(), (0, 0), "ten minutes are not over");
    node.run(80);
    assert_eq!(node.dropped(), (2, bytes), "both, though only one has waited for so long");
    bytes += node.write("a", "0.log", "more");
    bytes += node.write("c", "0.log", "a container that comes later");
    bytes += node.write("c", "1.log", "and its restart");
    node.run(90);
    assert_eq!(node.dropped(), (4, bytes), "what comes later is counted, once");
    node.pods(Some(pod()));
    node.write("a", "0.log", "after all");
    node.run(40);
    assert!(node.has("after all"));
    for counted in ["early", "later", "more", "restart"] {
        assert!(!node.has(counted), "{counted} was counted as lost");
    }
    assert_eq!(node.dropped(), (4, bytes));
}

#[test]
fn a_pod_that_was_given_up_without_a_whole_line_is_counted_once() {
    let mut node = Node::new();
    node.pods(None);
    node.write("a", "0.log", "first");
    fs::create_dir_all(node.path("b", "")).unwrap();
    fs::write(node.path("b", "0.log"), "2026-08-22T10:00:00Z stdout F half").unwrap();
    node.run(800);
    assert_eq!(node.dropped().0, 2);
    let before = node.dropped().1;
    let rest = node.write("b", "0.log", "");
    node.run(40);
    assert_eq!(node.dropped(), (2, before + 34 + rest));
}

#[test]
fn a_container_that_is_not_excluded_any_more_begins_with_its_current_file() {
    let mut node = Node::new();
    for container in ["out", "in"] {
        node.write(container, "0.log.20260822-090000", &format!("{container} rotated"));
        node.write(container, "0.log", &format!("{container} current"));
    }
    node.pods(Some(Pod { excluded_containers: vec!["out".to_owned()], ..pod() }));
    node.run(15);
    assert!(node.has("in rotated") && node.has("in current") && !node.has("out "));
    node.pods(Some(pod()));
    node.run(15);
    assert!(node.has("out current"));
    assert!(!node.has("out rotated"), "as for a label that is added later");
    node.write("out", "1.log.20260822-090000", "out restarted, rotated");
    node.write("out", "1.log", "out restarted, current");
    node.run(45);
    assert!(node.has("out restarted, rotated") && node.has("out restarted, current"), "from then on all of it");
}

#[test]
fn levels_are_bounded_per_container_over_restarts_and_label_changes() {
    let mut node = Node::new();
    node.pods(Some(pod()));
    for n in 0..10 {
        node.write("a", "0.log", &format!(r#"{{"level":"first{n}"}}"#));
    }
    node.run(5);
    for n in 0..10 {
        node.write("a", "1.log", &format!(r#"{{"level":"second{n}"}}"#));
    }
    node.run(5);
    assert_eq!(node.metrics.levels_unlabelled.get(), 4);
    let labels = [("app.kubernetes.io/name".to_owned(), "b".to_owned())].into();
    node.pods(Some(Pod { labels, ..pod() }));
    node.write("a", "1.log", r#"{"level":"third"}"#);
    node.write("a", "1.log", r#"{"level":"second5"}"#);
    node.run(15);
    assert!(node.has(r#"app="b", level="second5""#));
    assert_eq!(node.metrics.levels_unlabelled.get(), 5);
}

//! Loki's own limits: entries that it refuses for good, and rates that it holds the agent to.

use super::world::{World, append, line_at};
use penstock_bench::clock;
use penstock_bench::receiver::{Limits, ReceiverConfig};

const HOUR_NS: i64 = 3_600_000_000_000;

#[test]
fn what_loki_refuses_is_counted_as_it_counts() {
    super::together(&[
        ("too old", || refused(-200 * HOUR_NS, "too_old", "greater_than_max_sample_age")),
        ("too new", || refused(HOUR_NS, "too_new", "too_far_in_future")),
        ("too far behind", too_far_behind),
    ]);
}

#[test]
fn rates_and_sizes_delay_and_lose_nothing() {
    super::together(&[
        ("the tenant's rate", tenant_rate),
        ("a stream's rate", stream_rate),
        ("the gateway's limit", gateway_limit),
        ("too many streams", too_many_streams),
        ("memory full of what is refused", what_is_held_keeps_nobody_out),
    ]);
}

fn world(limits: Limits, sharding: bool) -> World {
    World::with(ReceiverConfig { limits, sharding, ..ReceiverConfig::default() })
}

fn refused(off_ns: i64, ours: &str, lokis: &str) {
    let mut world = World::new();
    let (bad, good) = (world.pod("bad", &[]), world.pod("good", &[]));
    let lines: Vec<u8> = (0..12).flat_map(|n| line_at(clock::wall_ns() + off_ns + n, format!("bad-{n}"))).collect();
    append(&world.logs(bad).join("0.log"), lines);
    let mut expected = world.write(good, "good", 5);
    world.start();
    let refused = || world.metric(&format!("refused_entries_total{{reason=\"{ours}\"}}"));
    world.until("all are counted", || refused() >= 12.0);
    expected.extend(world.write(bad, "now", 2));
    world.until_lines(7);
    assert_eq!(world.lines(), expected);
    assert_eq!(refused(), world.receiver.stats().refused[lokis] as f64);
    world.until_said(&format!("Loki refused 12 entries ({ours})"));
    assert!(world.stop().0.success());
}

/// More than the ten that Loki names.
fn too_far_behind() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let now = clock::wall_ns();
    let mut lines = line_at(now, "newest");
    (0..30).for_each(|n| lines.extend(line_at(now - 3 * HOUR_NS + n, format!("behind-{n}"))));
    lines.extend(line_at(now + 1, "last"));
    append(&world.logs(pod).join("0.log"), lines);
    world.start();
    let refused = || world.metric("refused_entries_total{reason=\"too_far_behind\"}");
    world.until("all are counted", || refused() >= 30.0);
    assert_eq!(world.until_lines(2), ["newest", "last"]);
    assert_eq!(refused(), world.receiver.stats().refused["too_far_behind"] as f64);
    assert_eq!(world.metric("clock_steps_total"), 1.0);
    assert!(world.stop().0.success());
}

fn kilobyte(name: &str, n: usize) -> String {
    // Lines that no packer makes small.
    let mut random = fastrand::Rng::with_seed(n as u64);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(1_000).collect();
    format!("{name}-{n} {noise}")
}

fn fill(world: &World, pod: usize, name: &str, count: usize) -> Vec<String> {
    let lines: Vec<_> = (0..count).map(|n| kilobyte(name, n)).collect();
    append(&world.logs(pod).join("0.log"), super::world::cri(&lines));
    lines
}

fn tenant_rate() {
    let limits = Limits { ingestion_rate: 1 << 20, ingestion_burst: 3 << 19, ..Limits::default() };
    let mut world = world(limits, false);
    // The node's own pace is above what the tenant may have, its requests are not above the burst.
    world.loki = "  rate: 1536KiB\n  burst: 1536KiB\n".into();
    let pod = world.pod("a", &[]);
    let expected = fill(&world, pod, "a", 4_000);
    world.start();
    assert!(world.until_lines(4_000) == expected, "in their order, once");
    let refused = world.receiver.stats().requests_by_status[&429];
    world.until_metric("push_requests_total{code=\"429\"}", refused as f64);
    assert_eq!(world.metric("push_requests_total{code=\"429\"}"), refused as f64);
    world.until("the pace is lower", || world.metric("rate_limit_bytes_per_second") < 30_000_000.0);
    assert!(world.stop().0.success());
}

/// Two label sets in one request, the last one over its own rate: the other may have been refused in silence, and is
/// sent once more. (Were it the first, Loki would answer 204: it tells of the last stream alone.)
fn stream_rate() {
    let limits = Limits { per_stream_rate: 20_000, per_stream_burst: 64_000, ..Limits::default() };
    let mut world = world(limits, true);
    let pod = world.pod("a", &[("mif.moreh.io/log.format", "json")]);
    let file = world.logs(pod).join("0.log");
    let write = |level: &str, numbers: std::ops::Range<usize>| {
        let json = |n| format!("{{\"level\":\"{level}\",\"message\":\"{}\"}}", kilobyte(level, n));
        let lines: Vec<_> = numbers.map(json).collect();
        append(&file, super::world::cri(&lines));
        lines
    };
    let mut busy = write("busy", 0..50);
    world.start();
    world.until_lines(50);
    assert!(world.stop().0.success());
    let quiet = write("quiet", 0..3);
    busy.extend(write("busy", 50..100));
    world.start();
    world.until_lines(103);
    let of = |level: &str| world.receiver.entries(&format!("{{level=\"{level}\"}}")).unwrap();
    let lines = |level: &str| of(level).iter().map(|e| String::from_utf8(e.line.to_vec()).unwrap()).collect::<Vec<_>>();
    assert!(lines("busy") == busy);
    assert_eq!(lines("quiet"), quiet);
    let stats = world.receiver.stats();
    assert!(stats.requests_by_status.contains_key(&429), "{:?}", stats.requests_by_status);
    assert_eq!((stats.entries_received_twice, stats.refused_in_silence), (3, 0));
    assert!(world.stop().0.success());
}

/// What is too large goes in halves; a single entry that is too large by itself is counted.
fn gateway_limit() {
    let mut world = world(Limits { gateway_body_bytes_max: Some(20_000), ..Limits::default() }, false);
    let pod = world.pod("a", &[]);
    let mut expected = fill(&world, pod, "a", 100);
    let huge: String = (0..30).map(|n| kilobyte("huge", n)).collect();
    append(&world.logs(pod).join("0.log"), super::world::line(&huge));
    expected.extend(fill(&world, pod, "b", 20));
    world.start();
    assert!(world.until_lines(120) == expected, "in their order, once, without the one that cannot pass");
    world.until_metric("refused_entries_total{reason=\"too_large\"}", 1.0);
    world.until_metric("dropped_bytes_total{reason=\"too_large\"}", huge.len() as f64);
    let refused = world.receiver.stats().requests_by_status[&413];
    world.until_metric("push_requests_total{code=\"413\"}", refused as f64);
    assert!(world.stop().0.success());
}

fn too_many_streams() {
    let mut world = world(Limits { streams_max: 1, ..Limits::default() }, false);
    let first = world.pod("first", &[]);
    world.write(first, "first", 2);
    world.start();
    world.until_lines(2);
    let second = world.pod("second", &[]);
    world.write(second, "second", 2);
    world.until_metric("push_requests_total{code=\"429\"}", 1.0);
    world.write(first, "again", 2);
    world.until_lines(4);
    world.until_metric("held_label_sets", 1.0);
    world.until("/readyz tells", || world.get("/readyz").1.contains("max_global_streams_per_user"));
    world.until_said("max_global_streams_per_user");
    let rows: serde_json::Value = serde_json::from_str(&world.get("/streams").1).unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["pod"] == "second" && row["std_stream"] == "stdout");
    let row = row.unwrap();
    assert!(row["why"].as_str().unwrap().contains("max_global_streams_per_user"), "{row}");
    assert_eq!(row["position"], 0, "nothing of it is answered for");
    assert_eq!(row["lag_bytes"], "second-0\nsecond-1\n".len());
    world.stop();
}

/// Many new label sets are refused and fill their share of the memory; a container whose lines Loki takes flows.
fn what_is_held_keeps_nobody_out() {
    let mut world = world(Limits { streams_max: 1, ..Limits::default() }, false);
    world.settings.more = "memory_bytes_max: 16MiB\n".into();
    let taken = world.pod("taken", &[]);
    world.write(taken, "first", 1);
    world.start();
    world.until_lines(1);
    let refused: Vec<_> = (0..30).map(|n| world.pod(&format!("refused-{n}"), &[])).collect();
    refused.into_iter().for_each(|pod| drop(fill(&world, pod, "refused", 400)));
    // How many come to be refused before memory is full differs.
    world.until_metric("held_label_sets", 12.0);
    for round in 0..20 {
        let lines = world.write(taken, &format!("round-{round}"), 1);
        world.until("a line of the one that flows", || world.lines().ends_with(&lines));
    }
    world.stop();
}

//! More than one data thread: the same lines, whatever their number is from one start to the next.

use super::world::{World, append, line_at};
use penstock_bench::clock;
use penstock_bench::receiver::{Limits, ReceiverConfig};

const PODS: usize = 12;

#[test]
fn pods_are_spread_over_data_threads() {
    super::together(&[
        ("another number at each start", another_number_at_each_start),
        ("one label set", one_label_set),
        ("one limit", one_limit),
    ]);
}

fn with_threads(world: &mut World, threads: usize) {
    world.settings.more = format!("performance: {{threads: {threads}}}\n");
}

/// Killed in between, with the same number.
fn another_number_at_each_start() {
    let mut world = World::new();
    let pods: Vec<usize> = (0..PODS).map(|n| world.pod(&format!("p{n}"), &[])).collect();
    let mut expected = Vec::new();
    for (round, threads) in [1, 2, 3, 1, 4].into_iter().enumerate() {
        for pod in &pods {
            expected.extend(world.write(*pod, &format!("round-{round}-pod-{pod}"), 50));
        }
        with_threads(&mut world, threads);
        world.start();
        world.until_lines(expected.len() - 300);
        world.kill();
        world.start();
        world.until_lines(expected.len());
        world.until("all are shown", || world.get("/streams").1.matches("\"pod\"").count() == 2 * PODS);
        world.until_metric("streams{mode=\"file\"}", 2.0 * PODS as f64);
        assert_eq!(world.metric("streams{mode=\"file\"}"), 2.0 * PODS as f64);
        assert!(world.stop().0.success());
    }
    let mut found = world.lines();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// Equal lines of equal times, of pods that different threads have, in one label set: Loki keeps one of two equal entries.
fn one_label_set() {
    let mut world = World::new();
    let pods: Vec<usize> =
        (0..PODS).map(|n| world.pod(&format!("same-{n}"), &[("app.kubernetes.io/name", "same")])).collect();
    let lines = line_at(clock::wall_ns(), "tick").repeat(100);
    with_threads(&mut world, 3);
    world.start();
    for pod in &pods {
        append(&world.logs(*pod).join("0.log"), &lines);
    }
    world.until_lines(PODS * 100);
    assert_eq!(world.receiver.stats().streams, 1);
    assert!(world.stop().0.success());
}

/// The tenant's limit is one for all of them.
fn one_limit() {
    let limits = Limits { ingestion_rate: 1 << 20, ingestion_burst: 2 << 20, ..Limits::default() };
    let mut world = World::with(ReceiverConfig { limits, ..ReceiverConfig::default() });
    world.loki = "  rate: 1MiB\n  burst: 2MiB\n  batch_bytes: 100KB\n".into();
    with_threads(&mut world, 2);
    let pods: Vec<usize> = (0..PODS).map(|n| world.pod(&format!("p{n}"), &[])).collect();
    for pod in &pods {
        world.write(*pod, &"x".repeat(1_000), 400);
    }
    world.start();
    world.until_lines(PODS * 400);
    let refused = world.receiver.stats().requests_by_status.get(&429).copied().unwrap_or(0);
    assert!(refused <= 3, "{refused} refusals");
    assert!(world.stop().0.success());
}

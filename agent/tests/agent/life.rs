//! Start and end of the agent, and what it shows of itself while it runs.

use super::world::{World, append, line, open};
use penstock_bench::clock;
use penstock_bench::receiver::Fault;
use std::collections::HashSet;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn it_ends_in_time_and_goes_on_where_it_was() {
    super::together(&[
        ("Loki down", loki_down),
        ("under load", under_load),
        ("full disk", full_disk),
        ("watches refused", watches_refused),
    ]);
}

#[test]
fn it_shows_what_it_does() {
    super::together(&[("admin", admin), ("new files", new_files_are_seen_at_once)]);
}

/// The grace period is 3 s here.
fn loki_down() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.receiver.set_fault(Some(Fault::Refuse));
    world.start();
    world.until_ready();
    let expected = world.write(pod, "a", 10);
    world.until_metric("lines_total{source=\"file\"}", 10.0);
    let (status, took) = world.stop();
    println!("SIGTERM with Loki down: ended after {took:?} of 3 s");
    assert!(status.success() && took < Duration::from_millis(3_500), "{status} {took:?}");
    assert!(world.words().contains("sent after the next start"), "{}", world.words());
    world.receiver.set_fault(None);
    world.start();
    assert_eq!(world.until_lines(10), expected);
    assert!(world.stop().0.success());
    assert_eq!(world.lines(), expected);
}

fn under_load() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let mut file = open(&world.logs(pod).join("0.log"));
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut lines = 0;
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    file.write_all(&line(format!("line-{lines}"))).unwrap();
                    lines += 1;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            lines
        });
        for stop in 1..=3 {
            world.start();
            let before = world.receiver.stats().entries_stored;
            world.until("some arrive", || world.receiver.stats().entries_stored > before + 500 * stop);
            let (status, took) = world.stop();
            assert!(status.success() && took < Duration::from_secs(3), "{took:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    world.start();
    let found = world.until_lines(written);
    assert!(world.stop().0.success());
    println!("three stops under load: {written} lines, {} twice", world.receiver.stats().entries_received_twice);
    assert!(found.iter().enumerate().all(|(n, line)| *line == format!("line-{n}")), "in order, none lost");
    assert_eq!((world.lines().len(), world.receiver.stats().entries_received_twice), (written, 0));
}

/// A data directory that takes nothing more: delivery goes on, and it is told.
fn full_disk() {
    let mut world = World::new();
    let data = world.settings.data_dir.clone();
    std::fs::create_dir_all(&data).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&data).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("not tried: a full data_dir needs the right to mount");
        return;
    }
    std::fs::write(data.join("filler"), vec![0; 4096]).unwrap();
    let mut filler = open(&data.join("filler"));
    while filler.write_all(&[0; 4096]).is_ok() {}
    let pod = world.pod("a", &[]);
    let expected = world.write(pod, "a", 5);
    world.start();
    let found = world.until_lines(5);
    world.until_metric("checkpoint_errors_total", 1.0);
    world.until_metric("journal_errors_total", 1.0);
    world.until_said("cannot save the positions in data_dir");
    world.until_said("Free space there");
    // With room again it heals by itself.
    std::fs::remove_file(data.join("filler")).unwrap();
    drop(filler);
    world.write(pod, "more", 5);
    world.until_lines(10);
    world.until("positions are saved", || data.join("positions").metadata().is_ok_and(|file| file.len() > 0));
    assert!(world.stop().0.success());
    world.start();
    world.write(pod, "last", 1);
    world.until_lines(11);
    world.stop();
    let unmounted = Command::new("umount").arg(&data).status().unwrap();
    assert_eq!(found, expected);
    assert_eq!(world.receiver.stats().entries_received_twice, 0);
    assert!(unmounted.success());
}

/// The limit can be lowered in a user namespace of its own; the rescan takes the place of the watches.
fn watches_refused() {
    let mut world = World::new();
    let script = "echo 2 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    let can = Command::new("unshare").args(["-r", "sh", "-c", script, "true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!("not tried: refused watches need a user namespace");
        return;
    }
    let pods: Vec<_> = (0..4).map(|n| world.pod(&format!("p{n}"), &[])).collect();
    pods.iter().for_each(|pod| drop(world.write(*pod, "first", 1)));
    let mut program = Command::new("unshare");
    program.args(["-r", "sh", "-c", script, super::world::PROGRAM]);
    world.start_with(program, &world.yaml());
    world.until_lines(4);
    world.until_said("fs.inotify.max_user_watches");
    world.until("it is counted", || world.metric("watch_refused_total") > 0.0);
    pods.iter().for_each(|pod| drop(world.write(*pod, "second", 1)));
    world.until_lines(8);
    assert!(world.stop().0.success());
}

fn admin() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.start();
    world.until_ready();
    world.write(pod, "a", 3);
    world.until_lines(3);
    assert_eq!(world.get("/healthz").0, 200);
    assert_eq!(world.get("/nothing").0, 404);
    world.until_metric("push_requests_total{code=\"204\"}", 1.0);
    world.until("the answer is taken in", || world.get("/streams").1.contains("\"lag_bytes\":0"));
    let streams: serde_json::Value = serde_json::from_str(&world.get("/streams").1).unwrap();
    let rows = streams.as_array().unwrap();
    assert_eq!(rows.len(), 2, "{streams}");
    let row = rows.iter().find(|row| row["std_stream"] == "stdout").unwrap();
    assert_eq!((&row["pod"], &row["container"], &row["mode"]), (&"a".into(), &"c".into(), &"file".into()));
    // Three lines of three bytes, and their newlines.
    assert_eq!((&row["position"], &row["lines"], &row["bytes"]), (&12.into(), &3.into(), &9.into()));
    assert!(row["why"].as_str().is_some_and(|why| !why.is_empty()));
    let (_, metrics) = world.get("/metrics");
    let names: HashSet<_> = metrics.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    for name in [
        "lines_total",
        "bytes_total",
        "captured_bytes_total",
        "capture_lost_bytes_total",
        "confirmed_lines_total",
        "unconfirmed_lines_total",
        "mismatched_lines_total",
        "dropped_bytes_total",
        "push_requests_total",
        "push_seconds_bucket",
        "delivery_lag_seconds_count",
        "backlog_bytes",
        "memory_bytes",
        "rate_limit_bytes_per_second",
        "streams",
        "hook_info",
    ] {
        assert!(names.contains(&*format!("penstock_{name}")), "{name} is missing");
    }
    assert!(!metrics.contains("demo_a_"), "no pod or path labels");
    assert_eq!(world.metric("lines_total{source=\"file\"}"), 3.0);
    assert_eq!(world.metric("bytes_total{source=\"file\"}"), 9.0);
    assert!(world.stop().0.success());
}

/// From the write of the first line of a new file to its arrival.
fn new_files_are_seen_at_once() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.start();
    world.until_ready();
    let mut lags = Vec::new();
    for restart in 0..10 {
        let begun_ns = clock::wall_ns();
        append(&world.logs(pod).join(format!("{restart}.log")), line(format!("{restart}")));
        world.until_lines(restart + 1);
        lags.push((world.entries()[restart].received_ns - begun_ns) / 1_000_000);
    }
    lags.sort_unstable();
    println!("a new file's first line: {} ms in the median, {} ms at most", lags[5], lags[9]);
    assert!(lags[9] < 500, "{lags:?}");
    assert!(world.stop().0.success());
}

//! Files that are copied and emptied, and files and folders that come back: nothing is read twice or passed over.

use super::world::{World, append, cri, line, open};
use penstock_bench::receiver::Fault;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[test]
fn what_is_copied_or_comes_back_is_read_once() {
    super::together(&[
        ("a copy under way", copy_under_way),
        ("regrown while held up", regrown_while_held_up),
        ("copies shifted while held up", copies_shifted),
        ("a writer that came back", writer_that_came_back),
        ("a folder made again", folder_made_again),
        ("a line without a prefix", line_without_prefix),
        ("skipped for good", skipped_for_good),
    ]);
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name}-{n} {}", "x".repeat(200))).collect()
}

fn copy_and_truncate(path: &Path, copy: &str) {
    fs::copy(path, path.with_file_name(copy)).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
}

/// An agent with little memory whose Loki is away, and its only log file, of which it has read the beginning.
fn held_up(lines: &[String]) -> (World, PathBuf) {
    let mut world = World::new();
    world.settings.more = "memory_bytes_max: 8MiB\n".into();
    world.loki = "  batch_bytes: 64KiB\n".into();
    let pod = world.pod("a", &[]);
    let path = world.logs(pod).join("0.log");
    world.receiver.set_fault(Some(Fault::Status(503)));
    append(&path, cri(lines));
    world.start();
    world.until("it is held up", || world.metric("push_requests_total{code=\"503\"}") >= 1.0);
    (world, path)
}

fn all_once_in_order(world: &World, expected: &[String]) {
    assert_eq!(world.until_lines(expected.len()), expected);
    assert_eq!(world.receiver.stats().entries_received_twice, 0);
}

/// The copy is seen while there is nothing in it: it must not be taken for a new file.
fn copy_under_way() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let path = world.logs(pod).join("0.log");
    let mut expected = numbered("before", 300);
    append(&path, cri(&expected));
    world.start();
    world.until_lines(300);
    let mut copy = open(&path.with_file_name("0.log.1"));
    std::thread::sleep(Duration::from_millis(50));
    copy.write_all(&fs::read(&path).unwrap()).unwrap();
    drop(copy);
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, line("after"));
    expected.push("after".into());
    all_once_in_order(&world, &expected);
    assert!(world.stop().0.success());
}

/// Held up by a Loki that is away, the agent finds the file longer than it was, but with other content.
fn regrown_while_held_up() {
    let (before, after) = (numbered("before", 8_000), numbered("after", 12_000));
    let (mut world, path) = held_up(&before);
    copy_and_truncate(&path, "0.log.1");
    append(&path, cri(&after));
    world.receiver.set_fault(None);
    all_once_in_order(&world, &[before, after].concat());
    assert!(world.stop().0.success());
}

/// `.1` becomes `.2` before any of it is read.
fn copies_shifted() {
    let rounds: Vec<_> = (0..3).map(|round| numbered(&format!("round{round}"), 6_000)).collect();
    let (mut world, path) = held_up(&rounds[0]);
    copy_and_truncate(&path, "0.log.1");
    append(&path, cri(&rounds[1]));
    std::thread::sleep(Duration::from_millis(300));
    fs::rename(path.with_file_name("0.log.1"), path.with_file_name("0.log.2")).unwrap();
    copy_and_truncate(&path, "0.log.1");
    append(&path, cri(&rounds[2]));
    world.receiver.set_fault(None);
    all_once_in_order(&world, &rounds.concat());
    assert!(world.stop().0.success());
}

/// Closed once, opened again, deleted: what is written after that is not lost.
fn writer_that_came_back() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let path = world.logs(pod).join("0.log");
    world.start();
    world.until_ready();
    append(&path, line("one"));
    world.until_lines(1);
    let mut again = open(&path);
    std::thread::sleep(Duration::from_millis(300));
    fs::remove_file(&path).unwrap();
    let mut expected = vec!["one".to_owned()];
    for n in 0..5 {
        std::thread::sleep(Duration::from_millis(200));
        again.write_all(&line(format!("late-{n}"))).unwrap();
        expected.push(format!("late-{n}"));
    }
    drop(again);
    all_once_in_order(&world, &expected);
    world.until("it is let go", || world.metric("files_open") == 0.0);
    assert!(world.stop().0.success());
}

/// The watch of a folder goes with it; the one that has its name then is watched as well.
fn folder_made_again() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.start();
    world.until_ready();
    append(&world.logs(pod).join("0.log"), line("old"));
    world.until_lines(1);
    fs::remove_dir_all(world.logs(pod)).unwrap();
    fs::create_dir_all(world.logs(pod)).unwrap();
    let begun = penstock_bench::clock::monotonic();
    for restart in 1..4 {
        append(&world.logs(pod).join(format!("{restart}.log")), line(format!("new-{restart}")));
        world.until_lines(1 + restart);
    }
    let took = penstock_bench::clock::monotonic() - begun;
    assert!(took < Duration::from_secs(10), "not by the slow look: {took:?}");
    assert!(world.stop().0.success());
}

/// It is no part of the line that is open, and no JSON.
fn line_without_prefix() {
    let mut world = World::new();
    let pod = world.pod("a", &[("mif.moreh.io/log.format", "json")]);
    let part = |text: &str| String::from_utf8(line(text)).unwrap().replace(" F ", " P ");
    let path = world.logs(pod).join("0.log");
    append(&path, [part(r#"{"level":"info","#), "{\"msg\":\"raw\"}\n".into()].concat());
    append(&path, line(r#""msg":1}"#));
    world.start();
    let mut found = world.until_lines(2);
    found.sort();
    assert_eq!(found, [r#"{"level":"info","message":1}"#, r#"{"msg":"raw"}"#]);
    assert!(world.stop().0.success());
}

/// `start_at: end` skips what was there at the very first start, and nothing else, whatever happens.
fn skipped_for_good() {
    let mut world = World::new();
    world.settings.more = "start_at: end\n".into();
    let pod = world.pod("a", &[]);
    append(&world.logs(pod).join("0.log"), line("skipped"));
    let unknown = world.pods.remove(pod);
    world.write_pods();
    world.start();
    world.until_ready();
    world.until("positions are there", || world.settings.data_dir.join("positions").exists());
    world.kill();
    world.pods.push(unknown);
    let late = world.pod("late", &[]);
    append(&world.logs(late).join("0.log"), line("while it was down"));
    append(&world.logs(pod).join("0.log"), line("behind what is skipped"));
    world.start();
    let mut found = world.until_lines(2);
    found.sort();
    assert_eq!(found, ["behind what is skipped", "while it was down"]);
    assert!(world.stop().0.success());
}

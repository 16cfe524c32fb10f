//! Files that move, shrink and go, while the agent runs and while it is down.

use super::world::{World, append, cri, line, open};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::path::Path;

#[test]
fn files_may_move_shrink_and_go() {
    super::together(&[
        ("gzipped while down", gzipped_while_down),
        ("copytruncate", copytruncate),
        ("deleted while read", deleted_while_read),
        ("inode reuse", inode_reuse),
        ("gone while down", gone_while_down),
        ("kill", killed),
        ("two label sets at a kill", killed_with_loki_away),
    ]);
}

/// As the kubelet does it: into a `.tmp` first.
fn gzip(file: &Path) {
    let beside = |end: &str| file.with_file_name(format!("{}.{end}", file.file_name().unwrap().to_string_lossy()));
    let mut encoder = GzEncoder::new(fs::File::create(beside("tmp")).unwrap(), Compression::fast());
    encoder.write_all(&fs::read(file).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::rename(beside("tmp"), beside("gz")).unwrap();
    fs::remove_file(file).unwrap();
}

fn gzipped_while_down() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let file = world.logs(pod).join("0.log");
    let mut expected = world.write(pod, "one", 3);
    world.start();
    world.until_lines(3);
    assert!(world.stop().0.success());
    expected.extend(world.write(pod, "two", 3));
    let rotated = file.with_file_name("0.log.20260101-000000");
    fs::rename(&file, &rotated).unwrap();
    gzip(&rotated);
    expected.extend(world.write(pod, "three", 3));
    fs::rename(&file, file.with_file_name("0.log.20260101-000100")).unwrap();
    expected.extend(world.write(pod, "four", 3));
    world.start();
    assert_eq!(world.until_lines(12), expected);
    // A rotated file that is gzipped under the agent's eyes is the same file.
    gzip(&file.with_file_name("0.log.20260101-000100"));
    expected.extend(world.write(pod, "five", 1));
    assert_eq!(world.until_lines(13), expected);
    assert!(world.stop().0.success());
    assert_eq!(world.receiver.stats().entries_received_twice, 0);
}

/// Each time shorter than before: that a file was cut and has grown to its old length since cannot be seen.
fn copytruncate() {
    const AFTER: [&str; 3] = ["the longest line", "a short one", "tiny"];
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let path = world.logs(pod).join("0.log");
    let mut file = open(&path);
    world.start();
    world.until_ready();
    file.write_all(&cri(&["one", "two"])).unwrap();
    world.until_lines(2);
    for (round, text) in AFTER.iter().enumerate() {
        fs::copy(&path, path.with_file_name("0.log.1")).unwrap();
        file.set_len(0).unwrap();
        file.write_all(&line(text)).unwrap();
        world.until_lines(3 + round);
    }
    assert_eq!(world.lines()[2..], AFTER);
    assert!(world.stop().0.success());
    world.start();
    file.write_all(&line("last")).unwrap();
    assert_eq!(world.until_lines(6).last().unwrap(), "last");
    assert!(world.stop().0.success());
    assert_eq!(world.receiver.stats().entries_received_twice, 0);
}

/// What was written before a file was deleted is read to its end.
fn deleted_while_read() {
    let mut world = World::new();
    world.settings.more = "memory_bytes_max: 16MiB\n".into();
    let pod = world.pod("a", &[]);
    let path = world.logs(pod).join("0.log");
    let lines: Vec<_> = (0..40_000).map(|n| format!("{n} {}", "x".repeat(500))).collect();
    let mut file = open(&path);
    file.write_all(&cri(&lines)).unwrap();
    world.receiver.set_fault(Some(penstock_bench::receiver::Fault::Status(503)));
    world.start();
    world.until_metric("push_requests_total{code=\"503\"}", 1.0);
    fs::remove_file(&path).unwrap();
    file.write_all(&line("written after the deletion")).unwrap();
    drop(file);
    world.receiver.set_fault(None);
    let found = world.until_lines(40_001);
    assert!(found[..40_000] == lines && found[40_000] == "written after the deletion");
    world.until("its space is given back", || world.metric("files_open") == 0.0);
    assert!(world.stop().0.success());
}

/// A new file with the inode of the old one is another file.
fn inode_reuse() {
    use std::os::unix::fs::MetadataExt;
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let path = world.logs(pod).join("0.log");
    world.write(pod, "one", 3);
    let inode = fs::metadata(&path).unwrap().ino();
    world.start();
    world.until_lines(3);
    assert!(world.stop().0.success());
    let mut spare = Vec::new();
    fs::remove_file(&path).unwrap();
    for n in 0..64 {
        let other = world.path(&format!("spare-{n}"));
        fs::write(&other, "").unwrap();
        if fs::metadata(&other).unwrap().ino() == inode {
            fs::rename(&other, &path).unwrap();
            break;
        }
        spare.push(other);
    }
    println!("inode reused: {}", path.exists());
    // As long as before, or longer: only the content tells that it is another.
    world.write(pod, "two", 4);
    world.start();
    assert_eq!(world.until_lines(7)[3..], ["two-0", "two-1", "two-2", "two-3"]);
    assert!(world.stop().0.success());
    assert_eq!(world.receiver.stats().entries_received_twice, 0);
}

fn gone_while_down() {
    let mut world = World::new();
    let (pod, other) = (world.pod("a", &[]), world.pod("b", &[]));
    world.write(pod, "a", 3);
    world.write(other, "b", 1);
    world.start();
    world.until_lines(4);
    assert!(world.stop().0.success());
    // Restarts 1 and 2 came and went.
    fs::remove_file(world.logs(pod).join("0.log")).unwrap();
    append(&world.logs(pod).join("3.log"), line("third"));
    world.start();
    assert_eq!(world.until_lines(5).last().unwrap(), "third");
    world.until_metric("dropped_files_total{reason=\"gone\"}", 2.0);
    assert_eq!(world.metric("dropped_files_total{reason=\"gone\"}"), 2.0);
    assert!(world.stop().0.success());
}

fn killed() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let mut expected = Vec::new();
    for round in 0..4 {
        expected.extend(world.write(pod, &format!("round-{round}"), 200));
        world.start();
        world.until_lines(expected.len() - 150);
        world.kill();
    }
    world.start();
    world.until_ready();
    // Loki stores the same bytes with the same time once.
    assert_eq!(world.until_lines(800), expected);
    assert!(world.stop().0.success());
    assert_eq!(world.lines(), expected);
}

/// What was sent without an answer goes again with the times that it had, and equal lines stay as many as they were.
fn killed_with_loki_away() {
    use penstock_bench::receiver::{Fault, Times};
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let same = line("tick").repeat(50);
    append(&world.logs(pod).join("0.log"), &same);
    world.receiver.set_fault_for(Fault::StoreThenReset, Times::Next(1));
    world.start();
    world.until_lines(50);
    world.kill();
    world.receiver.set_fault(None);
    append(&world.logs(pod).join("0.log"), &same);
    world.start();
    world.until_lines(100);
    assert!(world.stop().0.success());
    let mut times: Vec<_> = world.entries().iter().map(|entry| entry.time_ns).collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), 100, "each line has a time of its own");
    assert_eq!(world.lines().len(), 100);
}

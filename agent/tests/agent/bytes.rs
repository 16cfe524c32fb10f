//! Bytes that nobody expects in a log file: what can be sent is sent, the rest is counted, memory stays bounded.

use super::world::{World, append, line, open, stamp};
use penstock_bench::clock;
use penstock_bench::expect::text_line;
use std::fs;
use std::io::Write;

/// `memory_bytes_max` of the configuration, and the 32 MiB that the process may have beside it.
const MEMORY_BYTES_MAX: u64 = (64 + 32) << 20;

#[test]
fn odd_bytes_are_shipped_or_counted() {
    super::together(&[
        ("invalid UTF-8 and NUL", invalid),
        ("a hole", hole),
        ("no CRI line", malformed),
        ("a long line in parts", || long_line(true)),
        ("a long physical line", || long_line(false)),
    ]);
}

fn invalid() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let odd: [&[u8]; 5] = [b"a\xff\xfeb", b"\0nul\0", b"cut \xf0\x9f", b"\xed\xa0\x80", b"plain"];
    odd.iter().for_each(|text| append(&world.logs(pod).join("0.log"), line(text)));
    world.start();
    assert_eq!(world.until_lines(5), odd.map(text_line));
    assert!(world.stop().0.success());
}

/// A crash of the node leaves zeros where a file had grown and its bytes were not written.
fn hole() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let file = world.logs(pod).join("0.log");
    append(&file, line("before"));
    append(&file, [&[0; 5000][..], &line("after")].concat());
    world.start();
    assert_eq!(world.until_lines(2), ["before", "after"]);
    world.until_metric("dropped_bytes_total{reason=\"hole\"}", 5000.0);
    append(&file, [&[0; 700_000][..], &line("after a long one"), &[0; 50], b"\n", &line("last")].concat());
    assert_eq!(world.until_lines(4)[2..], ["after a long one", "last"]);
    world.until_metric("dropped_bytes_total{reason=\"hole\"}", 705_050.0);
    assert!(world.metric("malformed_lines_total") < 1.0, "a hole is no line");
    assert!(world.stop().0.success());
}

fn malformed() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let file = world.logs(pod).join("0.log");
    append(&file, [&line("first")[..], b"no time here\n", b"\n", &line("last")].concat());
    world.start();
    let found = world.until_lines(3);
    assert!(found.contains(&"no time here".to_owned()) && found.contains(&"last".to_owned()), "{found:?}");
    world.until_metric("malformed_lines_total", 1.0);
    assert!(world.stop().0.success());
}

/// 100 MB without a newline, then a line like any other.
fn long_line(in_parts: bool) {
    const PART: usize = 16 * 1024;
    const BYTES: usize = 100_000_000 / PART * PART;
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let mut file = open(&world.logs(pod).join("0.log"));
    world.start();
    world.until_ready();
    let part = [b'x'; PART];
    let time = stamp(clock::wall_ns());
    if !in_parts {
        write!(file, "{time} stdout F ").unwrap();
    }
    for _ in 0..BYTES / PART {
        let whole = [format!("{time} stdout P ").as_bytes(), &part, b"\n"].concat();
        file.write_all(if in_parts { &whole } else { &part }).unwrap();
    }
    if in_parts {
        write!(file, "{time} stdout F ").unwrap();
    }
    file.write_all(b"\n").unwrap();
    file.write_all(&line("after")).unwrap();
    let found = world.until_lines(2);
    let (shown, marker) = found[0].rsplit_once(" …").unwrap();
    assert_eq!(marker, format!("[truncated {} bytes]", BYTES - shown.len()));
    assert_eq!((found[0].len(), &*found[1]), (262_144, "after"));
    world.until_metric("cut_lines_total", 1.0);
    let most = high_water(world.agent().pid());
    println!("100 MB line ({}): most memory {} MiB", if in_parts { "parts" } else { "one piece" }, most >> 20);
    assert!(most <= MEMORY_BYTES_MAX, "{} MiB", most >> 20);
    assert!(world.stop().0.success());
}

/// The most that a process has had in RAM, bytes.
fn high_water(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<u64>().unwrap() * 1024
}

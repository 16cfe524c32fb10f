//! Whose lines are collected: labels that come, go and change, containers that are left out, pods that are late.

use super::world::{COLLECT, World, append, line};
use penstock_bench::clock;
use penstock_bench::pods::SamplePod;
use std::fs;
use std::io::Write;
use std::time::Duration;

#[test]
fn who_is_collected_follows_the_pods() {
    super::together(&[
        ("label added later", label_added_later),
        ("label removed", label_removed),
        ("label changed", label_changed),
        ("excluded", excluded),
        ("late pod", late_pod),
        ("end of a container", unterminated_last_line),
        ("removed pod", removed_pod),
        ("half a line", half_line_of_a_restarted_container),
    ]);
}

/// From the start of the current file, not of the rotated ones.
fn label_added_later() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.pods[pod].labels.clear();
    world.write_pods();
    append(&world.logs(pod).join("0.log.20260101-000000"), line("rotated"));
    world.write(pod, "before", 2);
    let other = world.pod("b", &[]);
    world.write(other, "b", 1);
    world.start();
    world.until_lines(1);
    world.pods[pod].labels.insert(COLLECT.0.into(), COLLECT.1.into());
    world.write_pods();
    assert_eq!(world.until_lines(3), ["b-0", "before-0", "before-1"]);
    world.write(pod, "after", 1);
    assert_eq!(world.until_lines(4).last().unwrap(), "after-0");
    assert!(world.stop().0.success());
}

fn label_removed() {
    let mut world = World::new();
    let (pod, other) = (world.pod("a", &[]), world.pod("b", &[]));
    world.write(pod, "a", 2);
    world.start();
    world.until_lines(2);
    world.pods[pod].labels.remove(COLLECT.0);
    world.write_pods();
    world.until("its std streams are gone", || !world.get("/streams").1.contains("\"pod\":\"a\""));
    world.write(pod, "unseen", 2);
    world.write(other, "b", 1);
    assert_eq!(world.until_lines(3), ["a-0", "a-1", "b-0"]);
    assert!(world.stop().0.success());
}

fn label_changed() {
    let mut world = World::new();
    let pod = world.pod("a", &[("mif.moreh.io/role", "prefill")]);
    world.write(pod, "a", 2);
    world.start();
    world.until_lines(2);
    world.pods[pod].labels.insert("mif.moreh.io/role".into(), "decode".into());
    world.write_pods();
    // The file is looked at once a second: what is written then has the new label.
    let mut lines = 2;
    world.until("the new label", || {
        world.write(pod, "more", 1);
        lines += 1;
        world.until_lines(lines);
        world.entries()[lines - 1].labels["role"] == "decode"
    });
    assert_eq!(world.entries()[0].labels["role"], "prefill");
    assert!(world.stop().0.success());
}

fn excluded() {
    let mut world = World::new();
    let mut pod = SamplePod::new("a", &[COLLECT]);
    pod.containers = vec!["main".into(), "sidecar".into(), "noisy".into()];
    pod.annotations.insert("penstock.io/exclude-containers".into(), "sidecar".into());
    pod.annotations.insert("vector.dev/exclude-containers".into(), "noisy".into());
    let place = world.add_pod(pod.clone());
    for container in &pod.containers {
        append(&pod.log_folder(&world.settings.log_dir).join(container).join("0.log"), line(container));
    }
    let out = world.pod("out", &[("penstock.io/exclude", "true")]);
    world.write(out, "out", 1);
    world.start();
    assert_eq!(world.until_lines(1), ["main"]);
    append(&world.logs(place).join("0.log"), line("again"));
    assert_eq!(world.until_lines(2), ["main", "again"]);
    assert!(world.stop().0.success());
}

fn late_pod() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let expected = world.write(pod, "a", 3);
    let late = world.pods.remove(pod);
    world.write_pods();
    world.start();
    world.until("it is held", || world.get("/streams").1.contains("its pod is not known yet"));
    assert!(world.lines().is_empty(), "nothing goes without its labels");
    world.pods.push(late);
    world.write_pods();
    assert_eq!(world.until_lines(3), expected);
    assert_eq!(world.entries()[0].labels["app"], "a");
    assert!(world.stop().0.success());
}

/// The file is closed, and 10 s later nobody has opened it again.
fn unterminated_last_line() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.start();
    world.until_ready();
    let last = line("last");
    let mut file = super::world::open(&world.logs(pod).join("0.log"));
    file.write_all(&line("first")).unwrap();
    file.write_all(&last[..last.len() - 1]).unwrap();
    world.until_lines(1);
    drop(file);
    let closed = clock::monotonic();
    assert_eq!(world.until_lines(2), ["first", "last"]);
    let took = clock::monotonic() - closed;
    println!("an unterminated last line: {took:?} after its file was closed");
    assert!(took > Duration::from_millis(9_900) && took < Duration::from_secs(13), "{took:?}");
    assert!(world.stop().0.success());
}

fn removed_pod() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.start();
    world.until_ready();
    append(&world.logs(pod).join("0.log"), line("first"));
    world.until_lines(1);
    let last = line("last");
    append(&world.logs(pod).join("0.log"), &last[..last.len() - 1]);
    fs::remove_dir_all(world.logs(pod).parent().unwrap()).unwrap();
    assert_eq!(world.until_lines(2), ["first", "last"]);
    world.until("it is let go", || world.get("/streams").1.trim() == "[]");
    world.until_metric("files_open", 0.0);
    assert!(world.stop().0.success());
}

/// The open line of the old instance is shipped, it is not joined with the new one's.
fn half_line_of_a_restarted_container() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.start();
    world.until_ready();
    let partial = String::from_utf8(line("half")).unwrap().replace(" F ", " P ");
    append(&world.logs(pod).join("0.log"), partial);
    append(&world.logs(pod).join("1.log"), line("whole"));
    let mut found = world.until_lines(2);
    found.sort();
    assert_eq!(found, ["half", "whole"]);
    assert!(world.stop().0.success());
}

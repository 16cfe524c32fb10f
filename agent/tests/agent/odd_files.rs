//! Things in the log tree that are no plain log files: left alone with a message, or followed where that is allowed.

use super::world::{World, append, cri, line, stamp};
use penstock_bench::clock;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn odd_files_are_left_alone_and_the_rest_goes_on() {
    super::together(&[
        ("a folder", || left_alone("is a folder", |file, _| fs::create_dir(file).unwrap())),
        ("a symlink out", || {
            left_alone("outside.log", |file, world| symlink(world.path("outside.log"), file).unwrap())
        }),
        ("a broken symlink", || goes_on(|file, world| symlink(world.path("nothing"), file).unwrap())),
        ("a FIFO", || left_alone("0.log", |file, _| run("mkfifo", file))),
        ("foreign names", || goes_on(|file, _| append(&file.with_file_name("core.1234"), "x"))),
        ("unreadable", unreadable),
        ("docker", docker),
    ]);
}

fn run(program: &str, file: &std::path::Path) {
    assert!(Command::new(program).arg(file).status().unwrap().success());
}

fn goes_on(make: fn(&std::path::Path, &World)) {
    left_alone("", make);
}

/// `make` puts something odd in the place of a log file; another pod, and a later restart of this one, are read.
fn left_alone(message: &str, make: fn(&std::path::Path, &World)) {
    let mut world = World::new();
    append(&world.path("outside.log"), line("not to be read"));
    let (odd, good) = (world.pod("odd", &[]), world.pod("good", &[]));
    make(&world.logs(odd).join("0.log"), &world);
    world.write(good, "good", 2);
    world.start();
    world.until_lines(2);
    world.until_said(message);
    let named = world.words().lines().any(|line| line.contains("WARN") && line.contains(message));
    assert!(message.is_empty() || named, "{}", world.words());
    append(&world.logs(odd).join("1.log"), line("restarted"));
    assert_eq!(world.until_lines(3), ["good-0", "good-1", "restarted"]);
    assert_eq!(world.get("/healthz").0, 200);
    assert!(world.stop().0.success());
}

/// Root may read everything, so the agent runs as somebody else.
fn unreadable() {
    if !rustix::process::geteuid().is_root() {
        println!("not tried: an agent that may not read a file needs root to be set up");
        return;
    }
    let mut world = World::new();
    let (secret, good) = (world.pod("secret", &[]), world.pod("good", &[]));
    world.write(secret, "secret", 2);
    world.write(good, "good", 2);
    let file = world.logs(secret).join("0.log");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::create_dir_all(&world.settings.data_dir).unwrap();
    for path in [world.path(""), world.settings.data_dir.clone()] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let copy = world.path("penstock");
    fs::copy(super::world::PROGRAM, &copy).unwrap();
    let mut program = Command::new("setpriv");
    program.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(copy);
    world.start_with(program, &world.yaml());
    world.until_lines(2);
    world.until_said(&file.to_string_lossy());
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    // Any change in the folder has it looked at again.
    append(&file.with_file_name("touched"), "");
    world.until_lines(4);
    assert!(world.stop().0.success());
}

/// `N.log` leads to `containers/ID/ID-json.log`, which docker rotates to `ID-json.log.1`.
fn docker() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let folder = world.path("docker").join("1234");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("1234-json.log");
    let json = |text: &str| {
        format!("{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"{}\"}}\n", stamp(clock::wall_ns()))
    };
    append(&file, json("one"));
    symlink(&file, world.logs(pod).join("0.log")).unwrap();
    world.start();
    world.until_lines(1);
    append(&file, json("two"));
    fs::rename(&file, folder.join("1234-json.log.1")).unwrap();
    append(&file, json("three"));
    assert_eq!(world.until_lines(3), ["one", "two", "three"]);
    // What docker rotated while the agent was away is found beside it.
    assert!(world.stop().0.success());
    append(&file, json("four"));
    fs::rename(&file, folder.join("1234-json.log.1")).unwrap();
    append(&file, json("five"));
    world.start();
    assert_eq!(world.until_lines(5), ["one", "two", "three", "four", "five"]);
    let other = world.pod("b", &[]);
    append(&world.logs(other).join("0.log"), cri(&["six"]));
    world.until_lines(6);
    assert!(world.stop().0.success());
}

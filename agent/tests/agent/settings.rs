//! Settings and surroundings that are wrong: a message with the place and the remedy, or the rest goes on.

use super::world::{NODE, PROGRAM, World};
use penstock_bench::agent::free_address;
use std::fs;
use std::process::{Command, Output};

/// Runs it to its end; for what cannot run.
fn output(world: &World, yaml: &str) -> Output {
    let path = world.path("wrong.yaml");
    fs::write(&path, yaml).unwrap();
    Command::new(PROGRAM).env("RUST_BACKTRACE", "1").args(["run", "--config"]).arg(&path).output().unwrap()
}

fn refused(world: &World, yaml: &str, code: i32, words: &[&str]) {
    let output = output(world, yaml);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.to_lowercase().contains("backtrace") && !said.contains(".rs:"), "an operator's error: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

/// `doctor` says where `run` could not work.
fn unfit(world: &World, yaml: &str, what: &str) {
    let path = world.path("unfit.yaml");
    fs::write(&path, yaml).unwrap();
    let output = Command::new(PROGRAM).args(["doctor", "--config"]).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.lines().any(|line| line.starts_with("fail") && line.contains(what)), "{what}: {said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    let world = World::new();
    let yaml = world.yaml();
    let wrong = format!("{yaml}backlog_bytes_max: 4Gib\ncolour: red\n");
    let line = yaml.lines().count() + 1;
    refused(
        &world,
        &wrong,
        2,
        &[&format!("wrong.yaml:{line}:20: backlog_bytes_max"), &format!(":{}:", line + 1), "colour"],
    );
    refused(&world, &yaml.replace("url:", "urls:"), 2, &["loki.urls", "wrong.yaml:"]);
    refused(&world, &format!("{yaml}memory_bytes_max: 64\n"), 2, &["memory_bytes_max"]);
    refused(&world, "a: [", 2, &["wrong.yaml:2:1:"]);
    let missing = Command::new(PROGRAM).args(["run", "--config", "/no/such.yaml"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn what_cannot_run_says_why_and_what_to_do() {
    let mut world = World::new();
    let yaml = world.yaml();
    let log_dir = world.settings.log_dir.to_string_lossy().into_owned();
    refused(&world, &yaml.replace(&log_dir, "/no/such/dir"), 1, &["/no/such/dir", "is it mounted"]);
    let file = world.path("file");
    fs::write(&file, "").unwrap();
    let data_dir = world.settings.data_dir.to_string_lossy().into_owned();
    refused(&world, &yaml.replace(&data_dir, &file.to_string_lossy()), 1, &["must be a folder"]);
    refused(&world, &yaml.replace(&log_dir, &file.to_string_lossy()), 1, &["is a file; it must be the folder"]);
    unfit(&world, &yaml.replace(&log_dir, &file.to_string_lossy()), "log_dir");
    unfit(&world, &yaml.replace(&data_dir, "/proc/x"), "data_dir");
    unfit(&world, &yaml.replace(&world.settings.admin.to_string(), "192.0.2.1:9598"), "admin");
    let ebpf = yaml.replace("capture: file", "capture: ebpf\ncapture_hooks: [kprobe]");
    refused(&world, &ebpf, 1, &["kprobe: not in this build", "set capture to"]);
    world.start();
    world.until_ready();
    refused(
        &world,
        &yaml,
        1,
        &["is in use by another agent", &world.agent().pid().to_string(), "two values of data_dir"],
    );
    let taken = yaml.replace(&data_dir, &world.path("other").to_string_lossy());
    refused(&world, &taken, 1, &[&world.settings.admin.to_string()]);
    assert_eq!(world.get("/healthz").0, 200, "the first one is not disturbed");
    assert!(world.stop().0.success());
}

#[test]
fn without_a_kubernetes_api_it_runs_and_says_so() {
    super::together(&[("closed port", || without_kubernetes("", "connect")), ("wrong token", wrong_token)]);
}

fn kubeconfig(world: &World, server: &str) -> Command {
    let path = world.path("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: wrong}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    let mut program = Command::new(PROGRAM);
    program.env("KUBECONFIG", path);
    program
}

fn by_api(world: &World) -> String {
    let pods = format!("  static: {}\n", serde_json::Value::from(world.settings.pods.to_string_lossy()));
    world.yaml().replace(&pods, "  kubernetes: {}\n")
}

fn without_kubernetes(_: &str, word: &str) {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.write(pod, "a", 2);
    let program = kubeconfig(&world, &format!("http://{}", free_address().unwrap()));
    world.start_with(program, &by_api(&world));
    world.until("it says so", || world.words().matches("WARN").count() > 0);
    let words = world.words().to_lowercase();
    assert!(words.contains(word) && words.contains("kube"), "{words}");
    assert_eq!(world.get("/healthz").0, 200);
    let (status, body) = world.get("/readyz");
    assert!(status == 503 && body.contains("pods"), "{status} {body}");
    world.until("its std streams are held", || world.get("/streams").1.contains("\"held\""));
    // Several tries later still one message.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(world.words().matches(" WARN ").count(), 1, "{}", world.words());
    assert!(world.lines().is_empty(), "nothing goes without its labels");
    assert!(world.stop().0.success());
}

/// An API that refuses who we are.
fn wrong_token() {
    let mut world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let program = kubeconfig(&world, &format!("http://{}", listener.local_addr().unwrap()));
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut connection in listener.incoming().flatten() {
            let _asked = connection.read(&mut [0; 4096]);
            let body = "{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}";
            let _gone = write!(
                connection,
                "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    world.start_with(program, &by_api(&world));
    world.until_said("(401)");
    assert!(world.words().to_lowercase().contains("token"), "{}", world.words());
    assert!(world.words().contains(NODE) || world.words().contains("WARN"), "{}", world.words());
    assert!(world.stop().0.success());
}

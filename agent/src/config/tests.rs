//! The promises of docs/configuration.md: the defaults, and every mistake with its place and its remedy.

use super::*;
use crate::limits::{LABELS_MAX, REQUEST_BYTES_MAX};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn env(name: &str) -> Option<OsString> {
    match name {
        "NODE_NAME" => Some("n1".into()),
        "RATE" => Some("1MiB".into()),
        "STRUCTURE" => Some("a: [b]".into()),
        _ => None,
    }
}

fn good(text: &str) -> Config {
    read(text, &env).unwrap_or_else(|errors| panic!("{errors}\n--- in\n{text}"))
}

fn bad(text: &str) -> Vec<String> {
    read(text, &env).unwrap_err().0.iter().map(ToString::to_string).collect()
}

/// The whole text is wrong in one way only, and that is said so.
fn says(text: &str, place_and_key: &str, words: &str) {
    let errors = bad(text);
    assert_eq!(errors.len(), 1, "{errors:#?}\n--- in\n{text}");
    assert!(errors[0].starts_with(&format!("{place_and_key}: ")), "{}\n--- in\n{text}", errors[0]);
    assert!(errors[0].contains(words), "{}\n--- in\n{text}", errors[0]);
}

/// The YAML blocks of the manual.
fn manual() -> Vec<&'static str> {
    let text = include_str!("../../../docs/configuration.md");
    text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_manuals_full_and_short_configurations_are_the_defaults() {
    let [full, short] = manual()[..] else { panic!("two blocks") };
    let defaults = good("");
    assert_eq!(good(full), defaults);
    assert_eq!(good(short), defaults);
    assert_eq!(good("# nothing but a comment\n"), defaults);
    assert_eq!(defaults.node_name, "n1");
    assert_eq!((defaults.loki.rate, defaults.loki.burst), (31_457_280, 62_914_560));
    assert_eq!(defaults.labels["pool_name"], Source::PodLabel("mif.moreh.io/pool".to_owned()));
}

/// The keys that may stand in a section, asked of the reader itself.
fn known_in(section: &str) -> BTreeSet<String> {
    let indent = |depth: usize| "  ".repeat(depth);
    let names: Vec<_> = section.split('.').filter(|name| !name.is_empty()).collect();
    let mut text: String =
        names.iter().enumerate().map(|(depth, name)| format!("{}{name}:\n", indent(depth))).collect();
    text.push_str(&format!("{}zzzzzzzzzzzzzzzz: 1\n", indent(names.len())));
    let errors = bad(&text);
    let known = errors.iter().find_map(|error| error.split_once("; known here: "));
    let (_, known) = known.unwrap_or_else(|| panic!("{errors:?}"));
    let path = |key: &str| if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    known.split(", ").map(path).collect()
}

#[test]
fn the_manuals_table_has_every_key_and_no_other() {
    let sections = ["", "discovery", "discovery.kubernetes", "loki", "loki.basic_auth", "loki.tls", "performance"];
    let known: BTreeSet<_> = sections.into_iter().flat_map(known_in).collect();
    let text = include_str!("../../../docs/configuration.md");
    let table = text.split("## Settings").nth(1).and_then(|rest| rest.split("\n### ").next()).expect("a table");
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let keys = cells.flat_map(|cell| cell.split('`').filter(|text| !text.is_empty() && !text.contains([',', ' '])));
    let told: BTreeSet<_> = keys.map(ToOwned::to_owned).collect();
    for key in &told {
        assert!(known.contains(key), "docs/configuration.md has `{key}`, which the program has not");
    }
    for key in &known {
        let is_told = told.contains(key)
            || told.iter().any(|other| other.starts_with(&format!("{key}.")))
            || key.rsplit_once('.').is_some_and(|(section, last)| {
                table
                    .lines()
                    .any(|line| line.starts_with(&format!("| `{section}`")) && line.contains(&format!("`{last}`")))
            });
        assert!(is_told, "docs/configuration.md lacks `{key}`");
    }
}

#[test]
fn every_key_changes_its_setting() {
    let config = good(concat!(
        "node_name: n2\ndata_dir: /d\nlog_dir: /l\ncapture: file\ncapture_hooks: [kprobe]\nlog_link_dirs: []\n",
        "start_at: end\nbacklog_bytes_max: 0\nmemory_bytes_max: 16MiB\ndiscovery: {static: pods.json}\n",
        "select: &all [\"a=b,c!=d\"]\njson: *all\nlabels: {a: pod.uid}\nstructured_metadata: {}\nline: envelope\n",
        "loki:\n  url: https://h:1/x/\n  tenant: t\n  basic_auth: {username: u, password_file: /p}\n",
        "  tls: {ca_file: ca, cert_file: c, key_file: k, insecure_skip_verify: true}\n",
        "  rate: \"${RATE}\"\n  burst: 2000000\n  batch_bytes: 100KB\n  linger_max: 20ms\n  requests_in_flight: 7\n",
        "performance: {threads: 2, look_again: 5ms, ring_bytes: 2MiB}\nadmin: \"[::1]:1\"\n",
    ));
    let tls = Tls {
        ca_file: Some("ca".into()),
        cert_file: Some("c".into()),
        key_file: Some("k".into()),
        insecure_skip_verify: true,
    };
    let loki = Loki {
        url: "https://h:1/x".to_owned(),
        tenant: "t".to_owned(),
        auth: Auth::Basic { username: "u".to_owned(), password_file: "/p".into() },
        tls,
        rate: 1 << 20,
        burst: 2_000_000,
        batch_bytes: 100_000,
        linger_max: Duration::from_millis(20),
        requests_in_flight: 7,
    };
    let performance = Performance { threads: 2, look_again: Duration::from_millis(5), ring_bytes: Some(2 << 20) };
    let selectors = vec!["a=b,c!=d".parse::<Selector>().unwrap()];
    let expected = Config {
        node_name: "n2".to_owned(),
        data_dir: "/d".into(),
        log_dir: "/l".into(),
        capture: Capture::File,
        capture_hooks: vec![Hook::Kprobe],
        log_link_dirs: vec![],
        start_at: StartAt::End,
        backlog_bytes_max: 0,
        memory_bytes_max: 16 << 20,
        discovery: Discovery::Static("pods.json".into()),
        select: selectors.clone(),
        json: selectors,
        labels: [("a".to_owned(), Source::PodUid)].into(),
        structured_metadata: BTreeMap::new(),
        line: LineForm::Envelope,
        loki,
        performance,
        admin: "[::1]:1".parse().unwrap(),
    };
    assert_eq!(config, expected);
    let token = good("loki: {bearer_token_file: /t}\ndiscovery:\n  kubernetes:\n");
    assert_eq!(token.loki.auth, Auth::Bearer { token_file: "/t".into() });
    assert_eq!(token.discovery, Discovery::Kubernetes { watch_namespaces: false });
    let watching = good("discovery: {kubernetes: {watch_namespaces: true}}");
    assert_eq!(watching.discovery, Discovery::Kubernetes { watch_namespaces: true });
}

#[test]
fn keys_are_known_and_there_once() {
    says("datadir: /x", "1:1: datadir", "did you mean `data_dir`?");
    says("\nloki:\n  tennant: x", "3:3: loki.tennant", "did you mean `tenant`?");
    says("transforms: {}", "1:1: transforms", "known here: node_name, data_dir");
    says("loki: {tls: {ca: x}}", "1:14: loki.tls.ca", "known here: ca_file, cert_file");
    says("line: compact\nadmin: 1.1.1.1:1\nline: envelope", "3:1: line", "already set in line 1");
    says("[a]: b", "1:1", "a word as key is needed here, this is a list");
}

#[test]
fn shapes_and_yaml_itself() {
    says("- a", "1:1", "a mapping is needed here, this is a list");
    says("just words", "1:1", "a mapping is needed here, this is a single value");
    says("loki: http://x", "1:7: loki", "a mapping is needed here");
    says("select: a=b", "1:9: select", "a list is needed here");
    says("line: [compact]", "1:7: line", "a single value is needed here, this is a list");
    says("loki:\n  url:\n", "2:6: loki.url", "no value is given");
    says("labels:\n", "1:7: labels", "no value is given");
    says("select:\n  - !excluded", "2:5", "begins a YAML tag here, which is not used; put the whole value in quotes");
    says("line: compact\n---\nline: compact", "2:1", "a second YAML document");
    says(&"[".repeat(40), "1:17", "nested too deep");
    let scan = bad("line: compact\nloki: {url");
    assert!(scan.len() == 1 && scan[0].contains(": not valid YAML: "), "{scan:?}");
}

#[test]
fn aliases_cannot_blow_up() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let m = n - 1;
        bomb += &format!("a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}]\n");
    }
    assert!(bad(&bomb)[0].contains("too many values"));
    says("select: &a [*a]", "1:13", "this alias stands inside the value that it names");
}

#[test]
fn the_environment_is_text_and_never_structure() {
    assert_eq!(good("labels: {a: \"value/${STRUCTURE}\"}").labels["a"], Source::Constant("a: [b]".to_owned()));
    assert_eq!(good("loki:\n  tenant: ${NONE:-t}").loki.tenant, "t");
    assert_eq!(good("loki:\n  tenant: ${NONE:-}").loki.tenant, "");
    says("loki:\n  tenant: ${NONE}", "2:11: loki.tenant", "the environment variable NONE is not set; set it");
    says("select: ['a=$B']", "1:10: select[0]", "`$B` is not understood; write ${VAR}");
    says("loki:\n  rate: ${STRUCTURE}", "2:9: loki.rate", "`a: [b]` is not a size");
    let errors = read("line: compact", &|_| None).unwrap_err().to_string();
    assert!(
        errors.starts_with(
            "1:1: node_name: neither this key nor the environment variable NODE_NAME is set; set NODE_NAME"
        ),
        "{errors}"
    );
    let empty = read("", &|_| Some(OsString::new())).unwrap_err().to_string();
    assert!(empty.starts_with("1:1: node_name: `` cannot be used: a node's name is 1 to 253"), "{empty}");
}

#[test]
fn single_values() {
    says("node_name: a,b", "1:12: node_name", "see `kubectl get nodes`");
    says("data_dir: data", "1:11: data_dir", "`data` is not an absolute path; begin it with /");
    says("log_link_dirs: [/a, b]", "1:21: log_link_dirs[1]", "not an absolute path");
    says("capture: kernel", "1:10: capture", "write one of auto, ebpf, file");
    says("capture_hooks: [fentry, kretprobe]", "1:25: capture_hooks[1]", "write one of fentry, tp_btf, raw_tp, kprobe");
    says("start_at: now", "1:11: start_at", "write one of beginning, end");
    says("line: json", "1:7: line", "write one of compact, envelope");
    says(
        "backlog_bytes_max: 4G",
        "1:20: backlog_bytes_max",
        "`4G` is not a size; write a whole number with B, KiB, MiB",
    );
    says("memory_bytes_max: 1e6", "1:19: memory_bytes_max", "is not a size");
    says("loki: {rate: 99999999TiB}", "1:14: loki.rate", "more than 64 bits can count");
    says("loki: {linger_max: 1}", "1:20: loki.linger_max", "`1` is not a duration; write a number with ns, us, ms, s");
    says("loki: {linger_max: 2m}", "1:20: loki.linger_max", "write at most 60s");
    says("loki: {url: mif-loki:3100}", "1:13: loki.url", "it has no scheme; begin it with http://");
    says("loki: {url: \"http://h/loki/api/v1/push\"}", "1:13: loki.url", "out; /loki/api/v1/push is added to it");
    says("loki: {url: \"http://h/loki/api/v1/\"}", "1:13: loki.url", "`/loki/api/v1` out; /loki/api/v1/push is added");
    says("loki: {url: \"http://h:0\"}", "1:13: loki.url", "nobody listens on port 0; write Loki's");
    says("loki: {tenant: a|b}", "1:16: loki.tenant", "a tenant is at most 150 letters");
    says("loki: {bearer_token_file: \"\"}", "1:27: loki.bearer_token_file", "it is no path");
    says("admin: localhost:9598", "1:8: admin", "write an IP address and a port, such as 0.0.0.0:9598");
    says(
        "discovery: {kubernetes: {watch_namespaces: yes}}",
        "1:44: discovery.kubernetes.watch_namespaces",
        "true, false",
    );
    says("json: [\"a b\"]", "1:8: json[0]", "`a b` is not a label selector: ");
}

#[test]
fn labels_and_their_sources() {
    let many: String = (0..=LABELS_MAX).map(|n| format!("  l{n}: pod.name\n")).collect();
    says(&format!("labels:\n{many}"), "17:3: labels.l15", "number 16, and Loki takes 15 here");
    says("labels: {}", "1:9: labels", "name at least one");
    for sources in ["a: json.level", "a: pod.label/app, b: json.level", "a: value/, b: pod.label/x"] {
        says(&format!("labels: {{{sources}}}"), "1:9: labels", "e.g. `namespace: pod.namespace` or `node_name:");
    }
    for always in ["pod.namespace", "pod.name", "pod.uid", "container.name", "node.name", "value/x"] {
        good(&format!("labels: {{a: pod.label/app, b: {always}}}"));
    }
    says("labels: {a-b: pod.name}", "1:10: labels.a-b", "use letters, digits and `_`");
    says("structured_metadata: {__a: pod.name}", "1:23: structured_metadata.__a", "not a name that Loki takes");
    says("labels: {a: pod.node}", "1:13: labels.a", "`pod.node` is not a source; write one of pod.namespace");
    says("labels: {a: pod.label/}", "1:13: labels.a", "not a Kubernetes label key");
    says("labels: {a: json.trace_id}", "1:13: labels.a", "json.trace_id may only stand in `structured_metadata`");
    says(
        "structured_metadata: {a: json.level}",
        "1:26: structured_metadata.a",
        "json.level may only stand in `labels`",
    );
    says("labels: {a: json.level, b: json.level}", "1:28: labels.b", "it may be named once");
}

#[test]
fn settings_that_do_not_go_together() {
    says(
        "discovery: {kubernetes: {}, static: p}",
        "1:37: discovery.static",
        "kubernetes and static cannot both be set",
    );
    says(
        "loki: {bearer_token_file: /t, basic_auth: {username: u, password_file: /p}}",
        "1:27: loki.bearer_token_file",
        "basic_auth and bearer_token_file cannot both be set",
    );
    says("loki: {basic_auth: {username: u}}", "1:20: loki.basic_auth", "`password_file` is missing beside it");
    says("loki: {tls: {cert_file: /c}}", "1:25: loki.tls.cert_file", "`key_file` is missing beside it");
    says("loki: {tls: {key_file: /k}}", "1:24: loki.tls.key_file", "`cert_file` is missing beside it");
    says("loki: {rate: 61MiB}", "1:14: loki.rate", "write a burst of at least the rate");
    says("loki: {burst: 20MiB}", "1:15: loki.burst", "is above the burst (20971520)");
    says("loki: {rate: 1KiB, burst: 64KiB}", "1:27: loki.burst", "could never be sent");
    says("loki: {rate: 0}", "1:14: loki.rate", "0 would let nothing through");
    let over = REQUEST_BYTES_MAX + 1;
    says(&format!("loki: {{batch_bytes: {over}}}"), "1:21: loki.batch_bytes", "write at most 3670016 (3.5MiB)");
    says("memory_bytes_max: 1MiB", "1:19: memory_bytes_max", "write at least 8388608");
    says("memory_bytes_max: 20MiB\nperformance: {threads: 3}", "1:19: memory_bytes_max", "write at least 25165824");
    says("performance: {ring_bytes: 64MiB}", "1:14: performance", "more than half of memory_bytes_max");
    says("performance: {ring_bytes: 3MiB}", "1:27: performance.ring_bytes", "a power of two from 1MiB to 64MiB");
    says("performance: {threads: 0}", "1:24: performance.threads", "a number from 1 to 16");
    says("performance: {look_again: 1s}", "1:27: performance.look_again", "at most 100ms");
    says("loki: {requests_in_flight: 33}", "1:28: loki.requests_in_flight", "a number from 1 to 32");
    says("loki: {batch_bytes: 3MiB}\nmemory_bytes_max: 9MiB", "2:19: memory_bytes_max", "write at least 12582912");
    says("data_dir: /var/log/pods/x", "1:11: data_dir", "lies in log_dir");
    says("data_dir: /var/lib/../log/./pods/x", "1:11: data_dir", "lies in log_dir");
    says("log_dir: /a/../var/lib/penstock", "1:1: data_dir", "lies in log_dir");
    assert_eq!(good("data_dir: /var/log/pods/../x").data_dir, std::path::Path::new("/var/log/pods/../x"));
    says("select: []", "1:9: select", "no pod would be collected");
    says("capture_hooks: []", "1:16: capture_hooks", "no hook to try");
    says("capture_hooks: [fentry, fentry]", "1:16: capture_hooks", "named twice");
}

#[test]
fn all_mistakes_are_told_in_the_order_of_the_file() {
    let errors = bad("admin: x\nloki:\n  rate: 30mb\n  url: h\nnode: n\nlabels:\n  a: b\n  c-d: e\n");
    let places: Vec<&str> = errors.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["1:8", "3:9", "4:8", "5:1", "7:6", "8:3", "8:8"], "{errors:#?}");
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let missing = load(&folder.path().join("none.yaml")).unwrap_err().to_string();
    assert!(missing.starts_with("the configuration cannot be read: No such file"), "{missing}");
    let path = folder.path().join("latin.yaml");
    std::fs::write(&path, b"line: compact\nn\xc3\xa9: \xe9").unwrap();
    let latin = load(&path).unwrap_err().to_string();
    assert!(latin.starts_with("2:5: the configuration is not UTF-8 here; save the file as UTF-8"), "{latin}");
    std::fs::write(&path, "node_name: n3\n").unwrap();
    assert_eq!(load(&path).unwrap().node_name, "n3");
}

proptest! {
    /// Whatever stands in the file is read or refused; and a refusal always has words and a place.
    #[test]
    fn no_text_panics(text in "(?s).{0,200}") {
        if let Err(errors) = read(&text, &env) {
            prop_assert!(!errors.0.is_empty() && errors.0.iter().all(|error| error.place.is_some()));
        }
    }

    /// The same, of texts that look like a configuration.
    #[test]
    fn no_yaml_panics(parts in proptest::collection::vec(prop_oneof![
        Just("loki:"), Just("\n  "), Just("\n"), Just("labels: "), Just("{"), Just("}"), Just("["), Just("]"), Just(", "),
        Just(": "), Just("- "), Just("&a "), Just("*a "), Just("${"), Just(":-"), Just("$"), Just("rate"), Just("|"),
        Just("30MiB"), Just("!"), Just("?"), Just("'"), Just("\""), Just("---"), Just("select"), Just("pod.label/"),
        Just("tls: "), Just("discovery: "), Just("\t"), Just("é"), Just("~"), Just("0"), Just("#")], 0..40)) {
        let _ = read(&parts.concat(), &env);
    }
}

//! Label sets are read back by a reader of Loki's grammar written for these tests; metadata by the derived message.

use super::{ContainerLabels, Levels, Origin};
use crate::config::Source;
use crate::limits::{LABEL_VALUE_BYTES_MAX, LEVELS_PER_CONTAINER_MAX};
use crate::types::pod::Pod;
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;

type Map<'a> = BTreeMap<String, Source>;

fn sources(pairs: &[(&str, Source)]) -> Map<'static> {
    pairs.iter().map(|(name, source)| ((*name).to_owned(), source.clone())).collect()
}

fn pod(labels: &[(&str, &str)]) -> Pod {
    Pod {
        log_uid: "uid".to_owned(),
        namespace: "ns".to_owned(),
        name: "p-0".to_owned(),
        collect: true,
        json: true,
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        excluded_containers: Vec::new(),
    }
}

fn container(pod: &Pod, labels: &Map<'_>, metadata: &Map<'_>) -> ContainerLabels {
    ContainerLabels::new(Origin { pod, container: "c", node_name: "n" }, labels, metadata, Levels::default())
}

/// Reads `{a="b", c="d"}` as Prometheus' lexer and parser do, for double-quoted strings.
fn read_back(text: &str) -> BTreeMap<String, String> {
    let mut rest = text.strip_prefix('{').unwrap();
    let mut labels = BTreeMap::new();
    while !rest.starts_with('}') {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let name_bytes = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap();
        let (name, after) = rest.split_at(name_bytes);
        assert!(name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic()), "an identifier: {name}");
        let (value, after) = read_string(after.strip_prefix("=\"").unwrap());
        assert!(labels.insert(name.to_owned(), value).is_none(), "each name once");
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    assert_eq!(rest, "}");
    labels
}

fn read_string(mut rest: &str) -> (String, &str) {
    let mut value = Vec::new();
    loop {
        let mut chars = rest.chars();
        match chars.next().expect("the string ends") {
            '"' => return (String::from_utf8(value).expect("UTF-8"), chars.as_str()),
            '\n' => panic!("a newline ends a string"),
            '\u{fffd}' => panic!("the lexer takes it for invalid UTF-8"),
            '\\' => rest = read_escape(chars.as_str(), &mut value),
            c => {
                value.extend(c.to_string().bytes());
                rest = chars.as_str();
            }
        }
    }
}

fn read_escape<'a>(rest: &'a str, value: &mut Vec<u8>) -> &'a str {
    let (kind, rest) = rest.split_at(1);
    let simple = "abfnrtv\\\"".find(kind).map(|at| b"\x07\x08\x0c\n\r\t\x0b\\\""[at]);
    if let Some(byte) = simple {
        value.push(byte);
        return rest;
    }
    let digits = match kind {
        "x" => 2,
        "u" => 4,
        "U" => 8,
        _ => panic!("unknown escape {kind}"),
    };
    let (hex, rest) = rest.split_at(digits);
    let code = u32::from_str_radix(hex, 16).unwrap();
    match kind {
        "x" => value.push(u8::try_from(code).unwrap()),
        _ => value.extend(char::from_u32(code).expect("no surrogate").to_string().bytes()),
    }
    rest
}

#[test]
fn labels_are_sorted_and_absent_or_empty_ones_left_out() {
    let labels = sources(&[
        ("pool_name", Source::PodLabel("pool".into())),
        ("namespace", Source::PodNamespace),
        ("app", Source::PodLabel("app".into())),
        ("role", Source::PodLabel("role".into())),
        ("uid", Source::PodUid),
        ("pod", Source::PodName),
        ("node_name", Source::NodeName),
        ("container", Source::ContainerName),
        ("cluster", Source::Constant("x".into())),
        ("nothing", Source::Constant(String::new())),
        ("level", Source::JsonLevel),
    ]);
    let pod = pod(&[("app", "vllm"), ("role", "")]);
    let mut container = container(&pod, &labels, &Map::new());
    let rest = r#"namespace="ns", node_name="n", pod="p-0", uid="uid"}"#;
    assert_eq!(container.label_set(None).text, format!(r#"{{app="vllm", cluster="x", container="c", {rest}"#));
    assert_eq!(
        container.label_set(Some("INFO")).text,
        format!(r#"{{app="vllm", cluster="x", container="c", level="INFO", {rest}"#)
    );
}

#[test]
fn a_container_without_labels_has_the_empty_label_set() {
    assert_eq!(container(&pod(&[]), &Map::new(), &Map::new()).label_set(Some("x")).text, "{}");
}

#[test]
fn a_seventeenth_level_is_left_out_and_said() {
    let labels = sources(&[("level", Source::JsonLevel), ("severity", Source::JsonLevel), ("a", Source::NodeName)]);
    let mut container = container(&pod(&[]), &labels, &Map::new());
    for n in 0..LEVELS_PER_CONTAINER_MAX {
        for _ in 0..2 {
            let set = container.label_set(Some(&format!("l{n}")));
            assert_eq!(set.text, format!(r#"{{a="n", level="l{n}", severity="l{n}"}}"#));
            assert_eq!((set.index, set.is_level_refused), (n + 1, false));
        }
    }
    let set = container.label_set(Some("more"));
    assert_eq!((set.text, set.index, set.is_level_refused), (r#"{a="n"}"#, 0, true));
    assert!(!container.label_set(Some("l3")).is_level_refused, "one known before is still a label");
    assert!(!container.label_set(None).is_level_refused);
}

#[test]
fn the_bound_of_levels_is_one_for_all_instances_and_label_changes_of_a_container() {
    let labels = sources(&[("level", Source::JsonLevel), ("role", Source::PodLabel("role".into()))]);
    let levels = Levels::default();
    let of = |pod: &Pod| {
        let origin = Origin { pod, container: "c", node_name: "n" };
        ContainerLabels::new(origin, &labels, &Map::new(), levels.clone())
    };
    let mut before = of(&pod(&[("role", "a")]));
    for n in 0..LEVELS_PER_CONTAINER_MAX - 1 {
        assert!(!before.label_set(Some(&format!("l{n}"))).is_level_refused);
    }
    let mut after = of(&pod(&[("role", "b")]));
    assert_eq!(after.label_set(Some("new")).text, r#"{level="new", role="b"}"#, "there was room for one");
    assert_eq!(after.label_set(Some("l3")).text, r#"{level="l3", role="b"}"#, "one known before");
    assert!(after.label_set(Some("more")).is_level_refused);
    assert!(before.label_set(Some("more")).is_level_refused, "also of the one that still runs");
    assert!(!before.label_set(Some("new")).is_level_refused);
}

#[test]
fn without_a_label_from_json_the_level_changes_nothing_and_is_not_refused() {
    let mut container = container(&pod(&[]), &sources(&[("level", Source::Constant("fixed".into()))]), &Map::new());
    for n in 0..=LEVELS_PER_CONTAINER_MAX {
        let set = container.label_set(Some(&n.to_string()));
        assert_eq!((set.text, set.index, set.is_level_refused), (r#"{level="fixed"}"#, 0, false));
    }
}

#[test]
fn the_envelope_has_its_order_and_no_level() {
    let labels = sources(&[
        ("zone", Source::Constant("a\"b".into())),
        ("role", Source::PodLabel("role".into())),
        ("app", Source::PodLabel("app".into())),
        ("cluster", Source::Constant("k".into())),
        ("node_name", Source::NodeName),
        ("namespace", Source::PodNamespace),
        ("pool_name", Source::PodLabel("pool".into())),
        ("level", Source::JsonLevel),
    ]);
    let container = container(&pod(&[("app", "v"), ("role", "r")]), &labels, &Map::new());
    let found: Vec<_> = container.envelope().iter().map(|member| member.json.as_str()).collect();
    let expected = [
        r#""namespace":"ns""#,
        r#""node_name":"n""#,
        r#""app":"v""#,
        r#""role":"r""#,
        r#""cluster":"k""#,
        r#""zone":"a\"b""#,
    ];
    assert_eq!(found, expected);
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(map = "string, string", tag = "3")]
    metadata: std::collections::HashMap<String, String>,
}

#[test]
fn metadata_carries_the_trace_id_under_its_configured_name() {
    let metadata = sources(&[
        ("pod", Source::PodName),
        ("container", Source::ContainerName),
        ("trace", Source::JsonTraceId),
        ("absent", Source::PodLabel("x".into())),
    ]);
    let container = container(&pod(&[]), &Map::new(), &metadata);
    for (trace_id, expected, bytes) in [
        (None, vec![("pod", "p-0"), ("container", "c")], 3 + 3 + 9 + 1),
        (Some("t1"), vec![("pod", "p-0"), ("container", "c"), ("trace", "t1")], 3 + 3 + 9 + 1 + 5 + 2),
    ] {
        let mut out = Vec::new();
        assert_eq!(container.append_metadata(trace_id, &mut out), bytes);
        // A map's entries have the form of a label pair.
        let found = Entry::decode(&out[..]).unwrap().metadata;
        let expected = expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, expected.collect());
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_under_lokis_grammar(
        values in proptest::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", any::<String>(), 0..6),
        level in proptest::option::of("[A-Za-z0-9_-]{1,16}"),
    ) {
        let mut labels: Map<'_> = values.iter().map(|(name, value)| (name.clone(), Source::Constant(value.clone()))).collect();
        labels.insert("level".to_owned(), Source::JsonLevel);
        let mut container = container(&pod(&[]), &labels, &Map::new());
        let mut expected = values;
        expected.remove("level");
        expected.values_mut().for_each(|value| *value = value.replace('\u{fffd}', "?"));
        expected.retain(|_, value| !value.is_empty());
        if let Some(level) = &level {
            expected.insert("level".to_owned(), level.clone());
        }
        prop_assert_eq!(read_back(container.label_set(level.as_deref()).text), expected);
    }

    #[test]
    fn a_long_value_is_cut_at_a_character(value in "[aé漢😀\"\n]{500,2100}") {
        let labels = sources(&[("a", Source::Constant(value.clone()))]);
        let found = read_back(container(&pod(&[]), &labels, &Map::new()).label_set(None).text).remove("a").unwrap();
        prop_assert!(value.starts_with(&found));
        prop_assert!(found.len() <= LABEL_VALUE_BYTES_MAX);
        prop_assert!(found.len() > LABEL_VALUE_BYTES_MAX - 4 || found == value);
    }

    #[test]
    fn every_control_character_reads_back(code in 0..0x3000_u32) {
        let value: String = char::from_u32(code).into_iter().collect();
        let labels = sources(&[("a", Source::Constant(value.clone()))]);
        prop_assert_eq!(read_back(container(&pod(&[]), &labels, &Map::new()).label_set(None).text).remove("a"), Some(value));
    }
}

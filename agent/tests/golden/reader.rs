//! Reads the golden cases, for the test of the rooms and for the one of the whole agent.
//!
//! In: `cases.yaml`. Out: cases, in its order. Never: a judgement.

use saphyr::{LoadableYamlNode, Yaml};
use std::collections::BTreeMap;

/// One case.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) pod_labels: BTreeMap<String, String>,
    pub(crate) is_envelope: bool,
    /// Lines of the log file.
    pub(crate) raw: Vec<String>,
    /// What should come out.
    pub(crate) entries: Vec<Entry>,
}

/// An entry as a case says it should be, or as it came out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) time_ns: i64,
    pub(crate) line: String,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// All of them. What the file leaves out since it is on every entry is filled in.
pub(crate) fn cases() -> Vec<Case> {
    let documents = Yaml::load_from_str(include_str!("cases.yaml")).unwrap();
    items(&documents[0]).iter().map(case).collect()
}

fn case(yaml: &Yaml<'_>) -> Case {
    Case {
        name: yaml["name"].as_str().unwrap().to_owned(),
        pod_labels: text_map(&yaml["pod_labels"]),
        is_envelope: yaml.as_mapping_get("line").is_some(),
        raw: items(&yaml["raw"]).iter().map(|raw| raw.as_str().unwrap().to_owned()).collect(),
        entries: items(&yaml["entries"]).iter().map(entry).collect(),
    }
}

fn entry(yaml: &Yaml<'_>) -> Entry {
    let mut labels = text_map(&yaml["labels"]);
    labels.insert("namespace".to_owned(), "ns".to_owned());
    labels.insert("node_name".to_owned(), "gpu-node-1".to_owned());
    let mut metadata = yaml.as_mapping_get("structured_metadata").map(text_map).unwrap_or_default();
    metadata.insert("pod".to_owned(), "p-0".to_owned());
    metadata.insert("container".to_owned(), "c".to_owned());
    let (time_ns, line) = (yaml["time_ns"].as_integer().unwrap(), yaml["line"].as_str().unwrap().to_owned());
    Entry { labels, time_ns, line, metadata }
}

fn text_map(yaml: &Yaml<'_>) -> BTreeMap<String, String> {
    let pairs = yaml.as_mapping().into_iter().flatten();
    pairs.map(|(key, value)| (key.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned())).collect()
}

fn items<'a>(yaml: &'a Yaml<'a>) -> &'a [Yaml<'a>] {
    yaml.as_sequence().map(Vec::as_slice).unwrap_or_default()
}

//! The golden cases: raw CRI lines through prefix, shape, labels and encoding, read back by the derived messages.
//!
//! Selection, the joining of parts and the next free nanosecond are other rooms' work; here they are done in
//! their simplest form, so that the cases can be used as they are.

use penstock::config::{LineForm, Source};
use penstock::encode;
use penstock::framing::cri;
use penstock::label::{ContainerLabels, Origin};
use penstock::parse::{ShapeContext, Shaper};
use penstock::types::entry::Record;
use penstock::types::pod::Pod;
use prost::Message;
use saphyr::{LoadableYamlNode, Yaml};
use std::collections::{BTreeMap, HashSet};

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamAdapter {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int64, tag = "2")]
    nanos: i64,
}

/// An entry as a case says it should be, or as it came out.
#[derive(Debug, PartialEq)]
struct Entry {
    labels: String,
    time_ns: i64,
    line: String,
    metadata: BTreeMap<String, String>,
}

/// The built-in defaults, name → source.
fn default_labels() -> BTreeMap<String, Source> {
    let label = |key: &str| Source::PodLabel(key.to_owned());
    [
        ("namespace", Source::PodNamespace),
        ("node_name", Source::NodeName),
        ("app", label("app.kubernetes.io/name")),
        ("inference_service", label("app.kubernetes.io/instance")),
        ("pool_name", label("mif.moreh.io/pool")),
        ("role", label("mif.moreh.io/role")),
        ("level", Source::JsonLevel),
    ]
    .map(|(name, source)| (name.to_owned(), source))
    .into()
}

fn default_metadata() -> BTreeMap<String, Source> {
    [("pod", Source::PodName), ("container", Source::ContainerName), ("trace_id", Source::JsonTraceId)]
        .map(|(name, source)| (name.to_owned(), source))
        .into()
}

fn text_map(yaml: &Yaml<'_>) -> BTreeMap<String, String> {
    let pairs = yaml.as_mapping().into_iter().flatten();
    pairs.map(|(key, value)| (key.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned())).collect()
}

fn items<'a>(yaml: &'a Yaml<'a>) -> &'a [Yaml<'a>] {
    yaml.as_sequence().map(Vec::as_slice).unwrap_or_default()
}

fn pod_of(case: &Yaml<'_>) -> Pod {
    let labels = text_map(&case["pod_labels"]);
    let has = |key: &str, value: &str| labels.get(key).is_some_and(|found| found == value);
    let is_gateway = has("app.kubernetes.io/name", "aigateway");
    Pod {
        log_uid: "uid".to_owned(),
        namespace: "ns".to_owned(),
        name: "p-0".to_owned(),
        collect: is_gateway || has("mif.moreh.io/log.collect", "true"),
        json: is_gateway || has("mif.moreh.io/log.format", "json"),
        labels,
        excluded_containers: Vec::new(),
    }
}

fn expected_of(case: &Yaml<'_>) -> Vec<Entry> {
    let entry = |entry: &Yaml<'_>| {
        let mut labels = text_map(&entry["labels"]);
        labels.insert("namespace".to_owned(), "ns".to_owned());
        labels.insert("node_name".to_owned(), "gpu-node-1".to_owned());
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let mut metadata = entry.as_mapping_get("structured_metadata").map(text_map).unwrap_or_default();
        metadata.insert("pod".to_owned(), "p-0".to_owned());
        metadata.insert("container".to_owned(), "c".to_owned());
        let time_ns = entry["time_ns"].as_integer().unwrap();
        Entry {
            labels: format!("{{{}}}", labels.join(", ")),
            time_ns,
            line: entry["line"].as_str().unwrap().to_owned(),
            metadata,
        }
    };
    items(&case["entries"]).iter().map(entry).collect()
}

fn entries_of(case: &Yaml<'_>) -> Vec<Entry> {
    let pod = pod_of(case);
    if !pod.collect {
        return Vec::new();
    }
    let is_envelope = case.as_mapping_get("line").is_some();
    let mut shaper = Shaper::new(if is_envelope { LineForm::Envelope } else { LineForm::Compact });
    let origin = Origin { pod: &pod, container: "c", node_name: "gpu-node-1" };
    let mut labels = ContainerLabels::new(origin, &default_labels(), &default_metadata());
    let envelope = labels.envelope().to_vec();
    let mut open: [Option<(i64, Vec<u8>)>; 2] = [None, None];
    let (mut sent, mut found) = (HashSet::new(), Vec::new());
    for raw in items(&case["raw"]) {
        let raw = raw.as_str().unwrap().as_bytes();
        let prefix = cri::parse_prefix(raw).unwrap();
        let (time_ns, mut content) = open[prefix.std_stream.index()].take().unwrap_or((prefix.time_ns, Vec::new()));
        content.extend_from_slice(&raw[prefix.content_start..]);
        if prefix.is_partial {
            open[prefix.std_stream.index()] = Some((time_ns, content));
            continue;
        }
        while content.last() == Some(&b'\r') {
            content.pop();
        }
        let record = Record { content: &content, full_bytes: content.len() as u64, time_ns };
        let shaped = shaper.shape(record, &ShapeContext { is_json: pod.json, envelope: &envelope });
        let mut metadata = Vec::new();
        labels.append_metadata(shaped.trace_id, &mut metadata);
        let labels = labels.label_set(shaped.level).text;
        let mut time_ns = shaped.time_ns;
        while !sent.insert((labels.to_owned(), time_ns, shaped.line.to_vec())) {
            time_ns += 1;
        }
        found.push(through_the_wire(labels, time_ns, shaped.line, &metadata));
    }
    found
}

fn through_the_wire(labels: &str, time_ns: i64, line: &[u8], metadata: &[u8]) -> Entry {
    let (mut run, mut request, mut body) = (Vec::new(), Vec::new(), Vec::new());
    encode::entry(&mut run, time_ns, line, metadata);
    encode::push_request([(labels, std::iter::once(&run[..]))], &mut request);
    encode::snappy(&request, &mut snap::raw::Encoder::new(), &mut body).unwrap();
    let decoded = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    let stream = PushRequest::decode(&decoded[..]).unwrap().streams.remove(0);
    let [entry] = &stream.entries[..] else { panic!("one entry") };
    let timestamp = entry.timestamp.clone().unwrap();
    let time_ns = timestamp.seconds * 1_000_000_000 + timestamp.nanos;
    Entry { labels: stream.labels, time_ns, line: entry.line.clone(), metadata: entry.metadata.clone() }
}

#[test]
fn every_case_comes_out_as_written() {
    let documents = Yaml::load_from_str(include_str!("golden/cases.yaml")).unwrap();
    let cases = items(&documents[0]);
    assert!(cases.len() >= 23, "the file was read: {} cases", cases.len());
    for case in cases {
        assert_eq!(entries_of(case), expected_of(case), "{}", case["name"].as_str().unwrap());
    }
}

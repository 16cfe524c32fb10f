//! The golden cases: raw CRI lines through prefix, shape, labels and encoding, read back by the derived messages.
//!
//! Selection, the joining of parts and the next free nanosecond are other rooms' work; here they are done in
//! their simplest form, so that the cases can be used as they are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: what fails here is to fail")]

#[path = "golden/reader.rs"]
mod reader;

use penstock::config::{LineForm, Source};
use penstock::encode;
use penstock::framing::cri;
use penstock::label::{ContainerLabels, Levels, Origin};
use penstock::parse::{ShapeContext, Shaper};
use penstock::rfc3339;
use penstock::types::entry::Record;
use penstock::types::pod::Pod;
use prost::Message;
use reader::{Case, Entry};
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

fn pod_of(case: &Case) -> Pod {
    let labels = case.pod_labels.clone();
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

fn entries_of(case: &Case) -> Vec<Entry> {
    let pod = pod_of(case);
    if !pod.collect {
        return Vec::new();
    }
    let mut shaper = Shaper::new(if case.is_envelope { LineForm::Envelope } else { LineForm::Compact });
    let origin = Origin { pod: &pod, container: "c", node_name: "gpu-node-1" };
    let mut labels = ContainerLabels::new(origin, &default_labels(), &default_metadata(), Levels::default());
    let envelope = labels.envelope().to_vec();
    let mut open: [Option<(i64, Vec<u8>)>; 2] = [None, None];
    let (mut sent, mut found) = (HashSet::new(), Vec::new());
    for raw in &case.raw {
        let raw = raw.as_bytes();
        let prefix = cri::parse_prefix(raw, &mut rfc3339::Reader::default()).unwrap();
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
    let mut run = Vec::new();
    encode::entry(&mut run, time_ns, line, metadata);
    let mut packer = encode::Packer::default();
    let body = encode::push_request([(labels, std::iter::once(&run[..]))], &mut packer).unwrap();
    let decoded = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let stream = PushRequest::decode(&decoded[..]).unwrap().streams.remove(0);
    let [entry] = &stream.entries[..] else { panic!("one entry") };
    let timestamp = entry.timestamp.clone().unwrap();
    let time_ns = timestamp.seconds * 1_000_000_000 + timestamp.nanos;
    let pairs = stream.labels.trim_matches(['{', '}']).split(", ").map(|pair| pair.split_once("=\"").unwrap());
    let labels = pairs.map(|(name, value)| (name.to_owned(), value.strip_suffix('"').unwrap().to_owned())).collect();
    Entry { labels, time_ns, line: entry.line.clone(), metadata: entry.metadata.clone() }
}

#[test]
fn every_case_comes_out_as_written() {
    let cases = reader::cases();
    assert!(cases.len() >= 23, "the file was read: {} cases", cases.len());
    for case in cases {
        assert_eq!(entries_of(&case), case.entries, "{}", case.name);
    }
}

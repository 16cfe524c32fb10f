//! The two maps from names to sources: `labels` and `structured_metadata`.
//!
//! In: a mapping of the user's names. Out: names that Loki takes, each with its [`Source`]. Never: a name or a
//! number of them that Loki would refuse at run time.

use super::Source;
use super::error::Problem;
use super::form::{Form, Section};
use crate::limits::{LABEL_NAME_BYTES_MAX, LABELS_MAX, METADATA_PAIRS_MAX};
use std::collections::BTreeMap;

/// Which of the two maps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Labels,
    StructuredMetadata,
}

/// Reads one of the maps; absent means its default.
pub(super) fn map(form: &mut Form<'_>, root: &Section<'_>, half: Half) -> BTreeMap<String, Source> {
    let (key, count_max) = match half {
        Half::Labels => ("labels", LABELS_MAX),
        Half::StructuredMetadata => ("structured_metadata", METADATA_PAIRS_MAX),
    };
    let Some(node) = root.get(key) else { return defaults(half) };
    let section = form.free_section(node, key);
    if half == Half::Labels && section.entries().next().is_none() && matches!(node.kind, super::yaml::Kind::Map(_)) {
        form.report(
            node.place,
            key,
            Problem::Range("no label at all would make one Loki stream of everything; name at least one".to_owned()),
        );
    }
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    for (index, (name, place, node)) in section.entries().enumerate() {
        let path = section.path(name);
        if index == count_max {
            let why = format!(
                "this is number {}, and Loki takes {count_max} here; remove some{}",
                index + 1,
                if half == Half::Labels { ", or move them to structured_metadata" } else { "" }
            );
            form.report(place, &path, Problem::Range(why));
        }
        if !is_name(name) {
            form.report(place, &path, Problem::Name);
        }
        let taken: Vec<Source> = sources.values().cloned().collect();
        if let Some(source) = form.typed(node, &path, |text| check(text, half, &taken)) {
            sources.insert(name.to_owned(), source);
        }
    }
    // Where one could not be read, that is said already.
    let is_whole = !sources.is_empty() && sources.len() == section.entries().count();
    if half == Half::Labels && is_whole && !sources.values().any(is_always_there) {
        let why = "all of these may be absent, and Loki takes no entry without a label; add one that is always there, \
                   e.g. `namespace: pod.namespace` or `node_name: node.name`";
        form.report(node.place, key, Problem::Range(why.to_owned()));
    }
    sources
}

fn is_always_there(source: &Source) -> bool {
    match source {
        Source::PodNamespace | Source::PodName | Source::PodUid | Source::ContainerName | Source::NodeName => true,
        Source::Constant(value) => !value.is_empty(),
        Source::PodLabel(_) | Source::JsonLevel | Source::JsonTraceId => false,
    }
}

fn check(text: &str, half: Half, taken: &[Source]) -> Result<Source, Problem> {
    let source = parse(text)?;
    match (&source, half) {
        (Source::JsonLevel, Half::StructuredMetadata) => {
            return Err(Problem::Misplaced { source_name: "json.level", section: "labels" });
        }
        (Source::JsonTraceId, Half::Labels) => {
            return Err(Problem::Misplaced { source_name: "json.trace_id", section: "structured_metadata" });
        }
        _ => {}
    }
    if matches!(source, Source::JsonLevel | Source::JsonTraceId) && taken.contains(&source) {
        return Err(Problem::Unusable { found: text.to_owned(), why: "it may be named once; remove the other" });
    }
    Ok(source)
}

fn parse(text: &str) -> Result<Source, Problem> {
    if let Some(constant) = text.strip_prefix("value/") {
        return Ok(Source::Constant(constant.to_owned()));
    }
    if let Some(key) = text.strip_prefix("pod.label/") {
        return if is_label_key(key) {
            Ok(Source::PodLabel(key.to_owned()))
        } else {
            Err(Problem::LabelKey(key.to_owned()))
        };
    }
    Ok(match text {
        "pod.namespace" => Source::PodNamespace,
        "pod.name" => Source::PodName,
        "pod.uid" => Source::PodUid,
        "container.name" => Source::ContainerName,
        "node.name" => Source::NodeName,
        "json.level" => Source::JsonLevel,
        "json.trace_id" => Source::JsonTraceId,
        _ => return Err(Problem::Source(text.to_owned())),
    })
}

/// What Loki's label grammar takes; names with `__` in front are its own.
fn is_name(name: &str) -> bool {
    name.len() <= LABEL_NAME_BYTES_MAX
        && !name.starts_with("__")
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `[PREFIX/]NAME` as Kubernetes checks label keys (its `IsQualifiedName`).
fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_end = |b: u8| b.is_ascii_alphanumeric();
    let is_word = |word: &str, more: &[u8]| {
        word.bytes().next().is_some_and(is_end)
            && word.bytes().last().is_some_and(is_end)
            && word.bytes().all(|b| is_end(b) || more.contains(&b))
    };
    name.len() <= 63
        && is_word(name, b"-_.")
        && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(|part| is_word(part, b"-")))
}

fn defaults(half: Half) -> BTreeMap<String, Source> {
    let label = |key: &str| Source::PodLabel(key.to_owned());
    let pairs = match half {
        Half::Labels => vec![
            ("namespace", Source::PodNamespace),
            ("node_name", Source::NodeName),
            ("app", label("app.kubernetes.io/name")),
            ("inference_service", label("app.kubernetes.io/instance")),
            ("pool_name", label("mif.moreh.io/pool")),
            ("role", label("mif.moreh.io/role")),
            ("level", Source::JsonLevel),
        ],
        Half::StructuredMetadata => {
            vec![("pod", Source::PodName), ("container", Source::ContainerName), ("trace_id", Source::JsonTraceId)]
        }
    };
    pairs.into_iter().map(|(name, source)| (name.to_owned(), source)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_read() {
        let good = [
            ("pod.uid", Source::PodUid),
            ("pod.label/app", Source::PodLabel("app".to_owned())),
            ("pod.label/mif.moreh.io/pool", Source::PodLabel("mif.moreh.io/pool".to_owned())),
            ("value/a b/c", Source::Constant("a b/c".to_owned())),
            ("value/", Source::Constant(String::new())),
        ];
        for (text, source) in good {
            assert_eq!(parse(text), Ok(source), "{text}");
        }
        for text in [
            "",
            "pod",
            "pod.labels/app",
            "Pod.name",
            "json.message",
            "pod.label/",
            "pod.label/-a",
            "pod.label/a/b/c",
            "pod.label//a",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_what_loki_takes() {
        assert!(is_name("a") && is_name("_a1") && is_name("A_b"));
        for name in ["", "1a", "a-b", "a.b", "__a", "é", &"a".repeat(1_025)] {
            assert!(!is_name(name), "{name}");
        }
    }
}

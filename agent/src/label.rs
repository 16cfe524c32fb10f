//! The label sets and the structured metadata of one container, made once and then only looked up.
//!
//! In: the pod, the names of container and node, what the configuration takes from where; per line the value of
//! `level`. Out: label sets as Loki reads them, metadata in its protobuf form, the envelope's members. Never: a
//! label that a line can set, other than those taken from `json.level`.

mod envelope;
mod levels;
mod metadata;
mod text;

use crate::config::Source;
use crate::types::entry::EnvelopeMember;
use crate::types::pod::Pod;
pub use levels::Levels;
use metadata::Metadata;
use std::collections::BTreeMap;

/// Where the values of a container's labels and metadata come from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The container's pod.
    pub pod: &'a Pod,
    /// The container's name.
    pub container: &'a str,
    /// The node's name.
    pub node_name: &'a str,
}

/// Label sets and metadata of one container.
#[derive(Clone, Debug)]
pub struct ContainerLabels {
    /// By name, without those taken from `json.level`.
    fixed: BTreeMap<String, String>,
    level_names: Vec<String>,
    base: String,
    /// Values of `level` seen, each with its label set.
    levels: Vec<(String, String)>,
    /// The values that this container may have.
    shared: Levels,
    metadata: Metadata,
    envelope: Vec<EnvelopeMember>,
}

/// A label set of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelSet<'a> {
    /// As Loki reads it: `{a="b", c="d"}`, sorted by name. Equal strings are equal label sets.
    pub text: &'a str,
    /// Numbers the label sets of this container, from 0 for the one without a level; it stays the same for the
    /// life of the [`ContainerLabels`]. At most [`crate::limits::LEVELS_PER_CONTAINER_MAX`].
    pub index: usize,
    /// The container has used up its values of `level`: this one was left out, which is to be counted.
    pub is_level_refused: bool,
}

impl ContainerLabels {
    /// Resolves everything that does not depend on the line. `labels` and `structured_metadata` are the
    /// configuration's, name → source. What is absent or empty is left out. `levels` are those that the container has
    /// used up to now.
    #[must_use]
    pub fn new(
        origin: Origin<'_>,
        labels: &BTreeMap<String, Source>,
        structured_metadata: &BTreeMap<String, Source>,
        levels: Levels,
    ) -> Self {
        let mut fixed = BTreeMap::new();
        for (name, source) in labels {
            let value = value_of(origin, source).map(text::clean).unwrap_or_default();
            if !value.is_empty() {
                fixed.insert(name.clone(), value);
            }
        }
        let level_names = names_of(labels, &Source::JsonLevel);
        let base = text::label_set(fixed.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let constants = structured_metadata.iter().filter_map(|(name, source)| Some((name, value_of(origin, source)?)));
        let metadata = Metadata::new(constants, names_of(structured_metadata, &Source::JsonTraceId));
        let envelope = envelope::members(&fixed);
        Self { fixed, level_names, base, levels: Vec::new(), shared: levels, metadata, envelope }
    }

    /// The label set of a line whose level is `level`, a verified value. Allocates only for a level not seen before.
    pub fn label_set(&mut self, level: Option<&str>) -> LabelSet<'_> {
        let base = LabelSet { text: &self.base, index: 0, is_level_refused: false };
        let Some(level) = level.filter(|level| !level.is_empty() && !self.level_names.is_empty()) else {
            return base;
        };
        let known = self.levels.iter().position(|(value, _)| value == level);
        let index = match known {
            Some(index) => index,
            None if !self.shared.take_in(level) => {
                return LabelSet { is_level_refused: true, ..base };
            }
            None => {
                let mut all = self.fixed.clone();
                all.extend(self.level_names.iter().map(|name| (name.clone(), text::clean(level))));
                let labels = text::label_set(all.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                self.levels.push((level.to_owned(), labels));
                self.levels.len() - 1
            }
        };
        LabelSet { text: &self.levels[index].1, index: index + 1, is_level_refused: false }
    }

    /// Appends an entry's structured metadata to `out`, in its protobuf form (field 3 of `EntryAdapter`, repeated).
    /// Gives its size as Loki counts it: names and values.
    pub fn append_metadata(&self, trace_id: Option<&str>, out: &mut Vec<u8>) -> usize {
        self.metadata.append(trace_id, out)
    }

    /// The labels as members of a JSON object, in the order of the envelope; none taken from `json.level`.
    #[must_use]
    pub fn envelope(&self) -> &[EnvelopeMember] {
        &self.envelope
    }
}

fn names_of(sources: &BTreeMap<String, Source>, wanted: &Source) -> Vec<String> {
    sources.iter().filter(|(_, source)| *source == wanted).map(|(name, _)| name.clone()).collect()
}

fn value_of<'a>(origin: Origin<'a>, source: &'a Source) -> Option<&'a str> {
    let value = match source {
        Source::PodNamespace => &origin.pod.namespace,
        Source::PodName => &origin.pod.name,
        Source::PodUid => &origin.pod.log_uid,
        Source::PodLabel(key) => origin.pod.labels.get(key)?,
        Source::ContainerName => origin.container,
        Source::NodeName => origin.node_name,
        Source::Constant(value) => value,
        Source::JsonLevel | Source::JsonTraceId => return None,
    };
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;

//! Whether a pod's labels match a selector, as Kubernetes decides it.
//!
//! In: selectors and labels. Out: yes or no. Never: a panic or an error; a selector is checked when it is read.

use crate::config::{Requirement, Selector};
use std::collections::BTreeMap;

/// Whether all requirements hold; a selector without any matches everything.
#[must_use]
pub fn matches(selector: &Selector, labels: &BTreeMap<String, String>) -> bool {
    selector.requirements.iter().all(|requirement| match requirement {
        Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
        Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
        Requirement::Exists(key) => labels.contains_key(key),
        Requirement::NotExists(key) => !labels.contains_key(key),
    })
}

/// Whether one of the selectors matches; without any selector nothing does.
#[must_use]
pub fn matches_any(selectors: &[Selector], labels: &BTreeMap<String, String>) -> bool {
    selectors.iter().any(|selector| matches(selector, labels))
}

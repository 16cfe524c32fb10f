//! Labels as members of the JSON object of `line: envelope`.
//!
//! In: the container's labels. Out: one rendered member for each, in the order that dashboards made for Vector's
//! output know. Never: the level, which is the line's own.

use crate::json_string;
use crate::types::entry::EnvelopeMember;
use std::collections::BTreeMap;

/// These first, in this order; others after them by name.
const FIRST: [&str; 6] = ["namespace", "node_name", "app", "inference_service", "pool_name", "role"];

/// Renders each label.
pub(super) fn members(labels: &BTreeMap<String, String>) -> Vec<EnvelopeMember> {
    let first = FIRST.iter().filter_map(|name| labels.get_key_value(*name));
    let others = labels.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
    first.chain(others).map(|(name, value)| member(name, value)).collect()
}

fn member(name: &str, value: &str) -> EnvelopeMember {
    let mut json = String::from("\"");
    json_string::escape(name, &mut json);
    json.push_str("\":\"");
    json_string::escape(value, &mut json);
    json.push('"');
    EnvelopeMember { name: name.to_owned(), json }
}

//! Whether a label set in Loki's words is one of ours.
//!
//! Loki prints labels sorted and quoted as we do, and may have added `service_name` and `__stream_shard__`.

/// Labels that Loki adds of its own accord.
const ADDED: [&str; 2] = ["service_name", "__stream_shard__"];

/// `printed` as in Loki's answer, `ours` as we sent it.
pub(super) fn is_same(printed: &str, ours: &str) -> bool {
    let (Some(mut printed), Some(mut ours)) = (pairs(printed), pairs(ours)) else { return false };
    printed.retain(|(name, _)| !ADDED.contains(name) || ours.iter().any(|(own, _)| own == name));
    printed.sort_unstable();
    ours.sort_unstable();
    printed == ours
}

/// Names and quoted values of `{a="b", c="d"}`.
fn pairs(labels: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = labels.strip_prefix('{')?.strip_suffix('}')?;
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"")?;
        let mut is_escaped = false;
        let end = after.find(|character| {
            let is_end = character == '"' && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            is_end
        })?;
        pairs.push((name.trim_start_matches([',', ' ']), after.get(..end)?));
        rest = after.get(end + 1..)?;
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn what_loki_added_does_not_count() {
        let ours = r#"{app="x", msg="a \"q\", b", node="n"}"#;
        assert!(is_same(ours, ours));
        assert!(is_same(r#"{__stream_shard__="2", app="x", msg="a \"q\", b", node="n", service_name="x"}"#, ours));
        assert!(is_same(r#"{app="x", service_name="s"}"#, r#"{app="x", service_name="s"}"#));
    }

    #[test]
    fn others_are_told_apart_and_nothing_panics() {
        for other in [r#"{app="y"}"#, r#"{app="x", b="c"}"#, "{}", "", "{", r#"{app="x}"#, r#"{app="x\"}"#, "ü"] {
            assert!(!is_same(other, r#"{app="x"}"#), "{other}");
        }
        assert!(!is_same(r#"{app="x", service_name="t"}"#, r#"{app="x", service_name="s"}"#));
    }
}

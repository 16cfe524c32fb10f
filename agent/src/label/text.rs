//! Label sets in the syntax that Loki reads, which is that of PromQL.
//!
//! In: names that were checked at start, and any values. Out: `{a="b", c="d"}`. Never: a string that Loki's
//! distributor or, after it, Loki's ingester refuses.
//!
//! Source: Loki 3.5.1 `pkg/logql/syntax` (`ParseLabels`), Prometheus `promql/parser/lex.go` (`lexString`, `lexEscape`).

use crate::limits::LABEL_VALUE_BYTES_MAX;
use std::fmt::Write as _;

/// A value that Loki takes: cut to its greatest length at a UTF-8 boundary, without U+FFFD.
///
/// Loki's lexer takes a bare U+FFFD for broken UTF-8. Escaping does not help: the distributor prints the
/// labels anew, with a bare one, for the ingester to read. So it becomes `?`.
pub(super) fn clean(value: &str) -> String {
    let value = value.replace(char::REPLACEMENT_CHARACTER, "?");
    value[..value.floor_char_boundary(LABEL_VALUE_BYTES_MAX)].to_owned()
}

/// Prints labels in the order given, which is to be that of their names.
pub(super) fn label_set<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("{");
    for (name, value) in labels {
        if out.len() > 1 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push_str("=\"");
        push_escaped(&mut out, value);
        out.push('"');
    }
    out.push('}');
    out
}

fn push_escaped(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Writing to a string cannot fail.
            c if c.is_ascii_control() => drop(write!(out, "\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
}

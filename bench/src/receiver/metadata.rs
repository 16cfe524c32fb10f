//! Structured metadata as Loki changes it before it stores it.
//!
//! In: a name and value as sent. Out: the name with only letters, digits and `_`, the value without U+FFFD.
//! It never drops a pair.
//!
//! Source: Loki 3.5.1 `pkg/distributor/distributor.go` (`PushWithResolver`) and the vendored
//! `otlptranslator/prometheus/normalize_label.go`.

use bytes::Bytes;

use super::wire::LabelPair;

/// The pair as it is stored.
pub(crate) fn normalized(pair: LabelPair) -> LabelPair {
    let LabelPair { mut name, mut value } = pair;
    let plain = name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_');
    if !plain || name.first().is_some_and(|b| b.is_ascii_digit() || *b == b'_') {
        name = Bytes::from(normalized_name(&String::from_utf8_lossy(&name)));
    }
    if !value.is_ascii() && String::from_utf8_lossy(&value).contains('\u{fffd}') {
        value = Bytes::from(String::from_utf8_lossy(&value).replace('\u{fffd}', ""));
    }
    LabelPair { name, value }
}

fn normalized_name(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("key_{name}")
    } else if name.starts_with('_') && !name.starts_with("__") {
        format!("key{name}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::normalized;
    use crate::receiver::wire::LabelPair;

    #[test]
    fn names_and_values_are_stored_as_loki_stores_them() {
        for (name, value, want_name, want_value) in [
            ("pod", "a".as_bytes(), "pod", "a"),
            ("k8s.pod-name", b"\xffa", "k8s_pod_name", "a"),
            ("1a", "é\u{fffd}".as_bytes(), "key_1a", "é"),
            ("_a", b"", "key_a", ""),
            ("__a", b"", "__a", ""),
        ] {
            let pair = LabelPair { name: name.into(), value: value.to_vec().into() };
            assert_eq!(normalized(pair), LabelPair { name: want_name.into(), value: want_value.into() });
        }
    }
}

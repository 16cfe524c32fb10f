//! The `detected_level` that Loki adds to each entry's structured metadata.
//!
//! In: labels, structured metadata and the line. Out: the level, never empty unless a level label is empty.
//! It never changes the line.
//!
//! Source: Loki 3.5.1 `pkg/distributor/field_detection.go` (severity numbers of OTLP are left out: the push API of
//! this receiver takes none).

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::labels::Labels;
use super::wire::LabelPair;

/// The name under which the level is stored.
pub(crate) const DETECTED_LEVEL: &str = "detected_level";

/// `log_level_fields`.
const FIELDS: [&str; 12] = [
    "level",
    "LEVEL",
    "Level",
    "Severity",
    "severity",
    "SEVERITY",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// `log_level_from_json_max_depth`.
const JSON_DEPTH_MAX: usize = 2;

/// The level to add; none if the entry brings its own `detected_level`.
pub(crate) fn detect(labels: &Labels, metadata: &[LabelPair], line: &[u8]) -> Option<Bytes> {
    let of = |name: &str| metadata.iter().find(|pair| pair.name == name.as_bytes()).map(|pair| pair.value.clone());
    if of(DETECTED_LEVEL).is_some() {
        return None;
    }
    if let Some(value) = FIELDS.iter().find_map(|field| labels.get(field)) {
        return Some(Bytes::copy_from_slice(value.as_bytes())).filter(|value| !value.is_empty());
    }
    if let Some(value) = FIELDS.iter().find_map(|field| of(field)) {
        return Some(value).filter(|value| !value.is_empty());
    }
    Some(Bytes::from_static(from_line(line).as_bytes()))
}

fn from_line(line: &[u8]) -> &'static str {
    let trimmed = line.trim_ascii();
    let field = if trimmed.starts_with(b"{") && trimmed.ends_with(b"}") {
        from_json(line)
    } else if line.contains(&b'=') {
        from_logfmt(line)
    } else {
        None
    };
    field.as_deref().and_then(known).unwrap_or_else(|| from_words(line))
}

fn known(value: &str) -> Option<&'static str> {
    Some(match value.to_ascii_lowercase().as_str() {
        "trace" | "trc" => "trace",
        "debug" | "dbg" => "debug",
        "info" | "inf" => "info",
        "warn" | "wrn" | "warning" => "warn",
        "error" | "err" => "error",
        "critical" => "critical",
        "fatal" => "fatal",
        _ => return None,
    })
}

fn from_words(line: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(line);
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&["info", "INFO"]) {
        "info"
    } else if any(&["err:", "ERR:", "error", "ERROR"]) {
        "error"
    } else if any(&["warn:", "WARN:", "warning", "WARNING"]) {
        "warn"
    } else if any(&["CRITICAL:", "critical:"]) {
        "critical"
    } else if any(&["debug:", "DEBUG:"]) {
        "debug"
    } else {
        "unknown"
    }
}

/// The first level field of a line such as `level=info msg="a b"`, in the order of `FIELDS`.
fn from_logfmt(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let mut best: Option<(usize, String)> = None;
    let mut rest = text.as_ref();
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.rsplit(|c: char| c.is_ascii_whitespace()).next().unwrap_or(key);
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((after, "")),
        };
        let place = FIELDS.iter().position(|field| field.eq_ignore_ascii_case(key));
        if let Some(place) = place.filter(|&place| best.as_ref().is_none_or(|(have, _)| place < *have)) {
            best = Some((place, value.to_owned()));
        }
        rest = after;
    }
    best.map(|(_, value)| value)
}

/// The first string member, in reading order, with a level's name; also one level down.
fn from_json(line: &[u8]) -> Option<String> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(line);
    // What follows the level may be broken; what was found until then counts.
    let _ = Members { depth: 0, found: &mut found }.deserialize(&mut json);
    found
}

struct Members<'a> {
    depth: usize,
    found: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if self.found.is_some() || self.depth >= JSON_DEPTH_MAX {
                map.next_value::<IgnoredAny>()?;
            } else if FIELDS.contains(&key.as_str()) {
                map.next_value_seed(Level(self.found))?;
            } else {
                map.next_value_seed(Members { depth: self.depth + 1, found: self.found })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

struct Level<'a>(&'a mut Option<String>);

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let value: serde_json::Value = serde::Deserialize::deserialize(json)?;
        if let serde_json::Value::String(level) = value {
            *self.0 = Some(level);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Labels, detect};
    use crate::receiver::wire::Entry;

    #[test]
    fn the_level_is_found_where_loki_finds_it() {
        for (line, level) in [
            ("plain", "unknown"),
            ("an ERROR here", "error"),
            ("info before error", "info"),
            (r#"{"msg":"an error","level":"WARN"}"#, "warn"),
            (r#"{"a":[1,{"level":"fatal"}],"b":{"severity":"dbg"}}"#, "debug"),
            (r#"{"a":{"b":{"level":"fatal"}}}"#, "unknown"),
            (r#"{"level":3,"lvl":"trc"}"#, "trace"),
            (r#"ts=1 lvl=info level="error" x"#, "error"),
            ("", "unknown"),
        ] {
            assert_eq!(detect(&Labels::default(), &[], line.as_bytes()).unwrap(), level, "{line}");
        }
        let labels = Labels::default().with("level", "Strange");
        assert_eq!(detect(&labels, &[], b"error").unwrap(), "Strange");
        let metadata = Entry::new(0, "", &[("severity", "INFO")]).structured_metadata;
        assert_eq!(detect(&Labels::default(), &metadata, b"error").unwrap(), "INFO");
        let own = Entry::new(0, "", &[("detected_level", "x")]).structured_metadata;
        assert_eq!(detect(&labels, &own, b"error"), None);
    }
}

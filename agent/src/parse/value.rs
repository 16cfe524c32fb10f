//! The value of a member of a JSON object, from the offset of its key.
//!
//! In: a text that a JSON reader has accepted, and where a key's inside begins. Out: slices of the text.
//! Never: a check of the JSON; on other text the result is of no use, but nothing panics.

use crate::json_string;
use std::ops::Range;

/// A value as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// The inside of a string, escapes and all.
    String(&'a str),
    /// A number.
    Number(&'a str),
    /// `true`, `false`, `null`, an array or an object.
    Other,
}

/// The range of a key's inside, from its first byte to before its closing quote.
pub(super) fn key_range(text: &str, key_start: usize) -> Range<usize> {
    key_start..key_start + string_bytes(text.as_bytes().get(key_start..).unwrap_or_default())
}

/// The value that belongs to the key whose inside begins at `key_start`.
pub(super) fn after_key(text: &str, key_start: usize) -> Value<'_> {
    let mut at = key_range(text, key_start).end + 1;
    let bytes = text.as_bytes();
    while let Some(b' ' | b'\t' | b'\n' | b'\r' | b':') = bytes.get(at) {
        at += 1;
    }
    match bytes.get(at) {
        Some(b'"') => text.get(key_range(text, at + 1)).map_or(Value::Other, Value::String),
        Some(b'-' | b'0'..=b'9') => {
            let is_number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
            let len = bytes[at..].iter().take_while(is_number).count();
            text.get(at..at + len).map_or(Value::Other, Value::Number)
        }
        _ => Value::Other,
    }
}

/// What the inside of a string stands for, where that is at most `bytes_max`.
pub(super) fn string<'a>(raw: &'a str, bytes_max: usize, unescaped: &'a mut String) -> Option<&'a str> {
    // An escape takes at most six bytes for each byte that it stands for.
    if raw.len() > 6 * bytes_max {
        return None;
    }
    let text = if memchr::memchr(b'\\', raw.as_bytes()).is_some() {
        unescaped.clear();
        json_string::unescape(raw, unescaped);
        unescaped
    } else {
        raw
    };
    (text.len() <= bytes_max).then_some(text)
}

/// Bytes up to the closing quote of a string.
fn string_bytes(inside: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = inside.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if inside[at] == b'"' {
            return at;
        }
        at += 2;
    }
    inside.len()
}

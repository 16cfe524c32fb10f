//! JSON string escapes, both ways; a leaf below `framing` (docker), `parse` and `label`.
//!
//! In: the inside of a JSON string that a parser has accepted, or any text. Out: the other form, appended to
//! a buffer of the caller. Never: the quotes, or a check of what a parser has checked.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Appends what `raw`, the inside of a valid JSON string, stands for. A surrogate without its other half,
/// which the grammar lets through, becomes U+FFFD.
pub fn unescape(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (c, after) = code_point(chars.as_str());
                out.push(c);
                rest = after;
                continue;
            }
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// [`unescape`] that copies only where it must.
#[must_use]
pub fn unescaped(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    unescape(raw, &mut out);
    Cow::Owned(out)
}

/// The character of `XXXX` or `XXXX\uXXXX`, and what follows.
fn code_point(text: &str) -> (char, &str) {
    let Some((unit, rest)) = hex4(text) else {
        return (char::REPLACEMENT_CHARACTER, "");
    };
    if (0xd800..0xdc00).contains(&unit)
        && let Some((low, after)) = rest.strip_prefix("\\u").and_then(hex4)
        && (0xdc00..0xe000).contains(&low)
    {
        let c = char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
        return (c.unwrap_or(char::REPLACEMENT_CHARACTER), after);
    }
    (char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
}

fn hex4(text: &str) -> Option<(u32, &str)> {
    let (hex, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(hex, 16).ok()?, rest))
}

/// Appends `text` as the inside of a JSON string: `"`, `\` and control characters escaped, all else as it is.
pub fn escape(text: &str, out: &mut String) {
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if escaped_bytes(byte) == 1 {
            continue;
        }
        out.push_str(&text[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x8 => out.push_str("\\b"),
            0xc => out.push_str("\\f"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "\\u{byte:04x}")),
        }
    }
    out.push_str(&text[start..]);
}

/// Bytes that one byte of a text takes after [`escape`].
#[must_use]
pub const fn escaped_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | 0x8 | 0xc | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{escape, escaped_bytes, unescaped};
    use proptest::prelude::*;

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        for (raw, text) in [
            ("\\ud800", "\u{fffd}"),
            ("\\udc00x", "\u{fffd}x"),
            ("\\ud800\\u0041", "\u{fffd}A"),
            ("\\ud800\\ud83d\\ude00", "\u{fffd}\u{1f600}"),
            ("\\ud83d\\ude00", "\u{1f600}"),
            ("a\\/b\\\"\\\\", "a/b\"\\"),
        ] {
            assert_eq!(unescaped(raw), text, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_reads_back_and_has_the_promised_length(text in any::<String>()) {
            let mut out = String::new();
            escape(&text, &mut out);
            prop_assert_eq!(out.len(), text.bytes().map(escaped_bytes).sum::<usize>());
            prop_assert_eq!(&serde_json::from_str::<String>(&format!("\"{out}\"")).unwrap(), &text);
            prop_assert_eq!(unescaped(&out), text);
        }

        #[test]
        fn unescapes_like_an_independent_reader(raw in "([ -!#-\\[\\]-~é😀]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-cA-CeE][0-9a-f]{3})*") {
            if let Ok(oracle) = serde_json::from_str::<String>(&format!("\"{raw}\"")) {
                prop_assert_eq!(unescaped(&raw), oracle);
            }
        }
    }
}

//! Lines that are too long, as they are or as they would be sent.

use super::{Found, json, shape, shape_full, text_found};
use crate::config::LineForm;
use crate::limits::{LINE_BYTES_MAX, LINE_KEPT_BYTES_MAX};

/// Checks the marker of a cut line; gives what stands before it.
fn shown(found: &Found) -> &str {
    let (shown, marker) = found.line.rsplit_once(" …[truncated ").expect("a marker");
    assert_eq!(marker, format!("{} bytes]", found.cut_bytes));
    assert_eq!((found.level.as_ref(), found.trace_id.as_ref(), found.is_time_refused), (None, None, false));
    shown
}

#[test]
fn a_line_of_the_greatest_length_is_whole_and_one_byte_more_is_cut() {
    let line = "x".repeat(LINE_BYTES_MAX);
    assert_eq!(json(&line), text_found(&line));
    let found = json(&format!("{line}x"));
    assert_eq!(found.line.len(), LINE_BYTES_MAX);
    assert_eq!(shown(&found).len() as u64 + found.cut_bytes, LINE_BYTES_MAX as u64 + 1);
}

#[test]
fn of_a_longer_line_the_full_length_counts() {
    let kept = "y".repeat(LINE_KEPT_BYTES_MAX);
    for full_bytes in [262_146, 1_000_000, 100_000_000, u64::MAX] {
        let found = shape_full(kept.as_bytes(), full_bytes, true, LineForm::Compact, &[]);
        assert_eq!(found.line.len(), LINE_BYTES_MAX);
        assert_eq!(shown(&found).len() as u64 + found.cut_bytes, full_bytes);
    }
    let found = shape_full(b"ab\xe6\xbc", 10, false, LineForm::Compact, &[]);
    assert_eq!((shown(&found), found.cut_bytes), ("ab", 8), "half a character at the end is cut, not invalid");
    let found = shape_full(b"ab\xff", 10, false, LineForm::Compact, &[]);
    assert_eq!((shown(&found), found.cut_bytes), ("ab\u{fffd}", 7));
}

#[test]
fn a_cut_never_halves_a_character() {
    for (unit, bytes) in [("é", 2), ("漢", 3), ("😀", 4)] {
        for shift in 0..4 {
            let line = format!("{}{}", "x".repeat(shift), unit.repeat(LINE_BYTES_MAX / bytes + 1));
            let found = json(&line);
            assert!(line.starts_with(shown(&found)));
            assert_eq!(shown(&found).len() as u64 + found.cut_bytes, line.len() as u64);
            assert!(found.line.len() > LINE_BYTES_MAX - bytes);
        }
    }
}

#[test]
fn a_line_too_long_only_after_replacing_is_cut() {
    let line = vec![0xff; LINE_BYTES_MAX / 2];
    let found = shape(&line, true, LineForm::Compact);
    let characters = shown(&found).chars().count();
    assert!(shown(&found).chars().all(|c| c == '\u{fffd}'));
    assert_eq!(characters as u64 + found.cut_bytes, line.len() as u64, "N counts bytes of the original");
    assert!(found.line.len() > LINE_BYTES_MAX - 3);
}

#[test]
fn json_too_long_only_after_renaming_is_cut_text() {
    let json_line = |bytes: usize| format!(r#"{{"level":"INFO","msg":"{}"}}"#, "x".repeat(bytes - 25));
    let fits = json(&json_line(LINE_BYTES_MAX - 4));
    assert_eq!((fits.line.len(), fits.level.as_deref(), fits.cut_bytes), (LINE_BYTES_MAX, Some("INFO"), 0));
    let line = json_line(LINE_BYTES_MAX - 3);
    let found = json(&line);
    assert!(line.starts_with(shown(&found)), "not renamed: it goes as text");
    assert_eq!(shown(&found).len() as u64 + found.cut_bytes, line.len() as u64);
    assert_eq!(found.line.len(), LINE_BYTES_MAX);
    let doubled = format!("{{{}\"msg\":1}}", "\"msg\":1,".repeat(LINE_BYTES_MAX / 9));
    assert_eq!(json(&doubled), text_found(&doubled), "nothing to mark where the text is whole");
}

#[test]
fn json_too_long_before_it_is_parsed_is_cut_text() {
    let line = format!(r#"{{"level":"INFO","msg":"{}"}}"#, "x".repeat(LINE_BYTES_MAX));
    let found = json(&line);
    assert!(line.starts_with(shown(&found)));
}

#[test]
fn an_envelope_that_is_too_long_is_a_text_whose_message_is_cut() {
    let json_line = format!(r#"{{"level":"INFO","msg":"{}"}}"#, "\\\"".repeat(LINE_BYTES_MAX / 2 - 20));
    for line in ["\"\n\0漢".repeat(LINE_BYTES_MAX / 8), "x".repeat(LINE_BYTES_MAX - 10), json_line] {
        let found = shape(line.as_bytes(), true, LineForm::Envelope);
        let value: serde_json::Value = serde_json::from_str(&found.line).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 3);
        assert_eq!(value["role"], "decode");
        let message = Found { line: value["message"].as_str().unwrap().to_owned(), ..found };
        assert!(line.starts_with(shown(&message)));
        assert_eq!(shown(&message).len() as u64 + message.cut_bytes, line.len() as u64);
        assert!(found_bytes(&line) > LINE_BYTES_MAX - 6, "no room is wasted");
    }
}

fn found_bytes(line: &str) -> usize {
    shape(line.as_bytes(), true, LineForm::Envelope).line.len()
}

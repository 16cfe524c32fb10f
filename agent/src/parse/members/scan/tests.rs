//! What the look takes is held against serde_json, on JSON and on JSON with a fault.

use super::*;
use crate::parse::members::strict;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn keys(text: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    let note = |start, end| text.get(start..end).map(|key: &str| keys.push(key.to_owned()));
    (scan.object(note).is_some() && scan.at == text.len()).then_some(keys)
}

#[test]
fn usual_lines_are_taken() {
    for (text, names) in [
        ("{}", &[][..]),
        (" \t{ } \r\n", &[]),
        (
            r#"{"a":1,"b" : "x\"\\\u00e9" , "c":[ ],"d":{"e":[{"f":-0.5e+3},true,null]},"é":false}"#,
            &["a", "b", "c", "d", "é"],
        ),
    ] {
        let names = names.iter().map(ToString::to_string).collect();
        assert_eq!(keys(text), Some(names));
    }
}

#[test]
fn of_what_it_is_not_sure_it_says_nothing() {
    assert_eq!(keys(r#"{"\u0061":1}"#), None);
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(keys(&nested(63)).is_some());
    assert!(keys(&nested(64)).is_none());
}

#[test]
fn a_special_byte_is_found_at_each_place_and_no_other() {
    for byte in 0..=u8::MAX {
        let is_special = matches!(byte, b'"' | b'\\' | ..0x20);
        for place in 0..8 {
            for around in [b'a', 0x7f, 0x80, 0xff, b'!', b'#', b'[', b']', b' '] {
                let mut chunk = [around; 8];
                chunk[place] = byte;
                assert_eq!(first_special(chunk), is_special.then_some(place), "{byte} among {around}");
            }
        }
    }
}

/// In one of the scalars.
const ESCAPES: &str = r#"\"\\\n\ud800"#;

const SCALARS: [&str; 12] = [
    "0",
    "-1",
    "1.50",
    "2e3",
    "1E-999",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a longer text é\"",
    r#""\"\\\n\ud800""#,
    "\"\u{7f}[]{},:\"",
];

/// A value of at most four levels.
fn value() -> impl Strategy<Value = String> {
    let blank = || select(vec!["", "", "", " ", "\t\r\n"]);
    select(SCALARS.to_vec()).prop_map(str::to_owned).prop_recursive(4, 24, 5, move |inner| {
        let key = select(vec![
            "\"\"",
            "\"a\"",
            "\"msg\"",
            "\"time\"",
            "\"level\"",
            "\"message\"",
            "\"another key é\"",
            r#""\u0061""#,
        ]);
        let member =
            (key, blank(), blank(), inner.clone()).prop_map(|(key, a, b, value)| format!("{key}{a}:{b}{value}"));
        let list = |of: BoxedStrategy<String>, ends: (&'static str, &'static str)| {
            let items = proptest::collection::vec((blank(), of, blank()), 0..5);
            items.prop_map(move |items| {
                let items: Vec<_> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
                format!("{}{}{}", ends.0, items.join(","), ends.1)
            })
        };
        prop_oneof![list(inner.boxed(), ("[", "]")), list(member.boxed(), ("{", "}"))]
    })
}

/// Holds what is taken of `text` against what serde_json takes. Whether it is an object. Where there are other escapes than those
/// of a scalar, a key may have them, and it need not be taken.
fn compare(text: &str) -> Result<bool, TestCaseError> {
    let (mut members, mut scanned) = (Members::default(), Members::default());
    let is_object = strict::read(text, &mut members, &[]);
    if read(text, &mut scanned, &[]) {
        prop_assert!(is_object, "{}", text);
        prop_assert_eq!(format!("{scanned:?}"), format!("{members:?}"), "{}", text);
    } else {
        prop_assert!(!is_object || text.replace(ESCAPES, "").contains('\\'), "{}", text);
    }
    Ok(is_object)
}

proptest! {
    #[test]
    fn it_takes_every_object(value in value(), before in select(vec!["", " "])) {
        let text = format!("{before}{{\"k\":{value}}}");
        prop_assert!(compare(&text)?, "{}", text);
        compare(&value)?;
    }

    #[test]
    fn it_takes_what_serde_json_takes_where_there_is_a_fault(
        value in value(),
        at in any::<Index>(),
        length in 0_usize..3,
        fault in select(vec!["", "{", "}", "[", "]", ",", ":", "\"", "\\", " ", "0", "1", "-", ".", "e", "+", "t", "\u{1}", "漢"]),
    ) {
        let mut text = format!("{{\"k\":{value}}}");
        let start = text.floor_char_boundary(at.index(text.len()));
        let end = text.ceil_char_boundary((start + length).min(text.len()));
        text.replace_range(start..end, fault);
        compare(&text)?;
    }
}

//! "What becomes of a line", sentence by sentence, as far as it is decided here.

mod long;

use super::{ShapeContext, Shaper};
use crate::config::LineForm;
use crate::limits::LINE_BYTES_MAX;
use crate::types::entry::{EnvelopeMember, Record};

/// 2026-08-22T10:00:00Z.
const BASE_NS: i64 = 1_787_392_800_000_000_000;

/// A shape that owns what it says.
#[derive(Debug, Default, PartialEq)]
struct Found {
    line: String,
    /// After [`BASE_NS`].
    time_ns: i64,
    level: Option<String>,
    trace_id: Option<String>,
    cut_bytes: u64,
    is_time_refused: bool,
}

fn members() -> Vec<EnvelopeMember> {
    [("namespace", "ns"), ("role", "decode")]
        .map(|(name, value)| EnvelopeMember { name: name.into(), json: format!("\"{name}\":\"{value}\"") })
        .into()
}

fn shape_full(content: &[u8], full_bytes: u64, is_json: bool, form: LineForm, envelope: &[EnvelopeMember]) -> Found {
    let mut shaper = Shaper::new(form);
    let mut shape = |content| {
        let record = Record { content, full_bytes, time_ns: BASE_NS };
        let shaped = shaper.shape(record, &ShapeContext { is_json, envelope });
        Found {
            line: String::from_utf8(shaped.line.to_vec()).expect("what is sent is UTF-8"),
            time_ns: shaped.time_ns - BASE_NS,
            level: shaped.level.map(str::to_owned),
            trace_id: shaped.trace_id.map(str::to_owned),
            cut_bytes: shaped.cut_bytes,
            is_time_refused: shaped.is_time_refused,
        }
    };
    let first = shape(content);
    assert!(first.line.len() <= LINE_BYTES_MAX);
    assert_eq!(shape(content), first, "buffers used before change nothing");
    first
}

fn shape(content: &[u8], is_json: bool, form: LineForm) -> Found {
    shape_full(content, content.len() as u64, is_json, form, &members())
}

fn json(content: &str) -> Found {
    shape(content.as_bytes(), true, LineForm::Compact)
}

fn enveloped(content: &str) -> String {
    shape(content.as_bytes(), true, LineForm::Envelope).line
}

fn text_found(line: &str) -> Found {
    Found { line: line.to_owned(), ..Found::default() }
}

#[test]
fn text_goes_as_it_is_even_if_it_looks_like_json() {
    for line in ["", " ", "a\rb", "\0\u{1}", "é漢😀", r#"{"level":"INFO","msg":"m","time":1,"trace_id":"t"}"#] {
        assert_eq!(shape(line.as_bytes(), false, LineForm::Compact), text_found(line));
    }
}

#[test]
fn each_maximal_invalid_part_becomes_one_replacement_character() {
    for (bytes, line) in [
        (&b"a\xffb"[..], "a\u{fffd}b"),
        (b"\xff\xfe", "\u{fffd}\u{fffd}"),
        (b"\xe6\xbc", "\u{fffd}"),
        (b"\xf0\x9f\x98x", "\u{fffd}x"),
        (b"\xe6\xbc\xe6\xbc\xa2", "\u{fffd}\u{6f22}"),
        (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        (b"\xc0\x80", "\u{fffd}\u{fffd}"),
    ] {
        assert_eq!(shape(bytes, false, LineForm::Compact), text_found(line));
    }
    let found = shape(b"{\"level\":\"a\",\"msg\":\"x\xff\"}", true, LineForm::Compact);
    assert_eq!(found.line, "{\"level\":\"a\",\"message\":\"x\u{fffd}\"}", "replaced before JSON is looked at");
    assert_eq!(found.level.as_deref(), Some("a"));
}

#[test]
fn keys_are_renamed_and_every_other_byte_stays() {
    for (line, sent) in [
        (r#"{"msg":"m"}"#, r#"{"message":"m"}"#),
        (r#"{"msg":"m","message":"n"}"#, r#"{"msg":"m","message":"n"}"#),
        (r#"{"message":"n","msg":"m"}"#, r#"{"message":"n","msg":"m"}"#),
        (r#"{"msg":1,"msg":2}"#, r#"{"message":1,"message":2}"#),
        (r#"{"m\u0073g":"m"}"#, r#"{"message":"m"}"#),
        (r#"{"msg":1,"m\u0065ssage":2}"#, r#"{"msg":1,"m\u0065ssage":2}"#),
        (r#"{"Msg":1,"MSG":2,"msg ":3}"#, r#"{"Msg":1,"MSG":2,"msg ":3}"#),
        (" \t{ \"msg\" :\t\"m\" , \"a\" : 1 } \r", " \t{ \"message\" :\t\"m\" , \"a\" : 1 } \r"),
        (r#"{"a":{"msg":1},"b":[{"time":2}]}"#, r#"{"a":{"msg":1},"b":[{"time":2}]}"#),
        (r#"{"a":"msg","msg":"time"}"#, r#"{"a":"msg","message":"time"}"#),
        (r#"{"a\"msg":1,"\\":"\"","msg":2}"#, r#"{"a\"msg":1,"\\":"\"","message":2}"#),
        (
            r#"{"n":1.0,"e":1E+3,"big":123456789012345678901234567890,"z":-0,"u":"\u00e9\/"}"#,
            r#"{"n":1.0,"e":1E+3,"big":123456789012345678901234567890,"z":-0,"u":"\u00e9\/"}"#,
        ),
        ("{}", "{}"),
        (" { } ", " { } "),
    ] {
        assert_eq!(json(line), text_found(sent), "{line}");
    }
    let both = json(r#"{"time":1,"msg":2,"time":3,"m\u0073g":4}"#);
    assert_eq!(both.line, r#"{"timestamp":1,"message":2,"timestamp":3,"message":4}"#);
    assert_eq!(json(r#"{"time":1,"timestamp":2}"#).line, r#"{"time":1,"timestamp":2}"#);
}

#[test]
fn valid_json_beyond_the_fast_readers_ranges_is_still_json() {
    let deep = format!(r#"{{"a":{}1{},"msg":2}}"#, "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(json(&deep).line, deep.replace("msg", "message"));
    for line in [
        r#"{"a":1e999,"msg":1}"#,
        r#"{"a":-1e-999,"msg":1}"#,
        r#"{"a":"\ud800","msg":1}"#,
        r#"{"\udc00":1,"msg":1}"#,
        r#"{"a":99999999999999999999999999999999999999999999999,"msg":1}"#,
    ] {
        assert_eq!(json(line).line, line.replace("msg", "message"));
        assert_eq!(json(&line.replace("1}", "1,\"l\\u0065vel\":\"\\u0041\"}")).level.as_deref(), Some("A"));
    }
}

#[test]
fn anything_that_is_no_object_is_text() {
    for line in [
        "",
        "x",
        "42",
        "[1,2]",
        "\"x\"",
        "null",
        "true",
        "{",
        "}",
        "{{}}",
        "{}{}",
        "{} x",
        "x {}",
        "{\"msg\"}",
        "{\"msg\":}",
        "{\"msg\":1,}",
        "{,\"msg\":1}",
        "{'msg':1}",
        "{msg:1}",
        "{\"msg\":01}",
        "{\"msg\":1.}",
        "{\"msg\":.5}",
        "{\"msg\":+1}",
        "{\"msg\":-}",
        "{\"msg\":1e}",
        "{\"msg\":NaN}",
        "{\"msg\":Infinity}",
        "{\"msg\":tru}",
        "{\"msg\":True}",
        "{\"msg\":\"a\tb\"}",
        "{\"msg\":\"a\u{1}b\"}",
        "{\"msg\":\"\\x41\"}",
        "{\"msg\":\"\\u12g4\"}",
        "{\"msg\":1 2}",
        "{\"msg\" 1}",
        "{\"msg\":1 \"a\":2}",
        "{\"msg\":[1,]}",
        "{\"msg\":[1 2]}",
        "{\"msg\":[}",
        "{\"msg\":1}]",
        "{1:2}",
        "{\"msg\":1}/**/",
        "\u{feff}{\"msg\":1}",
        "\u{c}{\"msg\":1}",
        "{\"msg\":1}\0",
        "{\"msg\":1\0}",
        "{\"msg\":0x1}",
        "{\"msg\":1_0}",
        "{\"msg\":\"}",
        "{\"msg\":1;}",
        "{\"msg\":\"\\\"}",
    ] {
        assert_eq!(json(line), text_found(line));
    }
}

#[test]
fn a_level_is_a_short_word_or_a_number_verbatim() {
    for (value, level) in [
        (r#""INFO""#, Some("INFO")),
        (r#""warn""#, Some("warn")),
        (r#""a_B-9""#, Some("a_B-9")),
        (r#""1234567890123456""#, Some("1234567890123456")),
        (r#""12345678901234567""#, None),
        (r#""""#, None),
        (r#""a b""#, None),
        (r#""a.b""#, None),
        (r#""é""#, None),
        (r#""a\"b""#, None),
        (r#""I\u004eFO""#, Some("INFO")),
        (
            r#""\u0031\u0032\u0033\u0034\u0035\u0036\u0037\u0038\u0031\u0032\u0033\u0034\u0035\u0036\u0037\u0038""#,
            Some("1234567812345678"),
        ),
        ("30", Some("30")),
        ("-1", Some("-1")),
        ("1e3", Some("1e3")),
        ("1.5", None),
        ("1e+3", None),
        ("12345678901234567", None),
        ("true", None),
        ("null", None),
        ("[1]", None),
        ("{\"a\":1}", None),
    ] {
        for line in [format!(r#"{{"level":{value}}}"#), format!(r#"{{"level":"no","level" : {value} ,"x":1}}"#)] {
            assert_eq!(json(&line), Found { level: level.map(str::to_owned), ..text_found(&line) });
        }
    }
    assert_eq!(json(r#"{"Level":"a","nested":{"level":"b"}}"#).level, None);
}

#[test]
fn a_trace_id_is_a_string_of_1_to_256_bytes() {
    let (longest, too_long) = ("x".repeat(256), "x".repeat(257));
    for (value, trace_id) in [
        ("\"t1\"", Some("t1")),
        ("\"\"", None),
        ("1", None),
        ("null", None),
        (r#""a\n\u00e9\"""#, Some("a\né\"")),
        (&*format!("\"{longest}\""), Some(&*longest)),
        (&*format!("\"{too_long}\""), None),
        (&*format!("\"{}\"", "\\u00e9".repeat(128)), Some(&*"é".repeat(128))),
        (&*format!("\"{}\"", "\\u00e9".repeat(129)), None),
    ] {
        let line = format!(r#"{{"trace_id":{value}}}"#);
        assert_eq!(json(&line), Found { trace_id: trace_id.map(str::to_owned), ..text_found(&line) });
        assert_eq!(json(&format!(r#"{{"trace_id":"a","trace_id":{value}}}"#)).trace_id.as_deref(), trace_id);
    }
}

#[test]
fn the_own_time_is_that_of_timestamp_else_of_time() {
    let second = 1_000_000_000;
    for (members, time_ns, is_time_refused) in [
        (r#""time":"2026-08-22T10:00:01Z""#, second, false),
        (r#""timestamp":"2026-08-22T12:00:01.5+02:00""#, second * 3 / 2, false),
        (r#""timestamp":"2026-08-22T10:00:01Z","time":"2026-08-22T10:00:02Z""#, second, false),
        (r#""time":"2026-08-22T10:00:02Z","timestamp":"2026-08-22T10:00:01Z""#, second, false),
        (r#""time":"2026-08-22T10:00:02Z","timestamp":"no""#, 0, true),
        (r#""time":"2026-08-22T10:00:01Z","time":"2026-08-22T10:00:02Z""#, 2 * second, false),
        (r#""time":"2026-08-22T10:00:01Z","time":null"#, 0, true),
        (r#""time":"2026-08-22T10:00:01\u005a""#, second, false),
        (r#""time":1787392801"#, second, false),
        (r#""time":1787392801.5"#, second * 3 / 2, false),
        (r#""time":1.787392801e9"#, second, false),
        (r#""time":1787392801000"#, second, false),
        (r#""time":1787392801000000"#, second, false),
        (r#""time":1787392801000000001"#, second + 1, false),
        (r#""time":"1787392801""#, 0, true),
        (r#""time":"2026-08-22T09:30:00Z""#, -1800 * second, false),
        (r#""time":"2026-08-22T09:29:59.999999999Z""#, 0, true),
        (r#""time":"2026-08-22T10:09:30Z""#, 570 * second, false),
        (r#""time":"2026-08-22T10:10:00Z""#, 0, true),
        (r#""time":"1999-01-01T00:00:00Z""#, 0, true),
        (r#""time":{"a":1}"#, 0, true),
        (r#""ts":"2026-08-22T10:00:01Z""#, 0, false),
    ] {
        let found = json(&format!("{{{members}}}"));
        assert_eq!((found.time_ns, found.is_time_refused), (time_ns, is_time_refused), "{members}");
    }
    for digits in [9, 256, 2_000, 100_000] {
        let fraction = "5".repeat(digits);
        for own in [format!(r#""2026-08-22T10:00:01.{fraction}Z""#), format!("1787392801.{fraction}")] {
            let found = json(&format!(r#"{{"time":{own}}}"#));
            assert_eq!((found.time_ns, found.is_time_refused), (second + 555_555_555, false), "{digits} digits");
        }
    }
}

#[test]
fn the_envelope_holds_labels_first_and_the_lines_own_member_wins() {
    for (line, sent) in [
        ("", r#"{"namespace":"ns","role":"decode","message":""}"#),
        ("42", r#"{"namespace":"ns","role":"decode","message":"42"}"#),
        ("a\"\\\n\0é", r#"{"namespace":"ns","role":"decode","message":"a\"\\\n\u0000é"}"#),
        ("{}", r#"{"namespace":"ns","role":"decode"}"#),
        (" { } ", r#" {"namespace":"ns","role":"decode" } "#),
        (r#"{"a":1}"#, r#"{"namespace":"ns","role":"decode","a":1}"#),
        (" { \"a\" : 1 }", " {\"namespace\":\"ns\",\"role\":\"decode\", \"a\" : 1 }"),
        (r#"{"role":"user","msg":"m"}"#, r#"{"namespace":"ns","role":"user","message":"m"}"#),
        (r#"{"r\u006fle":1,"namespace":2}"#, r#"{"r\u006fle":1,"namespace":2}"#),
        (r#"{"a":{"role":1}}"#, r#"{"namespace":"ns","role":"decode","a":{"role":1}}"#),
        (r#"{"role":1e999}"#, r#"{"namespace":"ns","role":1e999}"#),
    ] {
        assert_eq!(enveloped(line), sent);
    }
    assert_eq!(shape_full(b"{}", 2, true, LineForm::Envelope, &[]).line, "{}");
    assert_eq!(shape_full(b"x", 1, true, LineForm::Envelope, &[]).line, r#"{"message":"x"}"#);
}

#[test]
fn a_clash_in_the_envelope_is_one_of_names_as_sent() {
    let labels = ["message", "msg", "timestamp", "time"]
        .map(|name| EnvelopeMember { name: name.into(), json: format!("\"{name}\":\"label\"") });
    for (line, sent) in [
        (r#"{"msg":1,"time":2}"#, r#"{"msg":"label","time":"label","message":1,"timestamp":2}"#),
        (r#"{"message":1,"timestamp":2}"#, r#"{"msg":"label","time":"label","message":1,"timestamp":2}"#),
        (r#"{"msg":1,"message":2}"#, r#"{"timestamp":"label","time":"label","msg":1,"message":2}"#),
        ("text", r#"{"msg":"label","timestamp":"label","time":"label","message":"text"}"#),
    ] {
        assert_eq!(shape_full(line.as_bytes(), line.len() as u64, true, LineForm::Envelope, &labels).line, sent);
    }
}

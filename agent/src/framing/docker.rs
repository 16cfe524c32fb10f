//! A line of a docker json-file log: `{"log":"…\n","stream":"stdout","time":"…"}`.
//!
//! In: a physical line. Out: time, std stream, whether it is a part, and the unescaped content. Never: bytes
//! of a line that is not wholly there; such a line is nothing.
//!
//! Source: moby, `daemon/logger/jsonfilelog/jsonlog`; keys may come in any order, others (`attrs`) are passed over.

use crate::types::position::StdStream;
use crate::{json_string, rfc3339};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a docker line says of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DockerLine {
    /// The runtime's time, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Which std stream wrote the content.
    pub std_stream: StdStream,
    /// The content did not end in a newline: the record goes on in the next line of this std stream.
    pub is_partial: bool,
}

#[derive(serde::Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    log: &'a RawValue,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// Reads a whole `line`, which comes without its newline. The content, without the newline that docker
/// escaped into it, replaces what was in `content`. Nothing where the line is not docker's.
pub fn parse_line(line: &[u8], content: &mut String) -> Option<DockerLine> {
    content.clear();
    let members: Members<'_> = serde_json::from_slice(line).ok()?;
    let time_ns = rfc3339::parse(members.time.as_bytes())?;
    let std_stream = match &*members.stream {
        "stdout" => StdStream::Stdout,
        "stderr" => StdStream::Stderr,
        _ => return None,
    };
    let raw = members.log.get().strip_prefix('"')?.strip_suffix('"')?;
    json_string::unescape(raw, content);
    let is_partial = !content.ends_with('\n');
    if !is_partial {
        content.pop();
    }
    Some(DockerLine { time_ns, std_stream, is_partial })
}

#[cfg(test)]
mod tests {
    use super::{DockerLine, parse_line};
    use crate::types::position::StdStream;
    use proptest::prelude::*;

    const BASE_NS: i64 = 1_787_392_800_000_000_000;

    #[test]
    fn lines_that_docker_writes() {
        let (stdout, stderr) = (StdStream::Stdout, StdStream::Stderr);
        for (line, std_stream, is_partial, content) in [
            (r#"{"log":"a\n","stream":"stdout","time":"2026-08-22T10:00:00Z"}"#, stdout, false, "a"),
            (r#"{"log":"\n","stream":"stdout","time":"2026-08-22T10:00:00Z"}"#, stdout, false, ""),
            (r#"{"log":"part","stream":"stderr","time":"2026-08-22T10:00:00Z"}"#, stderr, true, "part"),
            (r#"{"log":"a\r\n","stream":"stdout","time":"2026-08-22T10:00:00Z"}"#, stdout, false, "a\r"),
            (
                r#"{"time":"2026-08-22T12:00:00+02:00","stream":"stdout","log":"\u003c\"\ufffd\n"}"#,
                stdout,
                false,
                "<\"\u{fffd}",
            ),
            (
                r#" {"log" : "x\n", "attrs":{"log":"y","tag":[1]}, "stream":"stdout","time":"2026-08-22T10:00:00Z"} "#,
                stdout,
                false,
                "x",
            ),
        ] {
            let mut found = "left over".to_owned();
            let expected = DockerLine { time_ns: BASE_NS, std_stream, is_partial };
            assert_eq!(parse_line(line.as_bytes(), &mut found), Some(expected), "{line}");
            assert_eq!(found, content, "{line}");
        }
    }

    #[test]
    fn what_is_no_docker_line_is_refused() {
        for line in [
            "",
            "{}",
            "[]",
            "2026-08-22T10:00:00Z stdout F x",
            r#"{"log":"a\n","stream":"stdout"}"#,
            r#"{"log":1,"stream":"stdout","time":"2026-08-22T10:00:00Z"}"#,
            r#"{"log":"a\n","stream":"stdin","time":"2026-08-22T10:00:00Z"}"#,
            r#"{"log":"a\n","stream":"stdout","time":"now"}"#,
            r#"{"log":"a\n","stream":"stdout","time":"2026-08-22T10:00:00Z""#,
            r#"{"log":"a\n","stream":"stdout","time":"2026-08-22T10:00:00Z"}{"#,
        ] {
            assert_eq!(parse_line(line.as_bytes(), &mut String::new()), None, "{line}");
        }
        assert_eq!(parse_line(b"{\"log\":\"\xff\"}", &mut String::new()), None);
    }

    proptest! {
        #[test]
        fn any_content_comes_back(text in any::<String>(), is_partial in any::<bool>()) {
            let text = text.trim_end_matches('\n').to_owned();
            let log = if is_partial { text.clone() } else { format!("{text}\n") };
            let line = serde_json::json!({"log": log, "stream": "stderr", "time": "2026-08-22T10:00:00Z"}).to_string();
            let mut content = String::new();
            let found = parse_line(line.as_bytes(), &mut content);
            let expected = DockerLine { time_ns: BASE_NS, std_stream: StdStream::Stderr, is_partial };
            prop_assert_eq!(found, Some(expected));
            prop_assert_eq!(content, text);
        }
    }
}

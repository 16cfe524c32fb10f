//! The prefix of a line in a CRI log file: `TIME stdout|stderr P|F[:more tags] content`.
//!
//! In: a physical line, or its beginning. Out: time, std stream, whether it is a part, and where the content
//! begins. Never: a look at the content, which may not be complete yet.
//!
//! Source: the kubelet's log reader, `pkg/kubelet/kuberuntime/logs`, and what containerd and CRI-O write.

use crate::rfc3339;
use crate::types::position::StdStream;

/// Most bytes that a time takes: nine digits of fraction and an offset are 35.
const TIME_BYTES_MAX: usize = 64;

/// What containerd and most others write: nanoseconds, in UTC.
const DATE_BYTES: usize = "2026-08-22".len();
const USUAL_TIME_BYTES: usize = "2026-08-22T10:00:00.123456789Z".len();

/// What stands before the content of a CRI line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CriPrefix {
    /// The runtime's time, nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Which std stream wrote the content.
    pub std_stream: StdStream,
    /// `P`: the record goes on in the next line of this std stream.
    pub is_partial: bool,
    /// Offset of the content's first byte in the line.
    pub content_start: usize,
}

/// Reads the prefix of `line`, which comes without its newline; the content may be missing or incomplete.
/// `times`: of the lines before. Nothing where the prefix is not one, or not complete.
#[must_use]
pub fn parse_prefix(line: &[u8], times: &mut rfc3339::Reader) -> Option<CriPrefix> {
    let time_bytes = match line.get(USUAL_TIME_BYTES - 1..=USUAL_TIME_BYTES) {
        Some(b"Z ") if line.get(DATE_BYTES) == Some(&b'T') => USUAL_TIME_BYTES,
        _ => memchr::memchr(b' ', line.get(..TIME_BYTES_MAX).unwrap_or(line))?,
    };
    let (time, rest) = line.split_at(time_bytes);
    let (std_stream, rest) = match rest.split_first_chunk::<8>()? {
        (b" stdout ", rest) => (StdStream::Stdout, rest),
        (b" stderr ", rest) => (StdStream::Stderr, rest),
        _ => return None,
    };
    let (tag, rest) = rest.split_first()?;
    let is_partial = match tag {
        b'P' => true,
        b'F' => false,
        _ => return None,
    };
    let content = match rest.split_first()? {
        (b' ', content) => content,
        (b':', tags) => &tags[tags.iter().position(|byte| *byte == b' ')? + 1..],
        _ => return None,
    };
    let time_ns = times.parse(time)?;
    Some(CriPrefix { time_ns, std_stream, is_partial, content_start: line.len() - content.len() })
}

#[cfg(test)]
mod tests {
    use super::{CriPrefix, parse_prefix};
    use crate::rfc3339::Reader;
    use crate::types::position::StdStream;
    use proptest::prelude::*;

    #[test]
    fn prefixes_that_runtimes_write() {
        let base = 1_787_392_800_000_000_000;
        let mut times = Reader::default();
        for (line, time_ns, std_stream, is_partial, content) in [
            ("2026-08-22T10:00:00.123456789Z stdout F a b", base + 123_456_789, StdStream::Stdout, false, "a b"),
            ("2026-08-22T10:00:00Z stderr P ", base, StdStream::Stderr, true, ""),
            ("2026-08-22T10:00:00.5Z stdout F  x", base + 500_000_000, StdStream::Stdout, false, " x"),
            ("2026-08-22T19:00:00.000000001+09:00 stdout F \r", base + 1, StdStream::Stdout, false, "\r"),
            ("2026-08-22T10:00:00Z stdout P:TAG1:TAG2 x", base, StdStream::Stdout, true, "x"),
            ("2026-08-22T10:00:00Z stdout F: x", base, StdStream::Stdout, false, "x"),
        ] {
            let content_start = line.len() - content.len();
            let expected = CriPrefix { time_ns, std_stream, is_partial, content_start };
            assert_eq!(parse_prefix(line.as_bytes(), &mut times), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        let mut times = Reader::default();
        for line in [
            "",
            "hello world",
            "2026-08-22T10:00:00Z",
            "2026-08-22T10:00:00Z stdout",
            "2026-08-22T10:00:00Z stdout F",
            "2026-08-22T10:00:00Z stdout F:tag",
            "2026-08-22T10:00:00Z stdin F x",
            "2026-08-22T10:00:00Z stdout X x",
            "2026-08-22T10:00:00Z stdout FP x",
            "2026-08-22T10:00:00Z  stdout F x",
            "2026-08-22 10:00:00.123456789Z stdout F x",
            "yesterday stdout F x",
            "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2026-08-22T10:00:00Z\"}",
        ] {
            assert_eq!(parse_prefix(line.as_bytes(), &mut times), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn the_content_does_not_matter(
            content in proptest::collection::vec(any::<u8>(), 0..64),
            fraction in "(\\.[0-9]{1,9})?",
            tags in "(:[A-Z]{0,4}){0,2}",
        ) {
            let mut line = format!("2026-08-22T10:00:00{fraction}Z stderr P{tags} ").into_bytes();
            let content_start = line.len();
            let bare = parse_prefix(&line, &mut Reader::default());
            line.extend_from_slice(&content);
            prop_assert_eq!(bare.map(|prefix| prefix.content_start), Some(content_start));
            prop_assert_eq!(parse_prefix(&line, &mut Reader::default()), bare);
        }
    }
}

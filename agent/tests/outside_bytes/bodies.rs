//! What must hold for any bytes from outside. The fuzz targets (`agent/fuzz`) and `outside_bytes` run the same.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: what fails here is to fail")]

use penstock::checkpoint::journal::{self, Record as JournalRecord};
use penstock::checkpoint::store;
use penstock::config::LineForm;
use penstock::framing::{cri, docker};
use penstock::limits::LINE_BYTES_MAX;
use penstock::parse::{ShapeContext, Shaper};
use penstock::rfc3339;
use penstock::send::answer;
use penstock::sources::ebpf::{btf::Types, decode};
use penstock::types::entry::{EnvelopeMember, Record};
use penstock::types::position::{FileId, StdStream};
use penstock::types::request::Verdict;
use penstock_ebpf::{FLAG_BYTES_LOST, RecordHead};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

/// A checkpoint is what was saved, or damage that says what it is: never a panic. With a right checksum, too.
pub(crate) fn checkpoint_file(bytes: &[u8]) {
    let framed = [b"penstock positions 1\n", &xxh3_64(bytes).to_le_bytes()[..], bytes].concat();
    for bytes in [bytes, &framed] {
        match store::decode(bytes) {
            Ok(positions) => {
                let again = store::encode(&positions).expect("it can be saved");
                assert_eq!(store::decode(&again).expect("it can be read"), positions);
            }
            Err(damage) => assert!(!damage.to_string().is_empty()),
        }
    }
}

/// A journal gives what is whole; what follows a broken record adds nothing, what precedes it stays.
pub(crate) fn journal(bytes: &[u8]) {
    let mut known = JournalRecord::default();
    known.sent(FileId(7), StdStream::Stdout, 9, 5..=5);
    let known = known.finish();
    let framed =
        [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], &xxh3_64(bytes).to_le_bytes(), bytes].concat();
    for rest in [bytes, &framed] {
        let _any = journal::recover(rest);
        let recovered = journal::recover(&[&known, rest].concat());
        assert!(recovered.sent[&(FileId(7), StdStream::Stdout, 9)].iter().any(|offsets| offsets.contains(&5)));
    }
}

/// A capture record gives no more bytes than it says and holds, at a place that its std stream can have; its fragment says
/// the same.
pub(crate) fn capture_record(bytes: &[u8]) {
    let Ok((head, content)) = decode::decode(bytes) else { return };
    let is_lost = head.flags & FLAG_BYTES_LOST != 0;
    assert_eq!(content.len(), if is_lost { 0 } else { head.length as usize });
    assert!(bytes[RecordHead::BYTES..].starts_with(content));
    let fragment = decode::fragment(head, content, i64::MAX);
    let end = fragment.sequence + fragment.bytes.len() as u64;
    assert_eq!(end, head.sequence + u64::from(head.length));
}

/// The kernel's types, whatever the bytes: never a panic.
pub(crate) fn kernel_types(bytes: &[u8]) {
    let Some(types) = Types::parse(bytes) else { return };
    let _any = (types.offset("iov_iter", "count"), types.size("pipe_buffer"), types.value("ITER_IOVEC"));
}

/// Status, then a body: only 200 and 204 mean stored, and a refusal counts at least one entry of a known kind.
pub(crate) fn loki_error(bytes: &[u8]) {
    let Some((status, body)) = bytes.split_first_chunk::<2>() else { return };
    let body = String::from_utf8_lossy(body);
    let any = u16::from_le_bytes(*status) % 1_000;
    for status in [any, 0, 200, 204, 260, 400, 413, 429, 500] {
        let verdict = answer::read(status, &body);
        assert_eq!(verdict == Verdict::Stored, matches!(status, 200 | 204), "{status}");
        if let Verdict::PartlyRefused(refusals) | Verdict::EntriesIgnored { refusals, .. } = verdict {
            assert!(status == 400 && !refusals.is_empty());
            assert!(refusals.iter().all(|one| one.entries > 0 && answer::refusals::REASONS.contains(&one.reason)));
        }
    }
}

/// The prefix of a CRI line is found without its content, and stands in the line.
pub(crate) fn cri_prefix(bytes: &[u8]) {
    let mut times = rfc3339::Reader::default();
    if let Some(prefix) = cri::parse_prefix(bytes, &mut times) {
        assert_eq!(cri::parse_prefix(&bytes[..prefix.content_start], &mut times), Some(prefix));
        let before = &bytes[..prefix.content_start];
        let tag = if prefix.is_partial { 'P' } else { 'F' };
        let start = format!(" {} {tag}", prefix.std_stream.as_str());
        assert!(before.ends_with(b" ") && before.windows(start.len()).any(|part| part == start.as_bytes()));
    }
}

/// A docker line has the content that an independent reader finds.
pub(crate) fn docker_line(bytes: &[u8]) {
    let mut content = String::from("left over");
    if let Some(line) = docker::parse_line(bytes, &mut content) {
        let value: serde_json::Value = match serde_json::from_slice(bytes) {
            Ok(value) => value,
            // A lone surrogate, or a number beyond f64 in a member that is passed over.
            Err(_) => return,
        };
        let log = value["log"].as_str().unwrap();
        assert_eq!(log.strip_suffix('\n').unwrap_or(log), content);
        assert_eq!(line.is_partial, !log.ends_with('\n'));
        assert_eq!(value["stream"], line.std_stream.as_str());
    }
}

/// The members of a JSON object in their order, values as they stand.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Object {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.get())
    }

    /// The members as they should be sent.
    fn renamed(&self) -> Vec<(String, String)> {
        let rename = |key: &str| match key {
            "msg" if !self.has("message") => "message".to_owned(),
            "time" if !self.has("timestamp") => "timestamp".to_owned(),
            _ => key.to_owned(),
        };
        self.0.iter().map(|(key, value)| (rename(key), value.get().to_owned())).collect()
    }

    fn level(&self) -> Option<String> {
        let value = self.last("level")?;
        let level = match value.as_bytes()[0] {
            b'"' => serde_json::from_str(value).ok()?,
            b'-' | b'0'..=b'9' => value.to_owned(),
            _ => return None,
        };
        let is_level = level.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        (is_level && (1..=16).contains(&level.len())).then_some(level)
    }
}

/// A line is shaped as the rules say, judged by another reader of JSON; what is sent is UTF-8, within the limit,
/// and valid JSON whenever the line was (or the form makes it so).
pub(crate) fn json_shape(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let is_object = text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{')
        && serde_json::from_str::<&RawValue>(&text).is_ok();
    let envelope = [("role", "r"), ("app", "a")]
        .map(|(name, value)| EnvelopeMember { name: name.into(), json: format!("\"{name}\":\"{value}\"") });
    for form in [LineForm::Compact, LineForm::Envelope] {
        let mut shaper = Shaper::new(form);
        // Twice with the same buffers, which are dirty the second time.
        for is_json in [true, false, true] {
            let record = Record { content: bytes, full_bytes: bytes.len() as u64, time_ns: 0 };
            let shaped = shaper.shape(record, &ShapeContext { is_json, envelope: &envelope });
            let line = std::str::from_utf8(shaped.line).expect("UTF-8");
            assert!(line.len() <= LINE_BYTES_MAX);
            if shaped.cut_bytes > 0 {
                continue;
            }
            if is_json && is_object {
                check_object(&text, line, shaped.level, form);
                continue;
            }
            assert_eq!((shaped.level, shaped.trace_id, shaped.is_time_refused), (None, None, false));
            match form {
                LineForm::Compact => assert_eq!(line, text),
                LineForm::Envelope => {
                    let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
                    assert_eq!(value["message"], *text);
                }
            }
        }
    }
}

fn check_object(text: &str, line: &str, level: Option<&str>, form: LineForm) {
    assert!(serde_json::from_str::<&RawValue>(line).is_ok(), "valid JSON was made invalid");
    // A key with a lone surrogate has no string in Rust: then only validity is compared.
    let Ok(before) = serde_json::from_str::<Object>(text) else { return };
    let after = serde_json::from_str::<Object>(line).expect("an object");
    let mut expected = before.renamed();
    if form == LineForm::Envelope {
        for (name, value) in [("app", "\"a\""), ("role", "\"r\"")] {
            if !before.has(name) {
                expected.insert(0, (name.to_owned(), value.to_owned()));
            }
        }
    }
    let after: Vec<_> = after.0.iter().map(|(key, value)| (key.clone(), value.get().to_owned())).collect();
    assert_eq!(after, expected);
    assert_eq!(level.map(str::to_owned), before.level());
}

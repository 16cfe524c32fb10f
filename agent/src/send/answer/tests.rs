//! What each answer of Loki 3.5.1 means; bodies as recorded from it, or as its source words them.

use super::read;
use super::refusals::REASONS;
use super::retry_after;
use crate::types::request::{Refusal, Verdict};
use proptest::prelude::*;
use std::time::Duration;

const OLD: &str = r#"entry for stream '{case="old", service_name="unknown_service"}' has timestamp too old: 2026-11-14T13:46:39Z, oldest acceptable timestamp is: 2026-11-15T13:46:52Z"#;
const NEW: &str =
    r#"entry for stream '{case="new", service_name="unknown_service"}' has timestamp too new: 2026-11-22T14:46:39Z"#;
const LONG: &str = r#"Max entry size '262144' bytes exceeded for stream '{case="long"}' while adding an entry with length '262145' bytes"#;
const NAMES: &str = r#"entry for stream '{a="b", c="d"}' has 17 label names; limit 15"#;
const NAME_LONG: &str = r#"stream '{a="b"}' has label name too long: 'a'"#;
const VALUE_LONG: &str = r#"stream '{v="yy; 3 errors like it"}' has label value too long: 'yy; 3 errors like it'"#;
const DOUBLED: &str = r#"stream '{a="b", a="c"}' has duplicate label name: 'a'"#;
const META_OFF: &str = r#"stream '{a="b"}' includes structured metadata, but this feature is disallowed. Please see `limits_config.allow_structured_metadata` or contact your Loki administrator to enable it."#;
const META_BIG: &str = r#"stream '{case="meta-big"}' has structured metadata too large: '70001' bytes, limit: '65536' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it."#;
const META_MANY: &str = r#"stream '{case="meta-many"}' has too many structured metadata labels: '129', limit: '128'. Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it."#;
const LABELS_BAD: &str = r#"Error parsing labels '{ab"' with error: 1:4: parse error: unterminated quoted string"#;
const LABELS_NONE: &str = "error at least one label pair is required per stream";
const ENFORCED: &str = r#"missing required labels env,team for user fake for stream {a="b"}"#;
const BEHIND: &str = "entry with timestamp 2026-11-22 10:46:39.652080035 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-11-22T10:46:39Z, oldest acceptable timestamp is: 2026-11-22T12:46:39Z',\n";
const ORDER: &str = "entry with timestamp 2026-11-22 10:46:39 +0000 UTC ignored, reason: 'entry out of order',\n";
const STREAM: &str = "entry with timestamp 2026-11-22 10:46:39 +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest for stream '{a=\"b\"}' totaling 1MB, consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can be increased',\n";
const UNPARSED: &str =
    r#"couldn't parse labels: 1:7: parse error: unexpected identifier "b" in label set, expected "," or "}""#;
const RATE: &str = "Ingestion rate limit exceeded for user fake (limit: 31457280 bytes/sec) while attempting to ingest '20' lines totaling '2000000' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased\n";
const STREAMS: &str = r#"Maximum active stream limit exceeded when trying to create stream {a="b, c", d="e"}, reduce the number of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: 'fake'"#;
const GRPC: &str =
    "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5202709 vs. 4194304)\n";
const BLOCKED: &str = "ingestion blocked for user fake until '2030-01-01T00:00:00Z' with status code '260'";

fn ignored(lines: &str, count: u64) -> String {
    format!("{lines}user 'fake', total ignored: {count} out of 40 for stream: {{a=\"b\"}}\n")
}

fn refused(kinds: &[(&'static str, u64)]) -> Verdict {
    Verdict::PartlyRefused(kinds.iter().map(|&(reason, entries)| Refusal { reason, entries }).collect())
}

/// Of the ingester, whose last line names `{a="b"}`.
fn entries_ignored(kinds: &[(&'static str, u64)], labels: Option<&str>) -> Verdict {
    let refusals = kinds.iter().map(|&(reason, entries)| Refusal { reason, entries }).collect();
    Verdict::EntriesIgnored { refusals, labels: labels.map(str::to_owned) }
}

#[test]
fn stored_is_200_and_204_alone() {
    for status in 0..=1_100 {
        let is_stored = read(status, "") == Verdict::Stored;
        assert_eq!(is_stored, matches!(status, 200 | 204), "{status}");
    }
}

#[test]
fn each_refusal_of_loki_has_its_reason() {
    let cases = [
        (OLD, "too_old"),
        (NEW, "too_new"),
        (LONG, "line_too_long"),
        (NAMES, "max_label_names"),
        (NAME_LONG, "label_name_too_long"),
        (VALUE_LONG, "label_value_too_long"),
        (DOUBLED, "duplicate_label_names"),
        (META_OFF, "structured_metadata_disallowed"),
        (META_BIG, "structured_metadata_too_large"),
        (META_MANY, "structured_metadata_too_many"),
        (LABELS_BAD, "invalid_labels"),
        (LABELS_NONE, "missing_labels"),
        (ENFORCED, "missing_enforced_labels"),
    ];
    for (body, reason) in cases {
        assert_eq!(read(400, &format!("{body}\n")), refused(&[(reason, 1)]), "{body}");
        assert_eq!(read(400, &format!("7 errors like: {body}\n")), refused(&[(reason, 7)]), "{body}");
        assert!(REASONS.contains(&reason), "{reason} is in the list that the documentation is checked with");
    }
}

#[test]
fn several_kinds_are_read_as_a_set() {
    let body = format!(
        "12 errors like: {OLD}; 3 errors like: {VALUE_LONG}; 1 errors like: {LONG}; 2 errors like: {OLD}; 5 errors like: new in Loki 4"
    );
    let want = refused(&[("too_old", 14), ("label_value_too_long", 3), ("line_too_long", 1), ("other", 5)]);
    assert_eq!(read(400, &body), want);
}

#[test]
fn the_ingester_names_ten_and_counts_the_rest() {
    let own = Some("{a=\"b\"}");
    assert_eq!(read(400, &ignored(BEHIND, 1)), entries_ignored(&[("too_far_behind", 1)], own));
    assert_eq!(read(400, &ignored(&BEHIND.repeat(10), 37)), entries_ignored(&[("too_far_behind", 37)], own));
    let mixed = format!("{ORDER}{BEHIND}");
    assert_eq!(read(400, &ignored(&mixed, 2)), entries_ignored(&[("out_of_order", 1), ("too_far_behind", 1)], own));
    assert_eq!(read(400, BEHIND), entries_ignored(&[("too_far_behind", 1)], None), "also without the last line");
}

#[test]
fn the_rate_of_one_stream_names_it() {
    let want = Verdict::StreamRate { labels: Some(r#"{a="b"}"#.to_owned()) };
    assert_eq!(read(429, &ignored(&STREAM.repeat(3), 3)), want);
    assert_eq!(read(429, STREAM), want, "the labels stand in the reason, too");
}

#[test]
fn what_may_pass_later_is_not_lost_with_what_may_not() {
    // Without sharding one answer can hold both; what is sent again is refused again, and counted then.
    let want = Verdict::StreamRate { labels: Some(r#"{a="b"}"#.to_owned()) };
    assert_eq!(read(400, &ignored(&format!("{STREAM}{BEHIND}"), 2)), want);
    assert_eq!(read(429, &ignored(&format!("{BEHIND}{STREAM}"), 2)), want);
}

#[test]
fn the_other_429s_are_told_apart() {
    assert_eq!(read(429, RATE), Verdict::TenantRate);
    assert_eq!(read(429, "slow down"), Verdict::TenantRate);
    assert_eq!(read(429, STREAMS), Verdict::TooManyStreams { labels: Some(r#"{a="b, c", d="e"}"#.to_owned()) });
    let unnamed = "Maximum active stream limit exceeded, reduce the number of active streams";
    assert_eq!(read(429, unnamed), Verdict::TooManyStreams { labels: None });
    let limits = r#"stream {a="b"} was rejected because "exceeds_max_streams""#;
    assert!(matches!(read(400, limits), Verdict::Retry { .. }), "nothing was stored, and it passes");
}

#[test]
fn what_was_not_understood_is_split() {
    let odd = ["snappy: corrupt input\n", "unexpected EOF", "proto: wrong wireType = 1", UNPARSED, "", "something new"];
    for body in odd {
        assert!(matches!(read(400, body), Verdict::NotUnderstood { .. }), "{body}");
    }
    let none = read(422, "error at least one valid stream is required for ingestion");
    assert!(matches!(none, Verdict::NotUnderstood { why } if why.contains("bug of Penstock")));
}

#[test]
fn a_400_that_no_split_can_help_is_held() {
    let bodies = [
        "no org id",
        "tenant ID 'ä' contains unsupported character 'ä'",
        "mime: no media type\n",
        "Content-Encoding \"zstd\" not supported\n",
        "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
        "Client sent an HTTP request to an HTTPS server.\n",
    ];
    for body in bodies {
        assert!(matches!(read(400, body), Verdict::Hold { .. }), "{body}");
    }
}

#[test]
fn too_large_for_a_hop_is_split() {
    assert_eq!(read(413, "<html>"), Verdict::TooLarge);
    assert_eq!(read(500, GRPC), Verdict::TooLarge);
    assert_eq!(read(500, "trying to send message larger than max (5 vs. 4)"), Verdict::TooLarge);
}

#[test]
fn trouble_that_passes_is_tried_again() {
    for (status, body) in
        [(0, "timed out"), (408, ""), (500, "at least 1 live replicas required"), (503, ""), (599, "")]
    {
        assert!(matches!(read(status, body), Verdict::Retry { .. }), "{status}");
    }
}

#[test]
fn what_needs_an_operator_is_held_with_a_remedy() {
    for status in [201, 206, 260, 301, 307, 401, 402, 403, 404, 405, 415, 422, 431, 1_000] {
        assert!(matches!(read(status, "words"), Verdict::Hold { why } if why.contains("words; ")), "{status}");
    }
    for status in [260, 400, 429, 503] {
        assert!(matches!(read(status, BLOCKED), Verdict::Hold { .. }), "a block may have any status: {status}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = 784_111_777 * 1_000_000_000; // Sun, 06 Nov 1994 08:49:37 GMT
    assert_eq!(retry_after::read(" 7 ", now), Some(Duration::from_secs(7)));
    assert_eq!(retry_after::read("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
    assert_eq!(retry_after::read("Sun, 06 Nov 1994 08:49:07 GMT", now), Some(Duration::ZERO));
    for far in ["99999999999999999999999", "86400", "Sat, 06 Nov 2094 08:49:37 GMT"] {
        assert_eq!(retry_after::read(far, now), Some(crate::limits::RETRY_AFTER_MAX), "{far}");
    }
    for odd in ["", "-1", "1.5", "soon", "Sun, 06 Nov"] {
        assert_eq!(retry_after::read(odd, now), None, "{odd}");
    }
}

fn real_bodies() -> Vec<String> {
    let grouped = format!("12 errors like: {OLD}; 3 errors like: {VALUE_LONG}; 1 errors like: {LONG}");
    let mut bodies: Vec<String> =
        [OLD, NAMES, META_BIG, UNPARSED, RATE, STREAMS, GRPC, BLOCKED, ENFORCED, STREAM].map(str::to_owned).into();
    bodies.extend([grouped, ignored(&BEHIND.repeat(3), 30), ignored(STREAM, 1)]);
    bodies
}

#[test]
fn no_cut_of_a_real_body_is_taken_for_success() {
    for body in real_bodies() {
        for cut in (0..=body.len()).filter(|&cut| body.is_char_boundary(cut)) {
            for status in [0, 260, 400, 429, 500] {
                assert_ne!(read(status, &body[..cut]), Verdict::Stored, "{status} {}", &body[..cut]);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_body_is_read(status in 0..1_000_u16, body in ".{0,400}", date in ".{0,40}", wall_ns: i64) {
        let is_stored = read(status, &body) == Verdict::Stored;
        prop_assert_eq!(is_stored, matches!(status, 200 | 204));
        let _ = retry_after::read(&date, wall_ns);
    }

    #[test]
    fn counts_are_never_zero_nor_overflow(
        picks in prop::collection::vec((any::<u64>(), 0..5_usize), 1..6), noise in ".{0,20}",
    ) {
        let kinds = [OLD, NEW, LONG, VALUE_LONG, &noise];
        let groups: Vec<String> = picks.iter().map(|&(n, kind)| format!("{n} errors like: {}", kinds[kind])).collect();
        if let Verdict::PartlyRefused(refusals) = read(400, &groups.join("; ")) {
            prop_assert!(refusals.iter().all(|refusal| refusal.entries > 0 && REASONS.contains(&refusal.reason)));
            prop_assert!(!refusals.is_empty());
        } else {
            prop_assert!(false, "a grouped body is a partial refusal");
        }
    }
}

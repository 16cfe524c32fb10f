//! Every kind of bad push, against what the real Loki 3.5.1 answered and stored (recorded with a single binary,
//! limits 30/60 MB, all else default; times are those of the test).

use penstock_bench::receiver::wire::{Entry, Stream};

use crate::client::{Answer, HOUR, NOW, body, entry, get, push, push_body, start, stored, stream};

/// A push, and what Loki answered: status, stored entries of the case, and the body (its start if it ends in `…`).
struct Case {
    name: &'static str,
    pushes: Vec<Vec<Stream>>,
    status: u16,
    stored: usize,
    body: String,
}

fn of(case: &str, more: &str, entries: Vec<Entry>) -> Stream {
    stream(&format!("{{case=\"{case}\"{more}}}"), entries)
}

fn case(name: &'static str, streams: Vec<Stream>, status: u16, stored: usize, body: &str) -> Case {
    Case { name, pushes: vec![streams], status, stored, body: body.to_owned() }
}

fn ok() -> Entry {
    entry(NOW, "ok")
}

fn taken() -> Vec<Case> {
    let good = vec![ok(), entry(NOW + 1, "two")];
    let not_utf8 = vec![entry(NOW, b"\xff\xfe".to_vec()), entry(NOW + 1, "ok")];
    vec![
        case("good", vec![of("good", "", good)], 204, 2, ""),
        case("duplicate", vec![of("duplicate", "", vec![ok(), ok(), ok()])], 204, 1, ""),
        case("empty-line", vec![of("empty-line", "", vec![entry(NOW, "")])], 204, 1, ""),
        case("no-labels", vec![of("no-labels", "", vec![ok()]), stream("{}", vec![ok()])], 204, 1, ""),
        case("invalid-utf8", vec![of("invalid-utf8", "", not_utf8)], 204, 2, ""),
    ]
}

fn refused_by_labels() -> Vec<Case> {
    let sixteen: String = (0..16).map(|i| format!(", l{i}=\"v\"")).collect();
    let long = "y".repeat(2049);
    vec![
        case(
            "bad-labels",
            vec![of("bad-labels", "", vec![ok()]), stream(r#"{x="a"b"}"#, vec![ok()])],
            400,
            0,
            "couldn't parse labels: 1:7: parse error: unexpected identifier \"b\" in label set, expected \",\" or \"}\"",
        ),
        case("no-streams", vec![], 422, 0, "error at least one valid stream is required for ingestion"),
        case(
            "labels-16",
            vec![of("labels-16", "", vec![ok()]), of("labels-16", &sixteen, vec![ok()])],
            400,
            1,
            "entry for stream '{case=\"labels-16\", l0=\"v\", l1=\"v\", l10=\"v\", l11=\"v\", l12=\"v\", l13=\"v\", \
             l14=\"v\", l15=\"v\", l2=\"v\", l3=\"v\", l4=\"v\", l5=\"v\", l6=\"v\", l7=\"v\", l8=\"v\", l9=\"v\", \
             service_name=\"unknown_service\"}' has 17 label names; limit 15",
        ),
        case(
            "label-value-long",
            vec![of("label-value-long", &format!(", v=\"{long}\""), vec![ok()])],
            400,
            0,
            &format!(
                "stream '{{case=\"label-value-long\", service_name=\"unknown_service\", v=\"{long}\"}}' has label \
                 value too long: '{long}'"
            ),
        ),
    ]
}

fn refused_by_entry() -> Vec<Case> {
    let old = vec![entry(NOW - 8 * 24 * HOUR, "old"), ok()];
    let long = vec![entry(NOW, "x".repeat(262_145)), entry(NOW + 1, "ok")];
    let big = vec![Entry::new(NOW, "x", &[("k", &"v".repeat(70_000))]), entry(NOW + 1, "ok")];
    let names: Vec<String> = (0..129).map(|i| format!("k{i}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let many = vec![Entry::new(NOW, "x", &pairs), entry(NOW + 1, "ok")];
    vec![
        case(
            "old",
            vec![of("old", "", old)],
            400,
            1,
            "entry for stream '{case=\"old\", service_name=\"unknown_service\"}' has timestamp too old: \
             2026-11-14T13:46:39Z, oldest acceptable timestamp is: 2026-11-15T13:46:39Z",
        ),
        case(
            "new",
            vec![of("new", "", vec![entry(NOW + HOUR, "new"), ok()])],
            400,
            1,
            "entry for stream '{case=\"new\", service_name=\"unknown_service\"}' has timestamp too new: \
             2026-11-22T14:46:39Z",
        ),
        case(
            "long",
            vec![of("long", "", long)],
            400,
            1,
            "Max entry size '262144' bytes exceeded for stream '{case=\"long\", service_name=\"unknown_service\"}' \
             while adding an entry with length '262145' bytes",
        ),
        case(
            "meta-big",
            vec![of("meta-big", "", big)],
            400,
            1,
            "stream '{case=\"meta-big\", service_name=\"unknown_service\"}' has structured metadata too large: '70001' \
             bytes, limit: '65536' bytes. Please see `limits_config.max_structured_metadata_size` or contact your \
             Loki administrator to increase it.",
        ),
        case(
            "meta-many",
            vec![of("meta-many", "", many)],
            400,
            1,
            "stream '{case=\"meta-many\", service_name=\"unknown_service\"}' has too many structured metadata labels: \
             '129', limit: '128'. Please see `limits_config.max_structured_metadata_entries_count` or contact your \
             Loki administrator to increase it.",
        ),
    ]
}

fn refused_by_ingester() -> Vec<Case> {
    let behind = vec![entry(NOW - 3 * HOUR, "b"), entry(NOW + 5, "c")];
    let lines = (0..52).map(|i| entry(NOW + i, format!("{}{i}", "z".repeat(100_000)))).collect();
    vec![
        Case {
            name: "too-far-behind",
            pushes: vec![vec![of("too-far-behind", "", vec![entry(NOW, "a")])], vec![of("too-far-behind", "", behind)]],
            status: 400,
            stored: 2,
            body: "entry with timestamp 2026-11-22 10:46:39.652080035 +0000 UTC ignored, reason: 'entry too far \
                   behind, entry timestamp is: 2026-11-22T10:46:39Z, oldest acceptable timestamp is: \
                   2026-11-22T12:46:39Z',\nuser 'fake', total ignored: 1 out of 2 for stream: \
                   {case=\"too-far-behind\", service_name=\"unknown_service\"}"
                .to_owned(),
        },
        case(
            "five-mib",
            vec![of("five-mib", "", lines)],
            500,
            0,
            "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5202709 vs. 4194304)",
        ),
    ]
}

#[tokio::test]
async fn every_refusal_is_lokis() {
    let (receiver, _) = start(|_| {}).await;
    for group in [taken(), refused_by_labels(), refused_by_entry(), refused_by_ingester()] {
        for case in group {
            let mut last = None;
            for streams in case.pushes {
                last = Some(push(&receiver, streams).await);
            }
            let Answer { status, head, body } = last.unwrap();
            assert_eq!((status, body.trim_end_matches('\n')), (case.status, case.body.as_str()), "{}", case.name);
            assert!(case.body.is_empty() || body.ends_with('\n'), "{}: Go's http.Error ends in a newline", case.name);
            assert!(case.body.is_empty() || head.contains("text/plain; charset=utf-8"), "{}: {head}", case.name);
            assert_eq!(stored(&receiver, case.name).await, case.stored, "{}", case.name);
        }
    }
}

#[tokio::test]
async fn bodies_that_are_not_understood_are_400_and_store_nothing() {
    let (receiver, _) = start(|_| {}).await;
    let good = body(vec![of("body", "", vec![ok()])]);
    let proto = ("Content-Type", "application/x-protobuf");
    for (headers, body, why) in [
        (vec![proto], &b"hello"[..], "snappy: corrupt input\n"),
        (vec![proto], &[], "snappy: corrupt input\n"),
        (vec![("Content-Type", "")], &good, "mime: no media type\n"),
        (vec![], &good, "mime: no media type\n"),
        (vec![proto, ("Content-Encoding", "zstd")], &good, "Content-Encoding \"zstd\" not supported\n"),
        (vec![proto, ("Content-Encoding", "gzip")], &good, "gzip: invalid header\n"),
    ] {
        let answer = push_body(&receiver, &headers, body).await;
        assert_eq!((answer.status, answer.body.as_str()), (400, why), "{headers:?}");
    }
    assert_eq!(receiver.stats().entries_stored, 0);
    let answer = push_body(&receiver, &[proto, ("Content-Encoding", "snappy")], &good).await;
    assert_eq!((answer.status, stored(&receiver, "body").await), (204, 1));
}

#[tokio::test]
async fn the_tenant_may_burst_60_mib_and_a_larger_request_never_passes() {
    let (receiver, _) = start(|config| config.keep_entries = false).await;
    let two_mb = |n: i64| (0..20).map(|k| entry(NOW + n * 100 + k, "r".repeat(100_000))).collect();
    let mut last = (0, push(&receiver, vec![of("rate", "", two_mb(0))]).await);
    while last.1.status == 204 && last.0 < 100 {
        last = (last.0 + 1, push(&receiver, vec![of("rate", "", two_mb(last.0 + 1))]).await);
    }
    let text = |lines: u32, bytes: u32| {
        format!(
            "Ingestion rate limit exceeded for user fake (limit: 31457280 bytes/sec) while attempting to ingest \
             '{lines}' lines totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see if \
             the limit can be increased\n"
        )
    };
    // The clock stands still, so exactly the burst passes: 31 × 2 MB of 62,914,560 bytes.
    assert_eq!((last.0, last.1.status, last.1.body), (31, 429, text(20, 2_000_000)));
    let (fresh, _) = start(|config| config.keep_entries = false).await;
    let lines = (0..400).map(|k| entry(NOW + k, "r".repeat(200_000))).collect();
    let answer = push(&fresh, vec![of("burst", "", lines)]).await;
    assert_eq!((answer.status, answer.body), (429, text(400, 80_000_000)));
    assert_eq!(fresh.stats().entries_stored, 0);
    assert_eq!(fresh.stats().refused["rate_limited"], 400);
}

#[tokio::test]
async fn an_answer_of_128_entries_over_4_mib_is_a_500_from_loki_too() {
    let (receiver, _) = start(|_| {}).await;
    for push_no in 0..3 {
        let lines = (0..20).map(|k| entry(NOW + push_no * 100 + k, "r".repeat(100_000))).collect();
        assert_eq!(push(&receiver, vec![of("rate", "", lines)]).await.status, 204);
    }
    let path = format!("/loki/api/v1/query_range?query=%7Bcase%3D%22rate%22%7D&limit=5000&end={}", NOW + HOUR);
    assert_eq!(get(&receiver, &path).await.status, 500);
}

//! Rules that the recorded table does not show: several errors at once, order of checks, rates, stream limits.

use std::sync::atomic::Ordering;

use penstock_bench::receiver::wire::Entry;
use penstock_bench::receiver::{Fault, Limits};

use crate::client::{HOUR, NOW, S, entry, push, push_body, start, stored, stream};

#[tokio::test]
async fn several_kinds_of_refusal_are_grouped_and_the_rest_is_stored() {
    let (receiver, _) = start(|_| {}).await;
    let long = entry(NOW, "x".repeat(262_145));
    let entries = vec![long.clone(), entry(NOW + HOUR, "new"), long, entry(NOW, "ok")];
    let answer = push(&receiver, vec![stream(r#"{case="a"}"#, entries)]).await;
    let labels = r#"{case="a", service_name="unknown_service"}"#;
    let text = format!(
        "2 errors like: Max entry size '262144' bytes exceeded for stream '{labels}' while adding an entry with length \
         '262145' bytes; 1 errors like: entry for stream '{labels}' has timestamp too new: 2026-11-22T14:46:39Z\n"
    );
    assert_eq!((answer.status, answer.body, stored(&receiver, "a").await), (400, text, 1));
    let refused = receiver.stats().refused;
    assert_eq!((refused["line_too_long"], refused["too_far_in_future"]), (2, 1));
}

#[tokio::test]
async fn the_tenants_rate_is_refused_before_other_errors_are_told() {
    let limits = Limits { ingestion_rate: 10, ingestion_burst: 10, ..Limits::default() };
    let (receiver, now) = start(|config| config.limits = limits).await;
    let new_and = |line: &str| vec![stream(r#"{case="a"}"#, vec![entry(NOW + HOUR, "new"), entry(NOW, line)])];
    assert_eq!(push(&receiver, new_and("12345678901")).await.status, 429);
    assert_eq!(push(&receiver, new_and("1234567890")).await.status, 400, "the good entry is stored, the bad one told");
    assert_eq!(push(&receiver, vec![stream(r#"{case="a"}"#, vec![entry(NOW, "x")])]).await.status, 429);
    now.fetch_add(S, Ordering::Relaxed);
    // Structured metadata counts, labels do not.
    let with = |value: &str| vec![stream(r#"{case="a"}"#, vec![Entry::new(NOW, "12345", &[("pod", value)])])];
    assert_eq!(push(&receiver, with("abc")).await.status, 429);
    assert_eq!(push(&receiver, with("ab")).await.status, 204);
}

#[tokio::test]
async fn a_stream_over_its_rate_is_429_and_the_others_are_stored() {
    let limits = Limits { per_stream_rate: 1 << 20, per_stream_burst: 1 << 20, ..Limits::default() };
    let (receiver, now) = start(|config| config.limits = limits).await;
    let big = |time| stream(r#"{case="big"}"#, (0..6).map(|i| entry(time + i, "x".repeat(200_000))).collect());
    let answer = push(&receiver, vec![stream(r#"{case="small"}"#, vec![entry(NOW, "a")]), big(NOW)]).await;
    assert_eq!(answer.status, 429);
    let first = "entry with timestamp 2026-11-22 13:46:39.652080035 +0000 UTC ignored, reason: 'Per stream rate limit \
                 exceeded (limit: 1MB/sec) while attempting to ingest for stream '{case=\"big\", \
                 service_name=\"unknown_service\"}' totaling 200000B, consider splitting a stream via additional \
                 labels or contact your Loki administrator to see if the limit can be increased',\n";
    assert!(answer.body.starts_with(first), "{}", answer.body);
    let last = "user 'fake', total ignored: 6 out of 6 for stream: {case=\"big\", service_name=\"unknown_service\"}\n";
    assert!(answer.body.ends_with(last), "{}", answer.body);
    assert_eq!((stored(&receiver, "small").await, stored(&receiver, "big").await), (1, 0));
    now.fetch_add(HOUR, Ordering::Relaxed);
    let four = stream(r#"{case="big"}"#, (0..4).map(|i| entry(NOW + i, "x".repeat(200_000))).collect());
    assert_eq!(push(&receiver, vec![four]).await.status, 204);
}

#[tokio::test]
async fn a_refusal_of_an_earlier_stream_hides_behind_a_later_success() {
    let (receiver, _) = start(|_| {}).await;
    push(&receiver, vec![stream(r#"{case="a"}"#, vec![entry(NOW, "a")])]).await;
    let late = stream(r#"{case="a"}"#, vec![entry(NOW - 2 * HOUR, "late")]);
    let good = stream(r#"{case="b"}"#, vec![entry(NOW, "b")]);
    assert_eq!(push(&receiver, vec![late.clone(), good.clone()]).await.status, 204);
    let stats = receiver.stats();
    assert_eq!((stats.refused["too_far_behind"], stats.refused_in_silence), (1, 1));
    assert_eq!(push(&receiver, vec![good, late]).await.status, 400);
}

#[tokio::test]
async fn eleven_entries_too_far_behind_are_counted_and_ten_are_named() {
    let (receiver, _) = start(|_| {}).await;
    let mut entries = vec![entry(NOW, "newest")];
    entries.extend((0..11).map(|i| entry(NOW - 2 * HOUR + i, "late")));
    let answer = push(&receiver, vec![stream(r#"{case="a"}"#, entries)]).await;
    assert_eq!((answer.status, answer.body.matches("entry with timestamp").count()), (400, 10));
    assert!(answer.body.contains("total ignored: 11 out of 12 for stream"), "{}", answer.body);
}

#[tokio::test]
async fn every_entry_is_stored_removed_as_a_duplicate_or_counted_by_reason() {
    let (receiver, _) = start(|_| {}).await;
    push(&receiver, vec![stream(r#"{case="a"}"#, vec![entry(NOW, "a")])]).await;
    receiver.set_fault(Some(Fault::StreamRate));
    // The late one is told by no answer: a stream over its rate tells of nothing else.
    let entries = vec![entry(NOW - 2 * HOUR, "late"), entry(NOW, "b"), entry(NOW, "b"), entry(NOW + HOUR, "new")];
    let answer = push(&receiver, vec![stream(r#"{case="a"}"#, entries)]).await;
    assert!(answer.status == 429 && answer.body.contains("total ignored: 1 out of 3"), "{answer:?}");
    let stats = receiver.stats();
    assert_eq!((stats.entries_stored, stats.entries_deduplicated, stats.entries_received_twice), (1, 0, 0));
    let reasons = ["per_stream_rate_limit", "too_far_behind", "too_far_in_future"];
    assert_eq!(reasons.map(|reason| stats.refused[reason]), [2, 1, 1]);
}

#[tokio::test]
async fn new_streams_above_the_limit_are_429_and_known_ones_go_on() {
    let (receiver, _) = start(|config| config.limits = Limits { streams_max: 1, ..Limits::default() }).await;
    let to = |case: &str, time| stream(&format!("{{case=\"{case}\"}}"), vec![entry(time, "a")]);
    assert_eq!(push(&receiver, vec![to("a", NOW)]).await.status, 204);
    let answer = push(&receiver, vec![to("a", NOW + 1), to("b", NOW)]).await;
    let text = "Maximum active stream limit exceeded when trying to create stream {case=\"b\", \
                service_name=\"unknown_service\"}, reduce the number of active streams (reduce labels or reduce label \
                values), or contact your Loki administrator to see if the limit can be increased, user: 'fake'\n";
    assert_eq!((answer.status, answer.body.as_str()), (429, text));
    assert_eq!((stored(&receiver, "a").await, stored(&receiver, "b").await), (2, 0));
}

#[tokio::test]
async fn label_sets_are_refused_each_for_its_own_reason() {
    let (receiver, _) = start(|_| {}).await;
    let name = "n".repeat(1025);
    for (labels, reason) in [
        (format!("{{{name}=\"v\"}}"), "label_name_too_long"),
        (r#"{a="b", a="c"}"#.to_owned(), "duplicate_label_names"),
        // Loki writes an escaped U+FFFD out plain and then cannot read its own text.
        (r#"{a="\ufffd"}"#.to_owned(), "invalid_labels"),
    ] {
        assert_eq!(push(&receiver, vec![stream(&labels, vec![entry(NOW, "a")])]).await.status, 400, "{reason}");
        assert_eq!(receiver.stats().refused[reason], 1);
    }
    let fifteen: String = (0..15).map(|i| format!("l{i}=\"v\",")).collect();
    let answer = push(&receiver, vec![stream(&format!("{{{fifteen}}}"), vec![entry(NOW, "a")])]).await;
    assert_eq!(answer.status, 204, "service_name does not count");
}

#[tokio::test]
async fn blocked_ingestion_is_a_260_but_bad_entries_go_first() {
    let (receiver, _) = start(|_| {}).await;
    receiver.set_fault(Some(Fault::Blocked260));
    let answer = push(&receiver, vec![stream(r#"{case="a"}"#, vec![entry(NOW, "a")])]).await;
    let text = "ingestion blocked for user fake until '2026-11-22T14:46:39Z' with status code '260'\n";
    assert_eq!((answer.status, answer.body.as_str()), (260, text));
    let long = format!("{{a=\"{}\"}}", "v".repeat(2049));
    let both = vec![stream(r#"{case="a"}"#, vec![entry(NOW, "a")]), stream(&long, vec![entry(NOW, "a")])];
    assert_eq!(push(&receiver, both).await.status, 400);
    assert_eq!(receiver.stats().entries_stored, 0);
}

#[tokio::test]
async fn a_tenant_is_asked_for_and_a_gateway_measures_the_body() {
    let limits = Limits { gateway_body_bytes_max: Some(100), ..Limits::default() };
    let (receiver, _) = start(|config| (config.auth_enabled, config.limits) = (true, limits)).await;
    let proto = ("Content-Type", "application/x-protobuf");
    let body = crate::client::body(vec![stream(r#"{case="a"}"#, vec![entry(NOW, "a")])]);
    let answer = push_body(&receiver, &[proto], &body).await;
    assert_eq!((answer.status, answer.body.as_str()), (401, "no org id\n"));
    assert_eq!(push_body(&receiver, &[proto, ("X-Scope-OrgID", "me")], &body).await.status, 204);
    assert_eq!(push_body(&receiver, &[proto, ("X-Scope-OrgID", "me")], &[0; 101]).await.status, 413);
}

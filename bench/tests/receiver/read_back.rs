//! Reading back over HTTP, and bodies in JSON.

use std::io::Write;

use penstock_bench::receiver::wire::Entry;
use serde_json::{Value, json};

use crate::client::{HOUR, NOW, S, entry, get, push, push_body, query, send, start, stream};

#[tokio::test]
async fn entries_come_back_by_label_set_time_and_text_with_their_structured_metadata() {
    let (receiver, _) = start(|_| {}).await;
    let with = |time, line: &'static str, pod| Entry::new(time, line, &[("pod", pod), ("app", "clash")]);
    let entries = vec![with(NOW, "one", "p1"), with(NOW + 2, "three ERROR", "p2"), with(NOW + 1, "two", "p1")];
    push(&receiver, vec![stream(r#"{app="web"}"#, entries), stream(r#"{app="db"}"#, vec![entry(NOW, "other")])]).await;
    let labels = |pod: &str, level: &str| json!({"app": "web", "service_name": "web", "pod": pod, "app_extracted": "clash", "detected_level": level});
    let value = |time: i64, line: &str| (time.to_string(), line.to_owned());
    let backward = query(&receiver, r#"{app=~"w.*"}"#, "").await;
    assert_eq!(backward[0], (labels("p2", "error"), vec![value(NOW + 2, "three ERROR")]));
    assert_eq!(backward[1], (labels("p1", "unknown"), vec![value(NOW + 1, "two"), value(NOW, "one")]));
    let forward = query(&receiver, r#"{app="web"} != "ERROR""#, "&direction=forward").await;
    assert_eq!(forward, [(labels("p1", "unknown"), vec![value(NOW, "one"), value(NOW + 1, "two")])]);
    let stored = receiver.entries(r#"{app="web"}"#).unwrap();
    assert_eq!(stored.iter().map(|entry| entry.time_ns - NOW).collect::<Vec<_>>(), [0, 2, 1], "order of arrival");
    assert_eq!((stored[0].request_no, stored[0].received_ns), (1, NOW));
}

#[tokio::test]
async fn start_is_in_end_is_out_and_the_limit_holds() {
    let (receiver, _) = start(|_| {}).await;
    let entries = (0..10).map(|i| entry(NOW + i, format!("{i}"))).collect();
    push(&receiver, vec![stream(r#"{a="b"}"#, entries)]).await;
    let lines = async |more: &str| {
        let path = format!("/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D{more}");
        let json: Value = serde_json::from_str(&get(&receiver, &path).await.body).unwrap();
        let lines =
            |value: &Value| value["values"].as_array().unwrap().iter().map(|v| v[1].clone()).collect::<Vec<_>>();
        json["data"]["result"].as_array().unwrap().iter().flat_map(lines).collect::<Vec<_>>()
    };
    let (start, end) = (NOW + 2, NOW + 5);
    assert_eq!(lines(&format!("&start={start}&end={end}")).await, ["4", "3", "2"]);
    assert_eq!(lines(&format!("&start={start}&end={end}&limit=1&direction=forward")).await, ["2"]);
    assert_eq!(lines("&start=2026-11-22T13:46:39Z&end=1795355200.5").await.len(), 10);
    for (query, status) in [("%7B%7D", 400), ("%7Ba%3D%22b%22%7D&limit=5001", 400), ("nonsense", 400)] {
        assert_eq!(get(&receiver, &format!("/loki/api/v1/query_range?query={query}")).await.status, status);
    }
}

#[tokio::test]
async fn label_names_values_and_readiness() {
    let (receiver, _) = start(|_| {}).await;
    push(&receiver, vec![stream(r#"{a="b"}"#, vec![entry(NOW, "x")]), stream(r#"{a="c"}"#, vec![entry(NOW, "x")])])
        .await;
    let data =
        async |path: &str| serde_json::from_str::<Value>(&get(&receiver, path).await.body).unwrap()["data"].clone();
    assert_eq!(data("/loki/api/v1/labels").await, json!(["a", "service_name"]));
    assert_eq!(data("/loki/api/v1/label/a/values").await, json!(["b", "c"]));
    assert_eq!(get(&receiver, "/ready").await.body, "ready\n");
    assert_eq!(get(&receiver, "/elsewhere").await.status, 404);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_lokis_words() {
    let (receiver, _) = start(|_| {}).await;
    let before = "end timestamp must not be before or equal to start time\n";
    for (more, why) in [
        ("&start=2000000000&end=1000000000", before),
        ("&start=2000000000&end=1000000000&limit=0", before),
        ("&start=2100000000", before),
        ("&limit=0", "limit must be a positive value\n"),
        ("&limit=-1&direction=up", "limit must be a positive value\n"),
        ("&limit=x", "strconv.Atoi: parsing \"x\": invalid syntax\n"),
        ("&direction=up", "invalid direction 'up'\n"),
        ("&since=soon", "could not parse 'since' parameter: not a valid duration string: \"soon\"\n"),
    ] {
        let answer = get(&receiver, &format!("/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D{more}")).await;
        assert_eq!((answer.status, answer.body.as_str()), (400, why), "{more}");
    }
    assert_eq!(get(&receiver, "/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&start=2&end=2").await.status, 200);
    assert_eq!(get(&receiver, "/loki/api/v1/push").await.status, 405);
    let deleted = send(receiver.addr(), "DELETE", "/loki/api/v1/query_range", &[], b"").await.unwrap();
    assert_eq!(deleted.status, 405);
}

#[tokio::test]
async fn since_and_a_posted_form_are_read() {
    let (receiver, _) = start(|_| {}).await;
    let entries = vec![entry(NOW - 2 * HOUR, "old"), entry(NOW - 60 * S, "new")];
    push(&receiver, vec![stream(r#"{a="b"}"#, entries)]).await;
    let path = "/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D";
    let has = |body: &str| (body.contains("\"old\""), body.contains("\"new\""));
    assert_eq!(has(&get(&receiver, path).await.body), (false, true), "the last hour");
    assert_eq!(has(&get(&receiver, &format!("{path}&since=2h30m")).await.body), (true, true));
    assert_eq!(has(&get(&receiver, &format!("{path}&since=30s")).await.body), (false, false));
    let end = NOW + 5 * HOUR;
    assert_eq!(has(&get(&receiver, &format!("{path}&since=3h&end={end}")).await.body), (true, true), "from now back");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let posted =
        async |path: &str, body: &str| send(receiver.addr(), "POST", path, &kind, body.as_bytes()).await.unwrap().body;
    assert_eq!(has(&posted("/loki/api/v1/query_range", "query=%7Ba%3D%22b%22%7D&since=3h").await), (true, true));
    assert_eq!(has(&posted(&format!("{path}&since=3h"), "since=1h&since=9h").await), (false, true), "the form first");
}

#[tokio::test]
async fn labels_are_those_of_streams_with_entries_in_the_time_asked_for() {
    let (receiver, _) = start(|_| {}).await;
    let old = stream(r#"{a="old",x="y"}"#, vec![entry(NOW - 3 * HOUR, "x")]);
    push(&receiver, vec![old, stream(r#"{a="new"}"#, vec![entry(NOW, "x")])]).await;
    let data =
        async |path: &str| serde_json::from_str::<Value>(&get(&receiver, path).await.body).unwrap()["data"].clone();
    assert_eq!(data("/loki/api/v1/label/a/values").await, json!(["new"]), "the last hour");
    assert_eq!(data("/loki/api/v1/label/a/values?since=4h").await, json!(["new", "old"]));
    let (start, end) = (NOW - 4 * HOUR, NOW - 2 * HOUR);
    assert_eq!(data(&format!("/loki/api/v1/labels?start={start}&end={end}")).await, json!(["a", "service_name", "x"]));
    assert_eq!(data("/loki/api/v1/labels").await, json!(["a", "service_name"]));
}

#[tokio::test]
async fn json_bodies_plain_gzip_and_deflate() {
    let (receiver, _) = start(|_| {}).await;
    let json = |line: &str| {
        let time = NOW.to_string();
        let values = json!([[time, line, {"pod": "p"}]]);
        json!({"streams": [{"stream": {"a": "quote \" and \\"}, "values": values}]}).to_string().into_bytes()
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&json("gzip")).unwrap();
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(&json("deflate")).unwrap();
    let kind = ("Content-Type", "application/json; charset=utf-8");
    for (encoding, body) in
        [("", json("plain")), ("gzip", gzip.finish().unwrap()), ("deflate", deflate.finish().unwrap())]
    {
        assert_eq!(push_body(&receiver, &[kind, ("Content-Encoding", encoding)], &body).await.status, 204);
    }
    let stored = receiver.entries("{}").unwrap();
    assert_eq!(stored.iter().map(|entry| &entry.line[..]).collect::<Vec<_>>(), [&b"plain"[..], b"gzip", b"deflate"]);
    assert_eq!(stored[0].labels["a"], "quote \" and \\");
    assert_eq!(stored[0].structured_metadata, [("pod".to_owned(), "p".to_owned())]);
    for bad in ["", "{", r#"{"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]}"#] {
        assert_eq!(push_body(&receiver, &[kind], bad.as_bytes()).await.status, 400);
    }
}

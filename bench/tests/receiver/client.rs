//! A bare HTTP client and short ways to write pushes.

#![expect(clippy::unwrap_used, reason = "a test's client: what fails here fails the test")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use bytes::Bytes;
use penstock_bench::receiver::wire::{Entry, PushRequest, Stream};
use penstock_bench::receiver::{Clock, Receiver, ReceiverConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// 2026-11-22T13:46:39.652080035Z, a time like any other.
pub(crate) const NOW: i64 = 1_795_355_199_652_080_035;
pub(crate) const S: i64 = 1_000_000_000;
pub(crate) const HOUR: i64 = 3_600 * S;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A receiver whose clock the test moves.
pub(crate) async fn start(change: impl FnOnce(&mut ReceiverConfig)) -> (Receiver, Arc<AtomicI64>) {
    let now = Arc::new(AtomicI64::new(NOW));
    let mut config = ReceiverConfig { clock: Clock::Manual(Arc::clone(&now)), ..ReceiverConfig::default() };
    change(&mut config);
    (Receiver::start(config).await.unwrap(), now)
}

pub(crate) fn stream(labels: &str, entries: Vec<Entry>) -> Stream {
    Stream { labels: Bytes::copy_from_slice(labels.as_bytes()), entries, hash: 0 }
}

pub(crate) fn entry(time_ns: i64, line: impl Into<Vec<u8>>) -> Entry {
    Entry::new(time_ns, line.into(), &[])
}

pub(crate) fn body(streams: Vec<Stream>) -> Vec<u8> {
    PushRequest { streams }.to_snappy().unwrap()
}

pub(crate) async fn push(receiver: &Receiver, streams: Vec<Stream>) -> Answer {
    push_body(receiver, &[("Content-Type", "application/x-protobuf")], &body(streams)).await
}

pub(crate) async fn push_body(receiver: &Receiver, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    send(receiver.addr(), "POST", "/loki/api/v1/push", headers, body).await.unwrap()
}

pub(crate) async fn get(receiver: &Receiver, path: &str) -> Answer {
    send(receiver.addr(), "GET", path, &[], b"").await.unwrap()
}

/// How many entries of a label `case` can be read back over HTTP.
pub(crate) async fn stored(receiver: &Receiver, case: &str) -> usize {
    query(receiver, &format!("{{case=\"{case}\"}}"), "").await.iter().map(|(_, values)| values.len()).sum()
}

/// Streams of an answer to `query_range` over ten days: labels, and time with line.
pub(crate) async fn query(receiver: &Receiver, query: &str, more: &str) -> Vec<(Value, Vec<(String, String)>)> {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let (start, end) = (NOW - 240 * HOUR, NOW + 24 * HOUR);
    let path = format!("/loki/api/v1/query_range?query={query}&start={start}&end={end}&limit=5000{more}");
    let answer = get(receiver, &path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json: Value = serde_json::from_str(&answer.body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pair = |value: &Value| (text(&value[0]), text(&value[1]));
    let one = |value: &Value| (value["stream"].clone(), value["values"].as_array().unwrap().iter().map(pair).collect());
    json["data"]["result"].as_array().unwrap().iter().map(one).collect()
}

/// One request on a connection of its own; an error where no whole answer came.
pub(crate) async fn send(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut socket = TcpStream::connect(addr).await?;
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

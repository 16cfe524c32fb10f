//! The admin server over real sockets on 127.0.0.1.

use super::{AdminError, AdminState, bind, serve};
use crate::clock::Clock;
use crate::health::Health;
use crate::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_TIME_MAX, STREAMS_WAIT};
use crate::types::view::StreamView;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

type Asked = mpsc::Receiver<oneshot::Sender<Vec<StreamView>>>;

struct Admin {
    address: SocketAddr,
    health: Arc<Health>,
    asked: Asked,
    task: tokio::task::JoinHandle<std::convert::Infallible>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start() -> Admin {
    let (streams, asked) = mpsc::channel(1);
    let health = Arc::new(Health::new(1));
    let state = AdminState { metrics: Arc::default(), health: Arc::clone(&health), streams, clock: Clock::start() };
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    Admin { address, health, asked, task: tokio::spawn(serve(listener, Arc::new(state))) }
}

async fn ask(address: SocketAddr, head: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(format!("{head}\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(admin: &Admin, path: &str) -> (u16, String) {
    let answer = ask(admin.address, &format!("GET {path} HTTP/1.1")).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn view() -> StreamView {
    StreamView {
        namespace: "n".to_owned(),
        pod: "p".to_owned(),
        container: "c".to_owned(),
        restart: 2,
        std_stream: "stderr",
        mode: "file",
        why: "capture is off".to_owned(),
        position: 10,
        lag_bytes: 4,
        lines: 3,
        bytes: 9,
    }
}

#[tokio::test]
async fn metrics_come_in_the_form_that_is_asked_for() {
    let admin = start().await;
    let plain = ask(admin.address, "GET /metrics HTTP/1.1").await;
    assert!(plain.starts_with("HTTP/1.1 200 OK\r\n") && plain.contains("text/plain; version=0.0.4"), "{plain}");
    assert!(plain.contains("\npenstock_backlog_bytes 0\n"), "{plain}");
    let open = ask(admin.address, "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0").await;
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"), "{open}");
    assert!(open.ends_with("# EOF\n"), "{open}");
    let head = ask(admin.address, "HEAD /metrics HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn only_the_four_pages_and_only_reading() {
    let admin = start().await;
    assert_eq!(get(&admin, "/").await.0, 404);
    let refused = ask(admin.address, "POST /metrics HTTP/1.1").await;
    assert!(refused.starts_with("HTTP/1.1 405") && refused.contains("allow: GET, HEAD"), "{refused}");
    assert!(ask(admin.address, "nonsense").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn health_is_told_by_status_and_trouble_by_the_body() {
    let admin = start().await;
    assert_eq!(get(&admin, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(&admin, "/readyz").await.0, 503, "no pods yet");
    admin.health.set_pods_known();
    admin.health.set_trouble(0, Some("status 403".to_owned()));
    assert_eq!(get(&admin, "/readyz").await, (200, "delivery is in trouble: status 403\n".to_owned()));
}

#[tokio::test]
async fn streams_are_what_the_data_thread_says() {
    let mut admin = start().await;
    let address = admin.address;
    let page = tokio::spawn(async move { ask(address, "GET /streams HTTP/1.1").await });
    admin.asked.recv().await.unwrap().send(vec![view()]).unwrap();
    let page = page.await.unwrap();
    let json: serde_json::Value = serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap();
    let want = serde_json::json!([{
        "namespace": "n", "pod": "p", "container": "c", "restart": 2, "std_stream": "stderr", "mode": "file",
        "why": "capture is off", "position": 10, "lag_bytes": 4, "lines": 3, "bytes": 9,
    }]);
    assert_eq!(json, want);
}

#[tokio::test]
async fn a_data_thread_that_is_gone_or_stuck_gives_503() {
    let mut admin = start().await;
    let (status, words) = get(&admin, "/streams").await;
    assert_eq!((status, words.as_str()), (503, "the data thread did not answer within 2s\n"), "stuck");
    admin.asked.close();
    while admin.asked.recv().await.is_some() {}
    assert_eq!(get(&admin, "/streams").await, (503, "the data thread is gone\n".to_owned()));
}

async fn silent_clients(admin: &Admin, count: usize) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..count {
        silent.push(TcpStream::connect(admin.address).await.unwrap());
    }
    silent
}

#[tokio::test]
async fn silent_clients_do_not_keep_others_out() {
    let admin = start().await;
    let mut silent = silent_clients(&admin, 100).await;
    let answer = tokio::time::timeout(ADMIN_HEAD_TIME_MAX / 2, get(&admin, "/healthz")).await;
    assert_eq!(answer.expect("before the silent ones are timed out").0, 200);
    // Nothing is answered there: the end, or a reset.
    let closed = silent[0].read(&mut [0]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "the oldest made place: {closed:?}");
}

#[tokio::test]
async fn a_silent_client_is_closed_and_one_that_has_asked_is_not() {
    let mut admin = start().await;
    let address = admin.address;
    let asking = tokio::spawn(async move { ask(address, "GET /streams HTTP/1.1").await });
    let asked = admin.asked.recv().await.unwrap();
    let mut silent = silent_clients(&admin, ADMIN_CONNECTIONS_MAX + 3).await;
    asked.send(vec![view()]).unwrap();
    assert!(asking.await.unwrap().starts_with("HTTP/1.1 200"), "it was not closed for those that came later");
    let mut rest = Vec::new();
    let newest = silent.last_mut().unwrap();
    let closed = tokio::time::timeout(ADMIN_HEAD_TIME_MAX + STREAMS_WAIT, newest.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "it has said nothing");
}

#[tokio::test]
async fn an_address_in_use_is_said_with_its_remedy() {
    let admin = start().await;
    let error = bind(admin.address).await.unwrap_err();
    assert!(matches!(error, AdminError::InUse(_)));
    assert!(error.to_string().contains(&admin.address.to_string()) && error.to_string().contains("`admin`"), "{error}");
    let elsewhere = bind("192.0.2.1:1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(elsewhere, AdminError::Listen(..)), "{elsewhere}");
}

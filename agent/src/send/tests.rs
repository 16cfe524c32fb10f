//! The client and the task against a real server on 127.0.0.1.

mod tls;

use super::http::{Client, Reply, Timing};
use crate::config::{Auth, Loki, Tls};
use crate::limits::ANSWER_BYTES_MAX;
use crate::types::request::{Request, RequestId};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// No wait between two looks at the files, so that no test has to sleep.
const AT_ONCE: Timing = Timing { timeout: Duration::from_secs(30), recheck: Duration::ZERO };

fn loki(url: String) -> Loki {
    Loki {
        url,
        tenant: String::new(),
        auth: Auth::None,
        tls: Tls::default(),
        rate: 1,
        burst: 1,
        batch_bytes: 1,
        linger_max: Duration::ZERO,
        requests_in_flight: 4,
    }
}

#[derive(Debug)]
struct Seen {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A server that notes what it sees. The first word of the body says what it does.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start() -> Self {
        Self::listen("http", None).await
    }

    async fn listen(scheme: &str, tls: Option<Arc<Mutex<Arc<ServerConfig>>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let notes = Arc::clone(&notes);
                let tls = tls.clone().map(|tls| TlsAcceptor::from(Arc::clone(&tls.lock().unwrap())));
                tokio::spawn(async move {
                    let service = service_fn(move |request| behave(request, Arc::clone(&notes)));
                    let http = hyper::server::conn::http1::Builder::new();
                    match tls {
                        None => http.serve_connection(TokioIo::new(socket), service).await.ok(),
                        Some(tls) => {
                            let Ok(socket) = tls.accept(socket).await else { return };
                            http.serve_connection(TokioIo::new(socket), service).await.ok()
                        }
                    };
                });
            }
        });
        Self { url, seen, task }
    }

    fn last(&self) -> Seen {
        self.seen.lock().unwrap().pop().unwrap()
    }
}

async fn behave(
    request: hyper::Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    let path = head.uri.path().to_owned();
    seen.lock().unwrap().push(Seen { method: head.method, path, headers: head.headers, body });
    let answer = Response::builder();
    let answer = match text.split_once(' ').unwrap_or((&text, "")) {
        ("stall", _) => std::future::pending().await,
        ("reset", _) => return Err(std::io::Error::other("reset")),
        ("big", _) => answer.status(500).body("ä".repeat(ANSWER_BYTES_MAX).into()),
        ("wait", seconds) => answer.status(429).header("retry-after", seconds).body("slow".into()),
        ("moved", _) => answer.status(307).header("location", "/elsewhere").body("".into()),
        (status, words) => answer.status(status.parse().unwrap_or(204)).body(words.to_owned().into()),
    };
    Ok(answer.unwrap())
}

async fn push(client: &Client, body: &'static str) -> Reply {
    client.push(Bytes::from_static(body.as_bytes())).await
}

#[tokio::test]
async fn a_push_says_who_and_what_it_is() {
    let server = Server::start().await;
    let mut loki = loki(format!("{}/prefix/", server.url));
    loki.tenant = "team-a".to_owned();
    let client = Client::timed(&loki, AT_ONCE).unwrap();
    assert_eq!(push(&client, "204").await, Reply { status: 204, body: String::new(), retry_after: None });
    let seen = server.last();
    assert_eq!((seen.method, seen.path.as_str()), (Method::POST, "/prefix/loki/api/v1/push"));
    assert_eq!(seen.body, "204");
    let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("content-type"), Some("application/x-protobuf"));
    assert_eq!(header("x-scope-orgid"), Some("team-a"));
    assert_eq!(header("user-agent"), Some(concat!("penstock/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(header("content-length"), Some("3"));
    assert_eq!((header("content-encoding"), header("authorization")), (None, None));
    assert_eq!(client.get("/ready").await.status, 204);
    assert_eq!(server.last().path, "/prefix/ready");
}

#[tokio::test]
async fn what_loki_says_comes_through_as_it_is() {
    let server = Server::start().await;
    let client = Client::timed(&loki(server.url.clone()), AT_ONCE).unwrap();
    for (body, status, words) in
        [("400 bad\nlabels", 400, "bad\nlabels"), ("260 blocked", 260, "blocked"), ("503", 503, "")]
    {
        let want = Reply { status, body: words.to_owned(), retry_after: None };
        assert_eq!(push(&client, body).await, want);
    }
    assert_eq!(push(&client, "wait 7").await.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(push(&client, "moved").await.status, 307, "a redirect is not followed");
    let big = push(&client, "big").await;
    assert_eq!(big.status, 500);
    assert!(big.body.len() <= ANSWER_BYTES_MAX && big.body.len() > ANSWER_BYTES_MAX - 2, "{}", big.body.len());
}

#[tokio::test]
async fn where_no_answer_comes_the_status_is_0_and_the_body_says_why() {
    let server = Server::start().await;
    let timing = Timing { timeout: Duration::from_millis(100), ..AT_ONCE };
    let client = Client::timed(&loki(server.url.clone()), timing).unwrap();
    let stalled = push(&client, "stall").await;
    assert_eq!((stalled.status, stalled.body.as_str()), (0, "no answer within 100ms"));

    let client = Client::timed(&loki(server.url.clone()), AT_ONCE).unwrap();
    let reset = push(&client, "reset").await;
    assert!(reset.status == 0 && !reset.body.is_empty(), "{reset:?}");
    assert_eq!(server.seen.lock().unwrap().len(), 2, "nothing is tried twice here");

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::timed(&loki(format!("http://{closed}")), AT_ONCE).unwrap();
    let refused = push(&client, "204").await;
    assert!(refused.status == 0 && refused.body.contains("refused"), "{refused:?}");
}

#[test]
fn settings_that_cannot_be_sent_are_refused_with_a_remedy() {
    for url in ["loki:3100", "ftp://loki", "", "http://"] {
        let error = Client::new(&loki(url.to_owned())).unwrap_err().to_string();
        assert!(error.starts_with("loki.url ") && error.contains("http://loki-gateway"), "{error}");
    }
    let mut loki = loki("http://loki".to_owned());
    loki.tenant = "a\nb".to_owned();
    assert!(Client::new(&loki).unwrap_err().to_string().starts_with("loki.tenant "));
}

async fn authorization(server: &Server, client: &Client) -> Option<String> {
    assert_eq!(push(client, "204").await.status, 204);
    server.last().headers.get("authorization").map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_is_read_again_when_its_file_changes_and_kept_when_it_goes() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    let mut loki = loki(server.url.clone());
    loki.auth = Auth::Bearer { token_file: token_file.clone() };
    let client = Client::timed(&loki, AT_ONCE).unwrap();
    let missing = push(&client, "204").await;
    assert_eq!(missing.status, 0);
    assert!(missing.body.contains(&format!("loki.bearer_token_file {}", token_file.display())), "{}", missing.body);

    for (content, want) in
        [("one\n", "Bearer one"), ("two!", "Bearer two!"), ("", "Bearer two!"), ("a\0", "Bearer two!")]
    {
        std::fs::write(&token_file, content).unwrap();
        assert_eq!(authorization(&server, &client).await.as_deref(), Some(want), "{content:?}");
    }
    std::fs::remove_file(&token_file).unwrap();
    assert_eq!(authorization(&server, &client).await.as_deref(), Some("Bearer two!"));
    std::fs::create_dir(&token_file).unwrap();
    assert_eq!(authorization(&server, &client).await.as_deref(), Some("Bearer two!"));
}

/// Rule: a new token is seen without a request, while something is held back.
#[tokio::test]
async fn a_changed_file_is_told_while_something_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "one").unwrap();
    let mut loki = loki("http://127.0.0.1:1".to_owned());
    loki.auth = Auth::Bearer { token_file: token_file.clone() };
    let client = Client::timed(&loki, AT_ONCE).unwrap();
    let (told, mut changes) = mpsc::channel(8);
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let is_held = || {
        // The first looks find nothing new.
        if looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 3 {
            std::fs::write(&token_file, "another").unwrap();
        }
        true
    };
    tokio::select! {
        () = client.changes(is_held, || told.try_send(()).unwrap()) => unreachable!("it has a file"),
        change = changes.recv() => assert_eq!(change, Some(())),
    }
    assert!(looks.into_inner() > 3);
}

#[tokio::test]
async fn who_cannot_be_reached_is_named_with_a_remedy() {
    for url in ["http://user:secret@127.0.0.1:1", "http://no-such-host.invalid"] {
        let reply = push(&Client::timed(&loki(url.to_owned()), AT_ONCE).unwrap(), "204").await;
        let address = if url.contains("invalid") { "no-such-host.invalid:80" } else { "127.0.0.1:1" };
        assert!(reply.body.contains(address) && reply.body.contains("loki.url"), "{}", reply.body);
        assert!(!reply.body.contains("secret"), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_password_goes_with_its_user() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, "open sesame\n").unwrap();
    let mut loki = loki(server.url.clone());
    loki.auth = Auth::Basic { username: "Aladdin".to_owned(), password_file };
    let client = Client::timed(&loki, AT_ONCE).unwrap();
    // RFC 7617's example has "open sesame" for "Aladdin", too.
    let want = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(authorization(&server, &client).await.as_deref(), want);
}

fn request(id: u64, body: &'static str) -> Request {
    Request { id: RequestId(id), body: Bytes::from_static(body.as_bytes()) }
}

#[tokio::test]
async fn every_request_is_answered_and_none_waits_for_another() {
    let server = Server::start().await;
    let timing = Timing { timeout: Duration::from_millis(300), ..AT_ONCE };
    let client = Client::timed(&loki(server.url.clone()), timing).unwrap();
    let (requests, incoming) = mpsc::channel(4);
    for (id, body) in [(1, "stall"), (2, "400 no"), (3, "204")] {
        requests.send(request(id, body)).await.unwrap();
    }
    drop(requests);
    let answers = Mutex::new(Vec::new());
    super::run(client, incoming, |answer| answers.lock().unwrap().push(answer)).await;
    let mut answers = answers.into_inner().unwrap();
    assert_eq!(
        answers.last().map(|answer| (answer.id, answer.status)),
        Some((RequestId(1), 0)),
        "the stalled one last"
    );
    assert!(answers[2].took >= Duration::from_millis(300), "{:?}", answers[2].took);
    answers.sort_by_key(|answer| answer.id);
    let got: Vec<_> = answers.iter().map(|answer| (answer.id.0, answer.status, answer.body.as_str())).collect();
    assert_eq!(got, [(1, 0, "no answer within 300ms"), (2, 400, "no"), (3, 204, "")]);
}

#[tokio::test]
async fn a_dropped_task_stops_at_once() {
    let server = Server::start().await;
    let client = Client::timed(&loki(server.url.clone()), AT_ONCE).unwrap();
    let (requests, incoming) = mpsc::channel(4);
    requests.send(request(1, "stall")).await.unwrap();
    let task = tokio::spawn(super::run(client, incoming, |_| panic!("nothing is answered")));
    while server.seen.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(requests.is_closed(), "who sends learns that nobody is there");
}

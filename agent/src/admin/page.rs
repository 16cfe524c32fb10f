//! One request to the admin server.
//!
//! In: method, path, `Accept`. Out: a whole answer. Never: a wait longer than `limits::STREAMS_WAIT`.

use super::AdminState;
use crate::limits::STREAMS_WAIT;
use crate::metrics;
use crate::types::view::StreamView;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

const TEXT: &str = "text/plain; charset=utf-8";

/// What is to be answered.
pub(super) async fn answer<B>(request: &Request<B>, state: &AdminState) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/metrics" => page(StatusCode::OK, form(request), state.metrics.encode()),
        "/healthz" => told(state.health.alive(state.clock.now().mono).map(|()| "ok".to_owned())),
        "/readyz" => told(state.health.ready(state.clock.now().mono)),
        "/streams" => streams(state).await,
        _ => page(StatusCode::NOT_FOUND, TEXT, "there are /metrics, /healthz, /readyz and /streams\n"),
    }
}

fn form<B>(request: &Request<B>) -> &'static str {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("application/openmetrics-text"));
    if request.headers().get_all(ACCEPT).iter().any(accepts) { metrics::OPENMETRICS } else { metrics::PROMETHEUS }
}

async fn streams(state: &AdminState) -> Response<Full<Bytes>> {
    let views = match timeout(STREAMS_WAIT, ask(state)).await {
        Ok(Some(views)) => views,
        Ok(None) => return told(Err("the data thread is gone".to_owned())),
        Err(_) => return told(Err(format!("the data thread did not answer within {STREAMS_WAIT:?}"))),
    };
    match serde_json::to_vec(&views) {
        Ok(json) => page(StatusCode::OK, "application/json", json),
        Err(error) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("writing JSON: {error}\n")),
    }
}

async fn ask(state: &AdminState) -> Option<Vec<StreamView>> {
    let (answer, views) = oneshot::channel();
    state.streams.send(answer).await.ok()?;
    views.await.ok()
}

fn told(words: Result<String, String>) -> Response<Full<Bytes>> {
    let status = if words.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (Ok(words) | Err(words)) = words;
    page(status, TEXT, words + "\n")
}

fn page(status: StatusCode, form: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::new(body.into()));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    page
}

//! The HTTP side: which request goes where, and how answers look.
//!
//! In: requests. Out: answers as Loki gives them, or none where a fault says so. It decides nothing about entries.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};

use super::body;
use super::fault::{Fault, Times};
use super::range::Params;
use super::read::{self, ReadResult};
use super::refusal::Answer;
use super::shared::Shared;
use super::wire::PushRequest;

const NGINX_413: &str = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n<center><h1>413 \
    Request Entity Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>";

/// Bytes of a posted form; Go's limit.
const FORM_BYTES_MAX: usize = 10 << 20;

/// An answer, or an error that closes the connection without one.
pub(crate) type Reply = io::Result<Response<Full<Bytes>>>;

/// Answers one request.
pub(crate) async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/loki/api/v1/push") => push(shared, request).await,
        (_, "/loki/api/v1/push") => Ok(text(&Answer::new(405, ""))),
        (&Method::POST, "/_fault") => Ok(set_fault(&shared, &params(&request))),
        (_, "/_stats") => Ok(json(200, serde_json::to_string_pretty(&shared.stats()).unwrap_or_default())),
        (_, "/ready") => Ok(text(&Answer::new(200, "ready"))),
        _ if path.starts_with("/loki/api/v1/") => read_back(&shared, &path, request).await,
        _ => Ok(text(&Answer::new(404, "404 page not found"))),
    }
}

async fn read_back(shared: &Shared, path: &str, request: Request<Incoming>) -> Reply {
    if !shared.config.keep_entries {
        let why = "this receiver counts entries and keeps none: there is nothing to read back";
        return Ok(text(&Answer::new(501, why)));
    }
    let value_of = path.strip_prefix("/loki/api/v1/label/").and_then(|rest| rest.strip_suffix("/values"));
    let is_known = matches!(
        path,
        "/loki/api/v1/query_range" | "/loki/api/v1/query" | "/loki/api/v1/labels" | "/loki/api/v1/label"
    ) || value_of.is_some();
    if !is_known {
        return Ok(text(&Answer::new(404, "404 page not found")));
    }
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return Ok(text(&Answer::new(405, "")));
    }
    let (params, now_ns) = (form(request).await?, shared.config.clock.now_ns());
    Ok(read_reply(shared.read(|store| match (path, value_of) {
        (_, Some(name)) => read::label_values(store, name, &params, now_ns),
        ("/loki/api/v1/query", _) => read::query(store, &shared.config.limits, &params, now_ns),
        ("/loki/api/v1/query_range", _) => read::query_range(store, &shared.config.limits, &params, now_ns),
        _ => read::label_names(store, &params, now_ns),
    })))
}

/// The parameters as Go's `Request.Form` has them: those of a posted form come before those of the URL.
async fn form(request: Request<Incoming>) -> io::Result<Params> {
    let is_form = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = is_form.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let mut params = params(&request);
    if request.method() == Method::POST && is_form {
        let body = Limited::new(request.into_body(), FORM_BYTES_MAX).collect().await.map_err(io::Error::other)?;
        let mut posted: Vec<(String, String)> = form_urlencoded::parse(&body.to_bytes()).into_owned().collect();
        // The first of one name counts.
        posted.reverse();
        params.extend(posted);
    }
    Ok(params)
}

async fn push(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    let (fault, request_no) = shared.begin();
    let (head, body) = request.into_parts();
    let limit = shared.config.limits.body_bytes_max;
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(e) => {
            shared.answered(0);
            return Err(io::Error::other(format!("reading the body of push {request_no}: {e}")));
        }
    };
    shared.received(body.len());
    if let Some(Fault::Slow(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    if fault == Some(Fault::Stall) {
        shared.answered(0);
        std::future::pending::<()>().await;
    }
    let answer = answer(&shared, fault, request_no, &head.headers, body);
    let Some(answer) = answer else {
        shared.answered(0);
        return Err(io::Error::other("fault: the connection is closed without an answer"));
    };
    shared.answered(answer.status);
    let mut reply = text(&answer);
    if let Some(Fault::RetryAfter(seconds)) = fault {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(reply)
}

/// The answer to a push; `None`: none is given.
fn answer(shared: &Shared, fault: Option<Fault>, request_no: u64, headers: &HeaderMap, body: Bytes) -> Option<Answer> {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let gateway_max = shared.config.limits.gateway_body_bytes_max;
    match fault {
        Some(Fault::Reset) => return None,
        Some(Fault::Status(413)) => return Some(Answer::new(413, NGINX_413)),
        Some(Fault::Status(status)) => return Some(Answer::new(status, "fault on request")),
        Some(Fault::RetryAfter(_)) => return Some(Answer::new(429, "too many requests, come back later")),
        Some(Fault::Unauthorized401) => return Some(Answer::new(401, "no org id")),
        _ if gateway_max.is_some_and(|max| body.len() > max) => return Some(Answer::new(413, NGINX_413)),
        _ => {}
    }
    let tenant = header(HeaderName::from_static("x-scope-orgid"));
    if shared.config.auth_enabled && tenant.is_empty() {
        return Some(Answer::new(401, "no org id"));
    }
    let tenant = if shared.config.auth_enabled { tenant } else { "fake" };
    let limit = shared.config.limits.body_bytes_max;
    let answer = match body::decode(header(CONTENT_TYPE), header(CONTENT_ENCODING), body, limit) {
        Ok((request, decoded_bytes)) => match poisoned(fault, &request) {
            Some(status) => Answer::new(status, "fault on request"),
            None => shared.push(tenant, fault, request_no, request, decoded_bytes),
        },
        Err(why) => Answer::new(400, why),
    };
    match fault {
        Some(Fault::StoreThenReset) => None,
        Some(Fault::StoreThen500) => Some(Answer::new(500, "rpc error: code = Unavailable desc = fault on request")),
        _ => Some(answer),
    }
}

/// The status of a push that holds what is poison.
fn poisoned(fault: Option<Fault>, request: &PushRequest) -> Option<u16> {
    let Some(Fault::Poison(status, text)) = fault else { return None };
    let holds = |line: &[u8]| memchr::memmem::find(line, text.as_bytes()).is_some();
    request.streams.iter().flat_map(|stream| &stream.entries).any(|entry| holds(&entry.line)).then_some(status)
}

fn params(request: &Request<Incoming>) -> Params {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// `POST /_fault?kind=KIND[&count=N | &chance=P&seed=N][&ms=N | &seconds=N]`; `kind=none` clears.
fn set_fault(shared: &Shared, params: &Params) -> Response<Full<Bytes>> {
    let kind = params.get("kind").map_or("", String::as_str);
    if kind == "none" {
        shared.set_fault(None);
        return text(&Answer::new(200, "no fault"));
    }
    let number = |name: &str| params.get(name).and_then(|value| value.parse::<u32>().ok());
    let amount = number("ms").or_else(|| number("seconds")).unwrap_or(1);
    let times = match (number("count"), params.get("chance").and_then(|chance| chance.parse().ok())) {
        (Some(count), _) => Times::Next(count),
        (None, Some(probability)) => Times::Chance { probability, seed: number("seed").unwrap_or(0).into() },
        (None, None) => Times::Always,
    };
    match Fault::from_kind(kind, amount) {
        Some(fault) => {
            shared.set_fault(Some((fault, times)));
            text(&Answer::new(200, format!("{fault:?} {times:?}")))
        }
        None => text(&Answer::new(400, format!("unknown fault {kind:?}: give a status or one of Fault::from_kind"))),
    }
}

fn read_reply(result: ReadResult) -> Response<Full<Bytes>> {
    match result {
        Ok(body) => json(200, body),
        Err((status, why)) => text(&Answer::new(status, why)),
    }
}

fn json(status: u16, body: String) -> Response<Full<Bytes>> {
    reply(status, Some("application/json"), body)
}

/// As Go's `http.Error`: the text and a newline; a 204 has no body.
fn text(answer: &Answer) -> Response<Full<Bytes>> {
    if answer.body.is_empty() {
        return reply(answer.status, None, String::new());
    }
    reply(answer.status, Some("text/plain; charset=utf-8"), format!("{}\n", answer.body))
}

fn reply(status: u16, content_type: Option<&'static str>, body: String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(content_type) = content_type {
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        reply.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    }
    reply
}

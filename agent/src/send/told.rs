//! Errors of the HTTP client in words for an operator.
//!
//! In: the error, and where the request went. Out: what was being done, the remedy, then the causes, so that a cut at
//! the end leaves the remedy. Never: the URL itself, which may hold a password.

use reqwest::Url;

/// The words for `error`. `base`: `loki.url`, where a request was sent.
pub(super) fn told(error: reqwest::Error, base: Option<&Url>) -> String {
    let is_connect = error.is_connect();
    let error = error.without_url();
    let mut causes = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        causes = format!("{causes}: {error}");
        cause = error.source();
    }
    match base {
        Some(base) if is_connect => format!("cannot connect to {}; {}: {causes}", address(base), remedy(&causes)),
        _ => causes,
    }
}

fn address(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn remedy(causes: &str) -> &'static str {
    if causes.contains("UnknownIssuer") || causes.contains("BadSignature") {
        return "set loki.tls.ca_file to the certificate of the authority that signed Loki's";
    }
    if causes.contains("invalid peer certificate") {
        return "its certificate does not fit: check the name in loki.url and loki.tls";
    }
    "check loki.url, and that Loki runs there and may be reached from this node"
}

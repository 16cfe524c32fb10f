//! What Loki's answer means.
//!
//! In: status, body (any text, perhaps cut short) and the header `Retry-After`. Out: a [`Verdict`]. Never: a
//! clock, a retry, a panic, or [`Verdict::Stored`] for anything but 200 and 204.
//!
//! Wordings and what is stored with each: Loki 3.5.1, `pkg/validation/validate.go`, `pkg/distributor/` and
//! `pkg/ingester/stream.go`, `instance.go`. Where the source leaves a doubt, the reading is the one after
//! which more is sent again, not the one after which something is lost.

pub mod refusals;
pub mod retry_after;

use crate::types::request::Verdict;

/// Bytes of a body that are quoted in a message.
const QUOTE_BYTES_MAX: usize = 300;

/// Reads an answer. `status` is the HTTP status, or 0 where none came; `body` then says why.
#[must_use]
pub fn read(status: u16, body: &str) -> Verdict {
    if !matches!(status, 200 | 204) && body.starts_with("ingestion blocked for user ") {
        // Loki takes the status of a block from its settings (260 unless set), so the words decide.
        return hold(status, body, "an operator of Loki blocked this tenant (block_ingestion_until)");
    }
    match status {
        0 => Verdict::Retry { why: quote(body) },
        200 | 204 => Verdict::Stored,
        300..=399 => hold(status, body, "redirects are not followed; set loki.url to the address it leads to"),
        400 => bad_request(body),
        401 => hold(status, body, "check loki.basic_auth, loki.bearer_token_file and loki.tenant"),
        403 => hold(status, body, "these credentials may not push; check them and loki.tenant"),
        404 => hold(status, body, "there is no Loki push API; check loki.url (/loki/api/v1/push is added to it)"),
        408 => Verdict::Retry { why: told(status, body) },
        413 => Verdict::TooLarge,
        422 if body.contains("at least one valid stream") => Verdict::NotUnderstood {
            why: format!("the request held no streams, which is a bug of Penstock: {}", quote(body)),
        },
        429 => too_many(body),
        500..=599 if is_message_too_large(body) => Verdict::TooLarge,
        500..=599 => Verdict::Retry { why: told(status, body) },
        _ => hold(status, body, "Loki does not answer a push with this; check loki.url and what stands in front of it"),
    }
}

fn bad_request(body: &str) -> Verdict {
    if is_message_too_large(body) {
        return Verdict::TooLarge;
    }
    if let Some(remedy) = not_about_the_body(body) {
        return hold(400, body, remedy);
    }
    if body.starts_with("stream ") && body.contains(" was rejected because \"exceeds_") {
        // The ingest limits service refuses the whole request and names the streams; it passes as others end.
        return Verdict::Retry { why: told(400, body) };
    }
    if let Some(labels) = refusals::rate_limited_labels(body) {
        return Verdict::StreamRate { labels };
    }
    if let Some((refusals, labels)) = refusals::read_ignored(body) {
        return Verdict::EntriesIgnored { refusals, labels };
    }
    let refusals = refusals::read(body);
    if refusals.is_empty() { Verdict::NotUnderstood { why: quote(body) } } else { Verdict::PartlyRefused(refusals) }
}

fn too_many(body: &str) -> Verdict {
    if let Some(labels) = refusals::rate_limited_labels(body) {
        return Verdict::StreamRate { labels };
    }
    if body.contains("Maximum active stream limit exceeded") {
        return Verdict::TooManyStreams { labels: refusals::unaccepted_labels(body) };
    }
    Verdict::TenantRate
}

/// gRPC between distributor and ingester, either side: `received message larger than max (5 vs. 4)`,
/// `trying to send message larger than max`.
fn is_message_too_large(body: &str) -> bool {
    body.contains("message larger than max") || body.contains("message after decompression larger than max")
}

/// The remedy, where a 400 is about the sender or the way, so that no split of the body can help and setting
/// entries aside would set all of them aside.
fn not_about_the_body(body: &str) -> Option<&'static str> {
    let body = body.trim_start();
    // dskit/tenant and dskit/user.
    if ["no org id", "tenant ID ", "multiple org IDs", "multiple user IDs"].iter().any(|words| body.starts_with(words))
    {
        return Some("check loki.tenant");
    }
    if body.starts_with("mime: ") || body.starts_with("Content-Encoding ") {
        return Some("something between here and Loki changes the request's headers");
    }
    // A proxy's own page; Go's server and nginx when TLS is missing.
    let start = body.get(..15).unwrap_or(body).to_ascii_lowercase();
    let is_page = start.starts_with("<html") || start.starts_with("<!doctype");
    if is_page || body.starts_with("400 Bad Request") || body.starts_with("Client sent an HTTP request") {
        return Some("this is not Loki's answer but that of a proxy; check loki.url (http or https?) and the proxy");
    }
    None
}

fn hold(status: u16, body: &str, remedy: &str) -> Verdict {
    Verdict::Hold { why: format!("{}; {remedy}", told(status, body)) }
}

fn told(status: u16, body: &str) -> String {
    let body = quote(body);
    if body.is_empty() { format!("status {status}") } else { format!("status {status}: {body}") }
}

/// The beginning of a body, on one line: what of it may stand in a message.
#[must_use]
pub fn quote(body: &str) -> String {
    let body = body.trim();
    let kept: String = body.get(..body.floor_char_boundary(QUOTE_BYTES_MAX)).unwrap_or_default().to_owned();
    let mut kept = kept.replace(|c: char| c.is_control(), " ");
    if kept.len() < body.len() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests;

//! Loki's push path: a push without any stream, which Loki refuses in words of its own.
//!
//! In: the section `loki`, and the answer. Out: a finding. Never: an entry sent.

use super::ANSWER_TIMEOUT;
use super::finding::{Finding, chain};
use crate::config::{Auth, Loki};
use std::path::Path;

const WHAT: &str = "loki";
/// A snappy block of no bytes: a `PushRequest` without streams.
const EMPTY_PUSH: &[u8] = &[0];

/// Why no push could be tried.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    #[error("{0}: {1}")]
    Pem(String, reqwest::Error),
    #[error("{}", chain(.0))]
    Http(#[from] reqwest::Error),
}

/// Sends the empty push.
pub(super) async fn examine(loki: &Loki) -> Finding {
    let place = format!("{}/loki/api/v1/push", loki.url);
    match ask(loki, &place).await {
        Ok((status, body)) => judge(&place, status, &body),
        Err(AskError::Http(error)) => Finding::fail(
            WHAT,
            format!("{place}: {}", chain(&error)),
            "check loki.url, the name service, network policies and, with https, loki.tls",
        ),
        Err(error) => Finding::fail(WHAT, error.to_string(), "check the file's path, rights and content"),
    }
}

async fn ask(loki: &Loki, place: &str) -> Result<(u16, String), AskError> {
    let mut push = client(loki)?
        .post(place)
        .timeout(ANSWER_TIMEOUT)
        .header("Content-Type", "application/x-protobuf")
        .body(EMPTY_PUSH);
    if !loki.tenant.is_empty() {
        push = push.header("X-Scope-OrgID", &loki.tenant);
    }
    push = match &loki.auth {
        Auth::None => push,
        Auth::Basic { username, password_file } => push.basic_auth(username, Some(secret(password_file)?)),
        Auth::Bearer { token_file } => push.bearer_auth(secret(token_file)?),
    };
    let mut answer = push.send().await.map_err(reqwest::Error::without_url)?;
    let status = answer.status().as_u16();
    // The beginning says it all; a page of any length may stand in Loki's place.
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        body.extend_from_slice(&chunk);
        if body.len() > 1_024 {
            break;
        }
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn client(loki: &Loki) -> Result<reqwest::Client, AskError> {
    let tls = &loki.tls;
    let mut client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .danger_accept_invalid_certs(tls.insecure_skip_verify);
    if let Some(path) = &tls.ca_file {
        let wrong = |error| AskError::Pem(path.display().to_string(), error);
        client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(&file(path)?).map_err(wrong)?);
    }
    if let (Some(certificate), Some(key)) = (&tls.cert_file, &tls.key_file) {
        let mut pem = file(key)?;
        pem.push(b'\n');
        pem.extend(file(certificate)?);
        let wrong = |error| AskError::Pem(format!("{} and {}", certificate.display(), key.display()), error);
        client = client.identity(reqwest::Identity::from_pem(&pem).map_err(wrong)?);
    }
    Ok(client.build()?)
}

fn file(path: &Path) -> Result<Vec<u8>, AskError> {
    std::fs::read(path).map_err(|error| AskError::File(path.display().to_string(), error))
}

fn secret(path: &Path) -> Result<String, AskError> {
    Ok(String::from_utf8_lossy(&file(path)?).trim_end_matches(['\r', '\n']).to_owned())
}

/// What an answer to a push without streams means. Loki 3.5.1 says 422 "at least one valid stream …".
fn judge(place: &str, status: u16, body: &str) -> Finding {
    let fail = |remedy: &str| Finding::fail(WHAT, format!("{place} answered {status}: {body}"), remedy);
    match status {
        422 | 200 | 204 => Finding::ok(WHAT, format!("{place} takes pushes (an empty one was answered {status})")),
        400 if body.contains("stream") => {
            Finding::ok(WHAT, format!("{place} takes pushes (an empty one was answered 400)"))
        }
        401 if body.contains("no org id") => fail("this Loki has tenants: set loki.tenant"),
        401 => fail("check loki.basic_auth or loki.bearer_token_file"),
        403 => fail("this user or tenant may not push: check the gateway's rules and loki.tenant"),
        404 => fail("not Loki's push path: loki.url must be the base, to which /loki/api/v1/push is added"),
        260 => fail("the tenant is blocked in Loki: lift the block (limits `block_ingestion_until`)"),
        429 => Finding::warn(
            WHAT,
            format!("{place} answered 429: {body}"),
            "the tenant is at its rate limit now; pushes wait",
        ),
        500..=599 | 408 => Finding::warn(
            WHAT,
            format!("{place} answered {status}: {body}"),
            "Loki is in trouble now; pushes wait until it is well",
        ),
        _ => fail("this does not look like Loki: check loki.url and any proxy in between"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn an_empty_push_is_answered_by_loki_in_words_of_its_own() {
        assert_eq!(EMPTY_PUSH, snap::raw::Encoder::new().compress_vec(b"").unwrap());
        let level = |status, body| judge("u", status, body).level;
        assert_eq!(level(422, "error at least one valid stream is required for ingestion"), Level::Ok);
        assert_eq!(level(204, ""), Level::Ok);
        for status in [401, 403, 404, 260, 301, 400, 418] {
            assert_eq!(level(status, "<html>"), Level::Fail, "{status}");
        }
        assert_eq!(level(503, ""), Level::Warn);
        assert!(judge("u", 401, "no org id").remedy.unwrap().contains("set loki.tenant"));
        assert!(judge("u", 260, "ingestion blocked").remedy.unwrap().contains("lift the block"));
    }
}

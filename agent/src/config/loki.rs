//! The section `loki`: where to, who we are, how fast.
//!
//! In: the section's node. Out: [`Loki`]. Never: the content of a password or token file; those are read at run
//! time, again whenever they change.

use super::error::Problem;
use super::form::{Form, Section};
use super::yaml::Node;
use super::{Auth, Loki, Tls, value};
use crate::limits::{LINGER_MAX, REQUEST_BYTES_MAX, REQUESTS_IN_FLIGHT, REQUESTS_IN_FLIGHT_MAX};
use std::time::Duration;

const KEYS: &[&str] = &[
    "url",
    "tenant",
    "basic_auth",
    "bearer_token_file",
    "tls",
    "rate",
    "burst",
    "batch_bytes",
    "linger_max",
    "requests_in_flight",
];

/// Reads the section; absent keys have their defaults.
pub(super) fn read(form: &mut Form<'_>, node: Option<&Node>) -> Loki {
    let mut loki = defaults();
    let Some(node) = node else { return loki };
    let section = form.section(node, "loki", KEYS);
    loki.url = form.value(&section, "url", loki.url, value::base_url);
    loki.tenant = form.value(&section, "tenant", loki.tenant, value::tenant);
    loki.auth = auth(form, &section);
    loki.tls = tls(form, &section);
    loki.rate = form.value(&section, "rate", loki.rate, value::size_above_zero);
    loki.burst = form.value(&section, "burst", loki.burst, value::size_above_zero);
    loki.batch_bytes = form.value(&section, "batch_bytes", loki.batch_bytes, batch_bytes);
    loki.linger_max = form.value(&section, "linger_max", loki.linger_max, linger);
    loki.requests_in_flight = form.value(&section, "requests_in_flight", loki.requests_in_flight, requests_in_flight);
    check_pace(form, &section, &loki);
    loki
}

/// What holds where the section or a key of it is absent.
fn defaults() -> Loki {
    Loki {
        url: "http://mif-loki-gateway".to_owned(),
        tenant: String::new(),
        auth: Auth::None,
        tls: Tls::default(),
        rate: 30 << 20,
        burst: 60 << 20,
        batch_bytes: 1 << 20,
        linger_max: Duration::from_secs(1),
        requests_in_flight: REQUESTS_IN_FLIGHT,
    }
}

fn batch_bytes(text: &str) -> Result<usize, Problem> {
    let bytes = value::size_above_zero(text)?;
    usize::try_from(bytes).ok().filter(|bytes| *bytes <= REQUEST_BYTES_MAX).ok_or_else(|| {
        Problem::Range(format!(
            "{bytes} bytes are more than a request may have; write at most {REQUEST_BYTES_MAX} (3.5MiB)"
        ))
    })
}

fn requests_in_flight(text: &str) -> Result<usize, Problem> {
    value::count(text, 1..=REQUESTS_IN_FLIGHT_MAX)
}

fn linger(text: &str) -> Result<Duration, Problem> {
    let linger = value::duration(text)?;
    if linger <= LINGER_MAX {
        return Ok(linger);
    }
    Err(Problem::Range(format!("`{text}` is too long to wait; write at most {}s", LINGER_MAX.as_secs())))
}

/// What the three sizes must be to each other. Keys that were wrong have their defaults by now, which is why
/// nothing is said where one of them is already reported.
fn check_pace(form: &mut Form<'_>, section: &Section<'_>, loki: &Loki) {
    let is_wrong = |key: &str| form.errors.iter().any(|error| error.key == section.path(key));
    if is_wrong("rate") || is_wrong("burst") || is_wrong("batch_bytes") {
        return;
    }
    if loki.rate > loki.burst {
        let key = if section.get("rate").is_some() { "rate" } else { "burst" };
        let why = format!(
            "the rate ({}) is above the burst ({}), so it could never be reached; write a burst of at least the rate",
            loki.rate, loki.burst
        );
        form.report(section.place_of(key), &section.path(key), Problem::Range(why));
    }
    if u64::try_from(loki.batch_bytes).is_ok_and(|batch| batch > loki.burst) {
        let key = if section.get("burst").is_some() { "burst" } else { "batch_bytes" };
        let why = format!(
            "a batch ({}) above the burst ({}) could never be sent; write a burst of at least batch_bytes",
            loki.batch_bytes, loki.burst
        );
        form.report(section.place_of(key), &section.path(key), Problem::Range(why));
    }
}

fn auth(form: &mut Form<'_>, section: &Section<'_>) -> Auth {
    let token_file = form.optional(section, "bearer_token_file", value::file);
    let Some(node) = section.get("basic_auth") else {
        return token_file.map_or(Auth::None, |token_file| Auth::Bearer { token_file });
    };
    let path = section.path("basic_auth");
    if section.get("bearer_token_file").is_some() {
        form.report(
            section.place_of("bearer_token_file"),
            &section.path("bearer_token_file"),
            Problem::Both("basic_auth and bearer_token_file"),
        );
    }
    let basic = form.section(node, &path, &["username", "password_file"]);
    for key in ["username", "password_file"] {
        if matches!(node.kind, super::yaml::Kind::Map(_)) && basic.get(key).is_none() {
            form.report(node.place, &path, Problem::Missing(key));
        }
    }
    let username = form.optional(&basic, "username", value::user_name);
    let password_file = form.optional(&basic, "password_file", value::file);
    match (username, password_file) {
        (Some(username), Some(password_file)) => Auth::Basic { username, password_file },
        _ => Auth::None,
    }
}

fn tls(form: &mut Form<'_>, section: &Section<'_>) -> Tls {
    let Some(node) = section.get("tls") else { return Tls::default() };
    let files = form.section(node, &section.path("tls"), &["ca_file", "cert_file", "key_file", "insecure_skip_verify"]);
    for (one, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if files.get(one).is_some() && files.get(other).is_none() {
            form.report(files.place_of(one), &files.path(one), Problem::Missing(other));
        }
    }
    Tls {
        ca_file: form.optional(&files, "ca_file", value::file),
        cert_file: form.optional(&files, "cert_file", value::file),
        key_file: form.optional(&files, "key_file", value::file),
        insecure_skip_verify: form.value(&files, "insecure_skip_verify", false, value::boolean),
    }
}

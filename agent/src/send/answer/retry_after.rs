//! The header `Retry-After` (RFC 9110, 10.2.3): seconds, or an HTTP date.
//!
//! In: the header's text and the wall clock. Out: how long to wait. Never: a clock read, or a wait beyond
//! `limits::RETRY_AFTER_MAX`.

use crate::limits::RETRY_AFTER_MAX;
use std::time::{Duration, UNIX_EPOCH};

/// How long to wait from `wall_ns` (nanoseconds since the Unix epoch) on; a date gone by is zero. `None` where
/// the text is neither form.
#[must_use]
pub fn read(value: &str, wall_ns: i64) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
        date.saturating_sub(Duration::from_nanos(u64::try_from(wall_ns).unwrap_or(0)))
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

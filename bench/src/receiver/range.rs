//! The parameters that say what is to be read back: from when to when, how many, in which order.
//!
//! In: parameters, and the time now. Out: numbers, or Loki's refusal, word for word. It never looks at the store.
//!
//! Source: Loki 3.5.1 `pkg/loghttp/params.go` (`determineBounds`, `limit`, `parseDirection`, `parseTimestamp`),
//! `pkg/loghttp/query.go` (`ParseRangeQuery`: which is looked at first); prometheus/common `model.ParseDuration`.

use std::collections::HashMap;

/// Parameters of the request, by name.
pub(crate) type Params = HashMap<String, String>;

const SECOND_NS: i64 = 1_000_000_000;
const HOUR_NS: i64 = 3_600 * SECOND_NS;
/// Units of a duration, largest first: each at most once, in this order.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * HOUR_NS),
    ("w", 7 * 24 * HOUR_NS),
    ("d", 24 * HOUR_NS),
    ("h", HOUR_NS),
    ("m", 60 * SECOND_NS),
    ("s", SECOND_NS),
    ("ms", SECOND_NS / 1_000),
];

/// What `query_range` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) limit: usize,
    pub(crate) is_forward: bool,
}

/// Reads the parameters of `query_range`.
///
/// # Errors
/// What Loki says with a 400.
pub(crate) fn range(params: &Params, now_ns: i64) -> Result<Range, String> {
    let (start_ns, end_ns) = bounds(params, now_ns)?;
    if end_ns < start_ns {
        return Err("end timestamp must not be before or equal to start time".to_owned());
    }
    Ok(Range { start_ns, end_ns, limit: limit(params)?, is_forward: is_forward(params)? })
}

/// Start and end, nanoseconds since 1970. Without a start it is an hour, or `since`, before the end or now.
///
/// # Errors
/// What Loki says with a 400.
pub(crate) fn bounds(params: &Params, now_ns: i64) -> Result<(i64, i64), String> {
    let because = |name: &'static str| move |why: String| format!("could not parse '{name}' parameter: {why}");
    let since_ns = given(params, "since").map_or(Ok(HOUR_NS), duration_ns).map_err(because("since"))?;
    let end_ns = given(params, "end").map_or(Ok(now_ns), time_ns).map_err(because("end"))?;
    let start_ns = given(params, "start").map(time_ns).transpose().map_err(because("start"))?;
    Ok((start_ns.unwrap_or_else(|| end_ns.min(now_ns).saturating_sub(since_ns)), end_ns))
}

fn limit(params: &Params) -> Result<usize, String> {
    let Some(text) = given(params, "limit") else { return Ok(100) };
    let limit: i64 = text.parse().map_err(|_| format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))?;
    usize::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(|| "limit must be a positive value".to_owned())
}

fn is_forward(params: &Params) -> Result<bool, String> {
    let direction = given(params, "direction").unwrap_or("backward");
    match direction.to_ascii_uppercase().as_str() {
        "FORWARD" => Ok(true),
        "BACKWARD" => Ok(false),
        _ => Err(format!("invalid direction '{direction}'")),
    }
}

/// A parameter that is empty counts as absent.
fn given<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// Nanoseconds, seconds (up to 10 digits or with a fraction), or RFC 3339 with `Z`.
pub(crate) fn time_ns(text: &str) -> Result<i64, String> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(if text.len() <= 10 { number.saturating_mul(SECOND_NS) } else { number });
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok((seconds * 1e9) as i64);
    }
    let time = humantime::parse_rfc3339_weak(text).map_err(|e| e.to_string())?;
    let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|e| e.to_string())?;
    i64::try_from(since.as_nanos()).map_err(|e| e.to_string())
}

/// `1h30m`, as Prometheus reads it.
pub(crate) fn duration_ns(text: &str) -> Result<i64, String> {
    let wrong = || format!("not a valid duration string: \"{text}\"");
    if text == "0" {
        return Ok(0);
    }
    let (mut rest, mut sum, mut units) = (text, 0_i64, UNITS.iter());
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let (_, unit_ns) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: i64 = number.parse().map_err(|_| wrong())?;
        sum = number.checked_mul(*unit_ns).and_then(|ns| sum.checked_add(ns)).ok_or("duration out of range")?;
        rest = after;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_prometheus() {
        for (text, ns) in [("1h30m", 5_400 * SECOND_NS), ("0", 0), ("2d", 48 * HOUR_NS), ("5ms", SECOND_NS / 200)] {
            assert_eq!(duration_ns(text), Ok(ns), "{text}");
        }
        for text in ["1", "h", "30m1h", "1.5h", "1h1h", "-1h", "1H", "99999999999y"] {
            assert!(duration_ns(text).is_err(), "{text}");
        }
    }
}

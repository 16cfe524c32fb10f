//! The time that a JSON line gives itself.
//!
//! In: the line's members and the runtime's time. Out: nanoseconds, where they can be used. Never: a float.

use super::members::Members;
use super::value::{self, Value};
use crate::limits::{LINE_KEPT_BYTES_MAX, OWN_TIME_AHEAD_MAX, OWN_TIME_BEHIND_MAX};
use crate::rfc3339;

/// What became of a line's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnTime {
    /// The line has none.
    Absent,
    /// Nanoseconds since the Unix epoch, near the runtime's time.
    Usable(i64),
    /// It cannot be read, or is too far from the runtime's time.
    Refused,
}

/// The time of `timestamp`, else of `time`; of the last where there are several.
pub(super) fn read(text: &str, members: &Members, runtime_ns: i64, unescaped: &mut String) -> OwnTime {
    let Some(key) = members.timestamp.or(members.time.last().copied()) else {
        return OwnTime::Absent;
    };
    let own = match value::after_key(text, key) {
        Value::String(raw) => {
            value::string(raw, LINE_KEPT_BYTES_MAX, unescaped).and_then(|s| rfc3339::parse(s.as_bytes()))
        }
        Value::Number(raw) => number_ns(raw),
        Value::Other => None,
    };
    own.filter(|own| is_near(*own, runtime_ns)).map_or(OwnTime::Refused, OwnTime::Usable)
}

fn is_near(own_ns: i64, runtime_ns: i64) -> bool {
    let ahead = i128::from(own_ns) - i128::from(runtime_ns);
    ahead <= OWN_TIME_AHEAD_MAX.as_nanos().cast_signed() && -ahead <= OWN_TIME_BEHIND_MAX.as_nanos().cast_signed()
}

/// A JSON number as a time: below 1e11 seconds, below 1e14 ms, below 1e17 µs, else ns. Read as a decimal; what is
/// finer than a nanosecond is cut off.
fn number_ns(raw: &str) -> Option<i64> {
    let (is_negative, raw) = raw.strip_prefix('-').map_or((false, raw), |rest| (true, rest));
    let (mantissa, exponent) = raw.split_once(['e', 'E']).unwrap_or((raw, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // As 0.DIGITS × 10^magnitude, the first digit not 0.
    let zeros = whole.bytes().chain(fraction.bytes()).take_while(|digit| *digit == b'0').count();
    let mut digits = whole.bytes().chain(fraction.bytes()).skip(zeros).peekable();
    if digits.peek().is_none() {
        return Some(0);
    }
    let magnitude = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()?;
    let magnitude = magnitude.saturating_add(exponent_of(exponent));
    let unit = match magnitude {
        _ if is_negative => 9,
        ..=11 => 9,
        12..=14 => 6,
        15..=17 => 3,
        _ => 0,
    };
    let digits_ns = magnitude.saturating_add(unit);
    if digits_ns > 19 {
        return None;
    }
    let mut ns: i64 = 0;
    for _ in 0..digits_ns {
        let digit = digits.next().unwrap_or(b'0').wrapping_sub(b'0');
        ns = ns.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    Some(if is_negative { -ns } else { ns })
}

/// An exponent of JSON's form, held within what cannot matter.
fn exponent_of(text: &str) -> i64 {
    let (is_negative, digits) = match text.as_bytes().split_first() {
        Some((b'-', _)) => (true, &text[1..]),
        Some((b'+', _)) => (false, &text[1..]),
        _ => (false, text),
    };
    let value = digits.parse::<i64>().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    if is_negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::{is_near, number_ns};
    use proptest::prelude::*;

    const BASE_NS: i64 = 1_787_392_800_000_000_000;

    #[test]
    fn the_magnitude_tells_the_unit() {
        for (text, ns) in [
            ("1787392800", Some(BASE_NS)),
            ("1787392800.25", Some(BASE_NS + 250_000_000)),
            ("1787392800.1234567899", Some(BASE_NS + 123_456_789)),
            ("1787392800250", Some(BASE_NS + 250_000_000)),
            ("1787392800250.5", Some(BASE_NS + 250_500_000)),
            ("1787392800250001", Some(BASE_NS + 250_001_000)),
            ("1787392800250001.5", Some(BASE_NS + 250_001_500)),
            ("1787392800250001002", Some(BASE_NS + 250_001_002)),
            ("1787392800250001002.9", Some(BASE_NS + 250_001_002)),
            ("1.7873928e9", Some(BASE_NS)),
            ("1.7873928E+9", Some(BASE_NS)),
            ("17873928000e-1", Some(BASE_NS)),
            ("1787392800250e0", Some(BASE_NS + 250_000_000)),
            ("0.00017873928e13", Some(BASE_NS)),
            ("1.787392800123456789e18", Some(BASE_NS + 123_456_789)),
            ("99999999999", None),
            ("99999999999.999", None),
            ("1e11", Some(100_000_000_000_000_000)),
            ("99999999999999", None),
            ("1e14", Some(100_000_000_000_000_000)),
            ("1e17", Some(100_000_000_000_000_000)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("1e400", None),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", Some(0)),
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("0e999999999999999999999", Some(0)),
            ("-1.5", Some(-1_500_000_000)),
            ("0.000000001", Some(1)),
            ("0.0000000009", Some(0)),
        ] {
            assert_eq!(number_ns(text), ns, "{text}");
        }
    }

    #[test]
    fn the_window_is_half_an_hour_back_and_nine_and_a_half_minutes_ahead() {
        for (seconds, is_within) in
            [(-1_800, true), (-1_801, false), (0, true), (570, true), (571, false), (600, false)]
        {
            assert_eq!(is_near(BASE_NS + seconds * 1_000_000_000, BASE_NS), is_within, "{seconds}");
        }
        assert!(!is_near(BASE_NS + 570_000_000_001, BASE_NS));
        assert!(!is_near(i64::MIN, i64::MAX));
    }

    proptest! {
        #[test]
        fn a_number_means_the_same_in_every_notation(ns in 0..i64::MAX, shift in 0..19_usize) {
            // Seconds with nine decimals, then the same with the point moved and an exponent that moves it back.
            let seconds = format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
            let digits = format!("{ns:019}");
            let (whole, fraction) = digits.split_at(shift);
            let whole = if whole.is_empty() { "0" } else { whole };
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            let shifted = format!("{whole}.{fraction}e{}", 10 - i64::try_from(shift).unwrap());
            prop_assert_eq!(number_ns(&seconds), Some(ns));
            prop_assert_eq!(number_ns(&shifted), Some(ns), "{}", shifted);
        }
    }
}

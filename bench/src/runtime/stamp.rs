//! A time as Go's RFC3339Nano writes it: UTC, trailing zeros of the fraction cut.
//!
//! In: nanoseconds since 1970. Out: text appended to a buffer. Never: a clock read.

use std::time::{Duration, UNIX_EPOCH};

/// Writes times; keeps the text of the last second, as most lines share it.
#[derive(Debug, Default)]
pub struct Stamp {
    second: Option<u64>,
    /// `2026-08-22T10:00:00`, without the `Z`.
    text: String,
}

impl Stamp {
    /// Appends the time. What is before 1970 is written as 1970.
    pub fn write(&mut self, wall_ns: i64, out: &mut Vec<u8>) {
        let ns = u64::try_from(wall_ns).unwrap_or(0);
        let (second, mut fraction) = (ns / 1_000_000_000, ns % 1_000_000_000);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second)).to_string();
            self.text.pop();
        }
        out.extend_from_slice(self.text.as_bytes());
        if fraction > 0 {
            let mut digits = [b'0'; 9];
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + u8::try_from(fraction % 10).unwrap_or(0);
                fraction /= 10;
            }
            let kept = digits.iter().rposition(|&d| d != b'0').map_or(0, |last| last + 1);
            out.push(b'.');
            out.extend_from_slice(&digits[..kept]);
        }
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(wall_ns: i64) -> String {
        let mut out = Vec::new();
        Stamp::default().write(wall_ns, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn trailing_zeros_are_cut() {
        assert_eq!(text(1_787_392_800_123_456_789), "2026-08-22T10:00:00.123456789Z");
        assert_eq!(text(1_787_392_800_500_000_000), "2026-08-22T10:00:00.5Z");
        assert_eq!(text(1_787_392_800_000_000_010), "2026-08-22T10:00:00.00000001Z");
        assert_eq!(text(1_787_392_800_000_000_000), "2026-08-22T10:00:00Z");
    }

    #[test]
    fn the_next_second_is_not_the_last_one() {
        let mut stamp = Stamp::default();
        let mut out = Vec::new();
        for ns in [1_787_392_800_999_999_999, 1_787_392_801_000_000_000] {
            stamp.write(ns, &mut out);
            out.push(b' ');
        }
        assert_eq!(out, b"2026-08-22T10:00:00.999999999Z 2026-08-22T10:00:01Z ");
    }
}

//! Values printed as Go prints them, since Loki's answers are made with Go's formats.
//!
//! In: times, strings, sizes. Out: text. It never parses anything.

use std::fmt::Write;

/// Year, month, day, hour, minute, second and nanosecond of a time, UTC.
fn civil(time_ns: i64) -> (i64, i64, i64, i64, i64, i64, i64) {
    let seconds = time_ns.div_euclid(1_000_000_000);
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from 0000-03-01, so that the leap day is the last of a year.
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let nanos = time_ns.rem_euclid(1_000_000_000);
    (year, month, day, second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60, nanos)
}

/// `time.RFC3339`, UTC: `2026-11-14T13:46:39Z`.
pub(crate) fn rfc3339(time_ns: i64) -> String {
    let (year, month, day, hour, minute, second, _) = civil(time_ns);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `Time.String()`, UTC: `2026-11-22 10:46:39.65208 +0000 UTC`; zeros at the end of the fraction are left out.
pub(crate) fn time_string(time_ns: i64) -> String {
    let (year, month, day, hour, minute, second, nanos) = civil(time_ns);
    let fraction = format!(".{nanos:09}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction} +0000 UTC")
}

/// `datasize.ByteSize.String()`: the largest unit (powers of 2^10) that divides it.
pub(crate) fn byte_size(bytes: u64) -> String {
    let units = ["EB", "PB", "TB", "GB", "MB", "KB"];
    for (i, unit) in units.iter().enumerate() {
        let size = 1_u64 << (10 * (units.len() - i));
        if bytes != 0 && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

/// `strconv.Quote`. Which characters count as printable is Rust's table, which is Go's but for new Unicode versions.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_quoted(&mut out, c);
    }
    out.push('"');
    out
}

fn push_quoted(out: &mut String, c: char) {
    let code = u32::from(c);
    let escaped = match c {
        '"' | '\\' => format!("\\{c}"),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        ' '..='~' => return out.push(c),
        _ if code < 0x20 || code == 0x7f => format!("\\x{code:02x}"),
        _ if is_printable(c) => return out.push(c),
        _ if code <= 0xffff => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    };
    // Writing into a String cannot fail.
    let _ = out.write_str(&escaped);
}

fn is_printable(c: char) -> bool {
    // A combining mark is escaped only at the start of a string; Go counts it as printable.
    !format!("a{c}").escape_debug().any(|escaped| escaped == '\\')
}

#[cfg(test)]
mod tests {
    use super::{byte_size, quote, rfc3339, time_string};

    #[test]
    fn times_print_as_go_prints_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(time_string(1_795_344_399_652_080_035), "2026-11-22 10:46:39.652080035 +0000 UTC");
        assert_eq!(time_string(1_500_000_000), "1970-01-01 00:00:01.5 +0000 UTC");
        assert_eq!(time_string(2_000_000_000), "1970-01-01 00:00:02 +0000 UTC");
    }

    #[test]
    fn sizes_and_strings_print_as_go_prints_them() {
        assert_eq!([0, 1, 1024, 31_457_280, 1_048_577].map(byte_size), ["0B", "1B", "1KB", "30MB", "1048577B"]);
        assert_eq!(quote("a\"b\\c\n\u{1}\u{7f}é\u{301}\u{ad}\u{e0001}"), r#""a\"b\\c\n\x01\x7fé́\u00ad\U000e0001""#);
    }
}

//! RFC 3339 times to nanoseconds; a leaf below `framing` (the runtime's time) and `parse` (a line's own time).
//!
//! In: bytes. Out: nanoseconds since the Unix epoch, or nothing. Never: a time zone name, a clock, an allocation.

/// Where the digits of `2026-08-22T10:00:00` stand.
const DIGITS: [usize; 14] = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18];

/// Reads an RFC 3339 time that fills all of `text`: any offset, any number of fraction digits (those beyond
/// nanoseconds are cut off). As RFC 3339 allows, `T` and `Z` may be small and `T` may be a space.
///
/// A leap second (`23:59:60` in UTC) is the first second of the next day, as in POSIX time.
/// Nothing for what is no date (30 February, 24:00) and what does not fit (before 1677, after 2262).
#[must_use]
pub fn parse(text: &[u8]) -> Option<i64> {
    let (fixed, rest) = text.split_first_chunk::<19>()?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't' | b' ', _, _, b':', _, _, b':', _, _] = fixed else {
        return None;
    };
    let digit = |at: usize| i64::from(fixed[at].wrapping_sub(b'0'));
    if DIGITS.iter().any(|at| digit(*at) > 9) {
        return None;
    }
    let pair = |at: usize| digit(at) * 10 + digit(at + 1);
    let (year, month, day) = (pair(0) * 100 + pair(2), pair(5), pair(8));
    let (hour, minute, second) = (pair(11), pair(14), pair(17));
    let is_time = hour <= 23 && minute <= 59 && second <= 60;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) || !is_time {
        return None;
    }
    let (fraction_ns, rest) = fraction(rest)?;
    let offset_minutes = offset(rest)?;
    let minute_of_day = hour * 60 + minute - offset_minutes;
    if second == 60 && minute_of_day.rem_euclid(24 * 60) != 24 * 60 - 1 {
        return None;
    }
    let seconds = (days_since_epoch(year, month, day) * 24 * 60 + minute_of_day) * 60 + second;
    i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(fraction_ns)).ok()
}

/// Reads times of which many have the same second, as the lines of a log file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    /// `2026-08-22T10:00:00.`, and when that second began.
    second: [u8; 20],
    begin_ns: i64,
}

impl Reader {
    /// As [`parse`].
    pub fn parse(&mut self, text: &[u8]) -> Option<i64> {
        if let Some((second, [digits @ .., b'Z'])) = text.split_first_chunk()
            && let Some(fraction_ns) = nanoseconds(digits)
        {
            if *second != self.second {
                let begin_ns = parse(text)?.checked_sub(fraction_ns)?;
                (self.second, self.begin_ns) = (*second, begin_ns);
            }
            return self.begin_ns.checked_add(fraction_ns);
        }
        parse(text)
    }
}

/// Of one to nine digits behind a point.
fn nanoseconds(digits: &[u8]) -> Option<i64> {
    if let Ok(nine) = digits.try_into() {
        return nine_digits(nine);
    }
    // Go leaves out zeros at the end.
    let mut nine = [b'0'; 9];
    nine.get_mut(..digits.len()).filter(|given| !given.is_empty())?.copy_from_slice(digits);
    nine_digits(&nine)
}

/// A number of nine digits: eight of them at once, each in a byte of its own, then in pairs, fours and eights.
fn nine_digits(text: &[u8; 9]) -> Option<i64> {
    let (eight, last) = (text.first_chunk::<8>()?, text[8].wrapping_sub(b'0'));
    let raw = u64::from_le_bytes(*eight);
    let is_number = raw & 0xf0f0_f0f0_f0f0_f0f0 == 0x3030_3030_3030_3030
        && raw.wrapping_add(0x0606_0606_0606_0606) & 0xf0f0_f0f0_f0f0_f0f0 == 0x3030_3030_3030_3030;
    if !is_number || last > 9 {
        return None;
    }
    let digits = raw & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let number = (fours & 0xffff).wrapping_mul(10_000) + (fours >> 32);
    Some(number.cast_signed() * 10 + i64::from(last))
}

fn digits(text: &[u8]) -> Option<i64> {
    let mut value = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(value)
}

/// The nanoseconds of `.123`, and what follows. Without a point there is no fraction; with one it has a digit.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = text.split_first() else {
        return Some((0, text));
    };
    if let Some((nine, rest)) = rest.split_first_chunk::<9>()
        && !rest.first().is_some_and(u8::is_ascii_digit)
        && let Some(value) = digits(nine)
    {
        // What runtimes write.
        return Some((value, rest));
    }
    let mut value = 0;
    let mut weight = 100_000_000;
    let mut len = 0;
    while let Some(digit) = rest.get(len).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9) {
        value += i64::from(digit) * weight;
        weight /= 10;
        len += 1;
    }
    if len == 0 { None } else { Some((value, &rest[len..])) }
}

/// Minutes east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (digits(&text[1..3])?, digits(&text[4..6])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let east = hours * 60 + minutes;
            Some(if *sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that the leap
/// day is a year's last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::{Reader, parse};
    use proptest::prelude::*;

    #[test]
    fn precision_offset_and_letters_vary() {
        let base = 1_787_392_800_000_000_000;
        for (text, ns) in [
            ("2026-08-22T10:00:00Z", base),
            ("2026-08-22T10:00:00.5Z", base + 500_000_000),
            ("2026-08-22T10:00:00.123456789Z", base + 123_456_789),
            ("2026-08-22T10:00:00.1234567899999Z", base + 123_456_789),
            ("2026-08-22T19:00:00.120+09:00", base + 120_000_000),
            ("2026-08-22T04:30:00-05:30", base),
            ("2026-08-22T10:00:00-00:00", base),
            ("2026-08-22t10:00:00z", base),
            ("2026-08-22 10:00:00Z", base),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
            ("2017-01-01T08:59:60+09:00", 1_483_228_800_000_000_000),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(ns), "{text}");
        }
    }

    proptest! {
        /// Whatever stood before: the same second, another, or what is no time.
        #[test]
        fn one_after_the_other_is_read_as_each_alone(
            texts in prop::collection::vec(
                prop_oneof![
                    (58_u32..61, 0_u32..1_000_000_000).prop_map(|(s, ns)| format!("2026-12-31T23:59:{s}.{ns:09}Z")),
                    "2026-12-31T23:59:58[.,][0-9/:]{0,10}[Z0+]",
                    "0000-0[0-2]-3[01]T00:00:00\\.[0-9]{9}Z",
                    "[0-9TZ.:-]{0,31}",
                ],
                1..20,
            ),
        ) {
            let mut reader = Reader::default();
            for text in texts {
                prop_assert_eq!(reader.parse(text.as_bytes()), parse(text.as_bytes()), "{}", text);
            }
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-08-22",
            "2026-08-22T10:00Z",
            "2026-08-22T10:00:00",
            "2026-08-22T10:00:00.Z",
            "2026-08-22T10:00:00,5Z",
            "2026-08-22T10:00:00Z ",
            " 2026-08-22T10:00:00Z",
            "2026-08-22T10:00:00+0900",
            "2026-08-22T10:00:00+09",
            "2026-08-22T10:00:00+24:00",
            "2026-08-22T24:00:00Z",
            "2026-08-22T10:60:00Z",
            "2026-08-22T10:00:61Z",
            "2026-08-22T10:00:60Z",
            "2026-02-29T10:00:00Z",
            "2026-04-31T10:00:00Z",
            "2026-00-22T10:00:00Z",
            "2026-13-22T10:00:00Z",
            "2026-08-00T10:00:00Z",
            "2026-8-22T10:00:00Z",
            "+026-08-22T10:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_an_independent_reader(
            (year, month, day) in (1600..2400, 0..=13, 0..=32),
            (hour, minute, second) in (0..=24, 0..=60, 0..=59),
            fraction in "(\\.[0-9]{1,9})?",
            offset in "Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]",
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}");
            let oracle = text.parse::<jiff::Timestamp>().ok().filter(|_| hour < 24);
            let oracle = oracle.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
            prop_assert_eq!(parse(text.as_bytes()), oracle, "{}", text);
        }

        #[test]
        fn any_day_there_is_agrees(days in -100_000_i64..100_000, ns in 0..86_400_000_000_000_i64) {
            let expected = days * 86_400_000_000_000 + ns;
            let text = jiff::Timestamp::from_nanosecond(i128::from(expected)).unwrap().to_string();
            prop_assert_eq!(parse(text.as_bytes()), Some(expected), "{}", text);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..48)) {
            let _ = parse(&bytes);
        }
    }
}

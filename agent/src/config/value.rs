//! Single values: sizes, durations, words, paths, addresses, URLs.
//!
//! In: the text of a scalar, environment already put in. Out: the value, or what is wrong with it. Never: a guess
//! (a unit that is not written out exactly is an error), or a look at the file system.

use super::error::Problem;
use super::{Capture, Hook, LineForm, Selector, StartAt};
use bytesize::ByteSize;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// What `bytesize` calls units of bytes; it also takes `k`, `kb`, `M` and the like, which leave open what is meant.
const SIZE_UNITS: [&str; 10] = ["", "B", "KiB", "MiB", "GiB", "TiB", "KB", "MB", "GB", "TB"];

/// Bytes. A whole number and a unit, or a number alone.
pub(super) fn size(text: &str) -> Result<u64, Problem> {
    let wrong = || Problem::Size(text.to_owned());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = text[digits..].strip_prefix(' ').unwrap_or(&text[digits..]);
    if digits == 0 || !SIZE_UNITS.contains(&unit) {
        return Err(wrong());
    }
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let factor =
        if unit.is_empty() { 1 } else { format!("1{unit}").parse::<ByteSize>().map_err(|_| wrong())?.as_u64() };
    number
        .checked_mul(factor)
        .ok_or_else(|| Problem::Range(format!("`{text}` is more than 64 bits can count; write less")))
}

/// A size that must not be 0.
pub(super) fn size_above_zero(text: &str) -> Result<u64, Problem> {
    match size(text)? {
        0 => Err(Problem::Range("0 would let nothing through; write at least 1".to_owned())),
        bytes => Ok(bytes),
    }
}

/// A number of things.
pub(super) fn count(text: &str, range: RangeInclusive<usize>) -> Result<usize, Problem> {
    text.parse().ok().filter(|count| range.contains(count)).ok_or_else(|| {
        Problem::Range(format!("`{text}` is out of range; write a number from {} to {}", range.start(), range.end()))
    })
}

/// A length of time.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    let wrong = || Problem::Duration(text.to_owned());
    let known = ["ns", "us", "ms", "s", "m", "h"];
    let has_units = text
        .split(|c: char| c.is_ascii_digit() || c == ' ' || c == '.')
        .filter(|word| !word.is_empty())
        .all(|word| known.contains(&word));
    if !has_units {
        return Err(wrong());
    }
    humantime::parse_duration(text).map_err(|_| wrong())
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, Problem> {
    word(text, &[("true", true), ("false", false)])
}

pub(super) fn capture(text: &str) -> Result<Capture, Problem> {
    word(text, &[("auto", Capture::Auto), ("ebpf", Capture::Ebpf), ("file", Capture::File)])
}

pub(super) fn hook(text: &str) -> Result<Hook, Problem> {
    let known = [("fentry", Hook::Fentry), ("tp_btf", Hook::TpBtf), ("raw_tp", Hook::RawTp), ("kprobe", Hook::Kprobe)];
    word(text, &known)
}

pub(super) fn start_at(text: &str) -> Result<StartAt, Problem> {
    word(text, &[("beginning", StartAt::Beginning), ("end", StartAt::End)])
}

pub(super) fn line_form(text: &str) -> Result<LineForm, Problem> {
    word(text, &[("compact", LineForm::Compact), ("envelope", LineForm::Envelope)])
}

fn word<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, Problem> {
    known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| Problem::Word {
        found: text.to_owned(),
        known: known.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "),
    })
}

/// A folder: an absolute path.
pub(super) fn folder(text: &str) -> Result<PathBuf, Problem> {
    let path = file(text)?;
    if path.is_absolute() { Ok(path) } else { Err(Problem::RelativePath(text.to_owned())) }
}

/// A file: absolute, or relative to where the agent is started.
pub(super) fn file(text: &str) -> Result<PathBuf, Problem> {
    if text.is_empty() || text.contains('\0') {
        return Err(Problem::Unusable { found: text.to_owned(), why: "it is no path; write one" });
    }
    Ok(PathBuf::from(text))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Problem> {
    text.parse().map_err(|_| Problem::Address(text.to_owned()))
}

pub(super) fn selector(text: &str) -> Result<Selector, Problem> {
    text.parse::<Selector>().map_err(|why| Problem::Selector { found: text.to_owned(), why: why.to_string() })
}

/// Goes into the API's field selector, so it must not contain what that gives a meaning to.
pub(super) fn node_name(text: &str) -> Result<String, Problem> {
    let is_good = (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if is_good {
        return Ok(text.to_owned());
    }
    Err(Problem::Unusable {
        found: text.to_owned(),
        why: "a node's name is 1 to 253 letters, digits, `-` and `.`; see `kubectl get nodes`",
    })
}

/// Loki takes these characters in a tenant, and 150 of them (dskit's `ValidTenantID`).
pub(super) fn tenant(text: &str) -> Result<String, Problem> {
    let is_good = text.len() <= 150
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!-_.*'()".contains(&b))
        && text != "."
        && text != "..";
    if is_good {
        return Ok(text.to_owned());
    }
    Err(Problem::Unusable {
        found: text.to_owned(),
        why: "a tenant is at most 150 letters, digits and !-_.*'(), and not `.` or `..`",
    })
}

/// For `Authorization: Basic`, where a colon ends the name.
pub(super) fn user_name(text: &str) -> Result<String, Problem> {
    if !text.is_empty() && !text.contains(|c: char| c == ':' || c.is_control()) {
        return Ok(text.to_owned());
    }
    Err(Problem::Unusable { found: text.to_owned(), why: "a user name is not empty and has no colon" })
}

/// Base URL without a slash at its end.
pub(super) fn base_url(text: &str) -> Result<String, Problem> {
    let wrong = |why| Err(Problem::Url { found: text.to_owned(), why });
    if !text.contains("://") {
        return wrong("it has no scheme; begin it with http:// or https://");
    }
    let Ok(url) = reqwest::Url::parse(text) else {
        return wrong("it cannot be read; write http://HOST:PORT, with a host and a port up to 65535");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("only http:// and https:// are spoken");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("it holds a user; take that out and set loki.basic_auth");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("a path is put behind it; take out what begins with ? or #");
    }
    if url.port() == Some(0) {
        return wrong("nobody listens on port 0; write Loki's, such as 3100, or none for that of http or https");
    }
    let path = url.path().trim_end_matches('/');
    if path.ends_with("/loki/api/v1/push") {
        return wrong("take `/loki/api/v1/push` out; /loki/api/v1/push is added to it");
    }
    if path.ends_with("/loki/api/v1") {
        return wrong("take `/loki/api/v1` out; /loki/api/v1/push is added to it");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact_and_their_units_are_written_out() {
        let good = [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("4GiB", 4 << 30),
            ("64 MiB", 64 << 20),
            ("30MiB", 31_457_280),
            ("30MB", 30_000_000),
            ("1KB", 1_000),
            ("1KiB", 1_024),
            ("9007199254740993", 9_007_199_254_740_993),
        ];
        for (text, bytes) in good {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "+1", "1.5GiB", "30mb", "30M", "30m", "1 000", "64  MiB", "64MiB ", "1PiB", "٣"]
        {
            assert!(matches!(size(text), Err(Problem::Size(_))), "{text}");
        }
        for text in ["99999999999999999999", "16777216TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(size_above_zero("0KiB").is_err());
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["", "1", "500 millis", "1S", "-1s", "s", "1 day", "1e3s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_are_bases() {
        assert_eq!(base_url("http://mif-loki-gateway").as_deref(), Ok("http://mif-loki-gateway"));
        assert_eq!(base_url("https://h:3100/loki-behind/").as_deref(), Ok("https://h:3100/loki-behind"));
        for text in [
            "localhost:3100",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h?x=1",
            "http://h:99999",
            "http://h:0",
            "http://h/loki/api/v1/push",
            "http://h/behind/loki/api/v1/",
        ] {
            assert!(matches!(base_url(text), Err(Problem::Url { .. })), "{text}");
        }
    }

    #[test]
    fn names_that_travel_in_headers_and_selectors_are_checked() {
        assert!(node_name("node-1.example").is_ok());
        assert!(node_name("").is_err() && node_name("a,b").is_err() && node_name("a=b").is_err());
        assert!(tenant("").is_ok() && tenant("team-a").is_ok());
        assert!(tenant("a|b").is_err() && tenant("..").is_err() && tenant("a\nb").is_err());
        assert!(user_name("a:b").is_err() && user_name("").is_err() && user_name("a b").is_ok());
    }
}

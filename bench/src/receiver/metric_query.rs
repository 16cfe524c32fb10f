//! Metric queries at one time: `sum by (app) (rate({namespace="mif"} |= "x" [5m]))`, and `topk`, `count` and their like.
//!
//! In: the query, the store, a time. Out: label sets and numbers, or the reason why it does not parse. Binary operators are not
//! understood, and said so.
//!
//! Source: Loki 3.5.1 `pkg/logql/syntax`, `pkg/logql/range_vector.go` (entries after the beginning of the range up to its end).

use std::collections::BTreeMap;

use super::ingester::Ingester;
use super::range::duration_ns;
use super::read::select;
use super::selector::{Selector, expecting, not_understood};

type LabelMap = BTreeMap<String, String>;

/// A parsed query.
#[derive(Debug)]
pub(crate) enum MetricQuery {
    Range { over: Over, selector: Selector, range_ns: i64 },
    Group { by: Option<Vec<String>>, how: How, inner: Box<MetricQuery> },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    Count,
    Rate,
    Bytes,
    BytesRate,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Sum,
    Count,
    Max,
    Min,
    Avg,
    Top(usize),
}

const RANGES: [(&str, Over); 4] = [
    ("count_over_time", Over::Count),
    ("rate", Over::Rate),
    ("bytes_over_time", Over::Bytes),
    ("bytes_rate", Over::BytesRate),
];
const GROUPS: [(&str, How); 6] = [
    ("sum", How::Sum),
    ("count", How::Count),
    ("max", How::Max),
    ("min", How::Min),
    ("avg", How::Avg),
    ("topk", How::Top(0)),
];

impl MetricQuery {
    /// Parses a query. `None`: it is none of these, but perhaps a log query.
    pub(crate) fn parse(query: &str) -> Result<Option<Self>, String> {
        if query.trim_start().starts_with('{') {
            return Ok(None);
        }
        let (parsed, rest) = Self::start(query.trim().as_bytes())?;
        if rest.is_empty() { Ok(Some(parsed)) } else { Err(not_understood(rest)) }
    }

    fn start(text: &[u8]) -> Result<(Self, &[u8]), String> {
        let end = text.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_')).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let word = String::from_utf8_lossy(word);
        if let Some((_, over)) = RANGES.iter().find(|(name, _)| *name == word) {
            return Self::range(*over, rest.trim_ascii());
        }
        match GROUPS.iter().find(|(name, _)| *name == word) {
            Some((_, how)) => Self::group(*how, rest.trim_ascii()),
            None => Err(not_understood(text)),
        }
    }

    /// `(LOG QUERY [5m])`
    fn range(over: Over, rest: &[u8]) -> Result<(Self, &[u8]), String> {
        let Some(rest) = rest.strip_prefix(b"(") else { return expecting("(") };
        let (selector, rest) = Selector::parse_start(rest.trim_ascii())?;
        let Some(rest) = rest.strip_prefix(b"[") else { return expecting("[") };
        let (duration, rest) = until(rest, b']')?;
        let range_ns = duration_ns(&String::from_utf8_lossy(duration))?;
        let Some(rest) = rest.trim_ascii().strip_prefix(b")") else { return expecting(")") };
        Ok((Self::Range { over, selector, range_ns }, rest.trim_ascii()))
    }

    /// `by (a, b) (QUERY)`, `(QUERY) by (a, b)`, `(10, QUERY)`
    fn group(how: How, rest: &[u8]) -> Result<(Self, &[u8]), String> {
        let (before, rest) = by(rest)?;
        let Some(mut rest) = rest.strip_prefix(b"(").map(<[u8]>::trim_ascii) else { return expecting("(") };
        let mut how = how;
        if let How::Top(_) = how {
            let (number, after) = until(rest, b',')?;
            let number =
                String::from_utf8_lossy(number).trim().parse().map_err(|_| "parse error : a number".to_owned())?;
            (how, rest) = (How::Top(number), after.trim_ascii());
        }
        let (inner, rest) = Self::start(rest)?;
        let Some(rest) = rest.strip_prefix(b")") else { return expecting(")") };
        let (after, rest) = by(rest.trim_ascii())?;
        Ok((Self::Group { by: before.or(after), how, inner: Box::new(inner) }, rest))
    }

    /// The numbers at a time, nanoseconds since 1970, by label set.
    pub(crate) fn evaluate(&self, store: &Ingester, at_ns: i64) -> Vec<(LabelMap, f64)> {
        match self {
            Self::Range { over, selector, range_ns } => {
                let mut sums: BTreeMap<LabelMap, (f64, f64)> = BTreeMap::new();
                for row in select(store, selector) {
                    if row.kept.time_ns > at_ns - range_ns && row.kept.time_ns <= at_ns {
                        let sum = sums.entry(row.labels).or_default();
                        *sum = (sum.0 + 1.0, sum.1 + row.line.len() as f64);
                    }
                }
                let seconds = *range_ns as f64 / 1e9;
                let value = |(count, bytes)| match over {
                    Over::Count => count,
                    Over::Rate => count / seconds,
                    Over::Bytes => bytes,
                    Over::BytesRate => bytes / seconds,
                };
                sums.into_iter().map(|(labels, sum)| (labels, value(sum))).collect()
            }
            Self::Group { by, how, inner } => grouped(inner.evaluate(store, at_ns), by.as_deref(), *how),
        }
    }
}

fn grouped(mut all: Vec<(LabelMap, f64)>, by: Option<&[String]>, how: How) -> Vec<(LabelMap, f64)> {
    if let How::Top(number) = how {
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(number);
        return all;
    }
    let mut groups: BTreeMap<LabelMap, Vec<f64>> = BTreeMap::new();
    for (labels, value) in all {
        let kept = |(name, _): &(String, String)| by.is_some_and(|by| by.contains(name));
        groups.entry(labels.into_iter().filter(kept).collect()).or_default().push(value);
    }
    let value = |values: &[f64]| match how {
        How::Count => values.len() as f64,
        How::Max => values.iter().copied().fold(f64::MIN, f64::max),
        How::Min => values.iter().copied().fold(f64::MAX, f64::min),
        How::Avg => values.iter().sum::<f64>() / values.len() as f64,
        How::Sum | How::Top(_) => values.iter().sum(),
    };
    groups.into_iter().map(|(labels, values)| (labels, value(&values))).collect()
}

fn by(rest: &[u8]) -> Result<(Option<Vec<String>>, &[u8]), String> {
    let Some(rest) = rest.strip_prefix(b"by") else { return Ok((None, rest)) };
    let Some(rest) = rest.trim_ascii().strip_prefix(b"(") else { return expecting("(") };
    let (names, rest) = until(rest, b')')?;
    let names = String::from_utf8_lossy(names).split(',').map(|name| name.trim().to_owned()).collect();
    Ok((Some(names), rest.trim_ascii()))
}

fn until(text: &[u8], end: u8) -> Result<(&[u8], &[u8]), String> {
    let at = text.iter().position(|byte| *byte == end);
    let at = at.ok_or_else(|| format!("parse error : syntax error: expecting {}", char::from(end)))?;
    Ok((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused() {
        for query in [
            "",
            "rate",
            "rate({a=\"b\"})",
            "rate({a=\"b\"}[5x])",
            "sum(rate({a=\"b\"}[5m])) / 2",
            "topk({a=\"b\"})",
            "stddev(rate({a=\"b\"}[5m]))",
            "sum by app (rate({a=\"b\"}[5m]))",
        ] {
            assert!(MetricQuery::parse(query).is_err(), "{query}");
        }
        assert!(MetricQuery::parse("{a=\"b\"}").unwrap().is_none());
        for query in ["sum by (a, b) (rate({a=\"b\"} |= \"]\" [5m]))", "topk(3, count(rate({a=\"b\"}[1h])) by (a))"] {
            assert!(MetricQuery::parse(query).unwrap().is_some(), "{query}");
        }
    }

    #[test]
    fn groups_are_made_of_the_labels_that_are_named() {
        let row = |a: &str, b: &str, value| {
            (BTreeMap::from([("a".to_owned(), a.to_owned()), ("b".to_owned(), b.to_owned())]), value)
        };
        let all = || vec![row("1", "x", 1.0), row("1", "y", 2.0), row("2", "x", 5.0)];
        let by = ["a".to_owned()];
        let values = |how| grouped(all(), Some(&by), how).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(values(How::Sum), [3.0, 5.0]);
        assert_eq!(values(How::Count), [2.0, 1.0]);
        assert_eq!(
            (values(How::Max), values(How::Min), values(How::Avg)),
            (vec![2.0, 5.0], vec![1.0, 5.0], vec![1.5, 5.0])
        );
        assert_eq!(grouped(all(), None, How::Top(1)), [row("2", "x", 5.0)]);
        assert_eq!(grouped(all(), None, How::Sum), [(BTreeMap::new(), 8.0)]);
    }
}

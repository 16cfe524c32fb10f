//! Label sets: Loki's grammar for `{a="b", c="d"}`, the canonical text, the hash.
//!
//! In: the `labels` field of a stream. Out: sorted names and values, or the error that Loki answers with.
//! It never checks limits, and never adds a label.
//!
//! Source: Loki 3.5.1 `pkg/logql/syntax/parser.go` (`ParseLabels`), which calls Prometheus' `promql/parser`
//! (`lex.go`, `generated_parser.y`: `metric`, `label_set`) and drops empty values; text as `labels.Labels.String`,
//! hash as `labels.Labels.Hash`. A value that is not UTF-8 (by `\xff`) is kept with U+FFFD in its place.

use std::fmt;

use xxhash_rust::xxh64::xxh64;

use super::go_format::quote;
use super::labels_lexer::{Item, Kind, Lexer, unquote};

/// Where and why a label set does not parse, in Loki's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names and values, sorted by name; a name may be there twice (Loki refuses that only later).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Labels(Vec<(String, String)>);

impl Labels {
    /// Parses the text of a label set; empty values are left out.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ParseError> {
        let mut pairs = Parser { text, lexer: Lexer::new(text) }.metric()?;
        pairs.sort();
        let empty: Vec<String> =
            pairs.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| name.clone()).collect();
        // An empty value takes every label of that name with it, as Prometheus' label builder does.
        pairs.retain(|(name, _)| !empty.contains(name));
        Ok(Self(pairs))
    }

    /// Names and values in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(have, _)| *have == name).map(|(_, value)| value)
    }

    /// The same with this label set to this value.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut pairs = self.0.clone();
        pairs.retain(|(have, _)| have != name);
        pairs.push((name.to_owned(), value.to_owned()));
        pairs.sort();
        Self(pairs)
    }

    /// Loki's hash of a label set, by which it tells streams apart.
    pub(crate) fn hash(&self) -> u64 {
        let mut bytes = Vec::new();
        for (name, value) in self.iter() {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0xff);
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0xff);
        }
        xxh64(&bytes, 0)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let name = if is_plain_name(name) { name.to_owned() } else { quote(name) };
            write!(f, "{comma}{name}={}", quote(value))?;
        }
        f.write_str("}")
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Parser<'a> {
    text: &'a [u8],
    lexer: Lexer<'a>,
}

impl Parser<'_> {
    /// `metric: metric_identifier label_set | label_set`, then the end.
    fn metric(mut self) -> Result<Vec<(String, String)>, ParseError> {
        let mut pairs = Vec::new();
        let mut item = self.next()?;
        if item.kind == Kind::Identifier {
            pairs.push(("__name__".to_owned(), item.text.clone()));
            item = self.next()?;
        }
        if item.kind == Kind::LeftBrace {
            self.label_set(&mut pairs)?;
            item = self.next()?;
        }
        if item.kind == Kind::End { Ok(pairs) } else { Err(self.unexpected(&item, "", "")) }
    }

    fn label_set(&mut self, pairs: &mut Vec<(String, String)>) -> Result<(), ParseError> {
        let mut item = self.next()?;
        while item.kind != Kind::RightBrace {
            item = self.label(&item, pairs)?;
            match item.kind {
                Kind::RightBrace => break,
                Kind::Comma => item = self.next()?,
                _ => return Err(self.unexpected(&item, "label set", "\",\" or \"}\"")),
            }
        }
        Ok(())
    }

    /// One label that begins with `first`; gives the item after it.
    fn label(&mut self, first: &Item, pairs: &mut Vec<(String, String)>) -> Result<Item, ParseError> {
        let name = match first.kind {
            Kind::Identifier => first.text.clone(),
            Kind::String => self.unquoted(first)?,
            _ => return Err(self.unexpected(first, "label set", "identifier or \"}\"")),
        };
        let item = self.next()?;
        if item.kind != Kind::Equal {
            if first.kind == Kind::String {
                pairs.push(("__name__".to_owned(), name));
                return Ok(item);
            }
            return Err(self.unexpected(&item, "label set", "\"=\""));
        }
        let item = self.next()?;
        if item.kind != Kind::String {
            return Err(self.unexpected(&item, "label set", "string"));
        }
        let value = self.unquoted(&item)?;
        pairs.push((name, value));
        self.next()
    }

    fn next(&mut self) -> Result<Item, ParseError> {
        self.lexer.next().map_err(|(at, why)| self.error(at, &why))
    }

    fn unquoted(&self, item: &Item) -> Result<String, ParseError> {
        unquote(&item.text).ok_or_else(|| {
            self.error(item.at, &format!("error unquoting string {}: invalid syntax", quote(&item.text)))
        })
    }

    fn unexpected(&self, item: &Item, context: &str, expected: &str) -> ParseError {
        let context = if context.is_empty() { String::new() } else { format!(" in {context}") };
        let expected = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        self.error(item.at, &format!("unexpected {}{context}{expected}", item.describe()))
    }

    fn error(&self, at: usize, why: &str) -> ParseError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&b| b != b'\n').count() + 1;
        ParseError(format!("{line}:{column}: parse error: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Labels;

    fn text(input: &str) -> String {
        Labels::parse(input.as_bytes()).map_or_else(|e| e.to_string(), |labels| labels.to_string())
    }

    #[test]
    fn takes_what_loki_takes() {
        for (input, canonical) in [
            ("", "{}"),
            ("{}", "{}"),
            (r#"{a="b"}"#, r#"{a="b"}"#),
            (r#" { c = "d" , a='b', } "#, r#"{a="b", c="d"}"#),
            ("{a=`b\\n`}", r#"{a="b\\n"}"#),
            (r#"{a="", b="c"}"#, r#"{b="c"}"#),
            (r#"{a="x\"\\\n\t\x41\101\u00e9\U0001f600"}"#, "{a=\"x\\\"\\\\\\n\\tAAé😀\"}"),
            (r#"{"a-b"="c"}"#, r#"{"a-b"="c"}"#),
            (r#"foo:bar{a="b"}"#, r#"{__name__="foo:bar", a="b"}"#),
            ("{a=\"b\"} # note", r#"{a="b"}"#),
            (r#"{a="b",a="c"}"#, r#"{a="b", a="c"}"#),
        ] {
            assert_eq!(text(input), canonical, "{input}");
        }
    }

    #[test]
    fn refuses_in_lokis_words() {
        for (input, why) in [
            (r#"{x="a"b"}"#, r#"1:7: parse error: unexpected identifier "b" in label set, expected "," or "}""#),
            (r#"{x="a""#, "1:7: parse error: unexpected end of input inside braces"),
            (r#"{x="a"#, "1:4: parse error: unterminated quoted string"),
            ("{x=\"a\nb\"}", "1:4: parse error: unterminated quoted string"),
            ("{x=a}", r#"1:4: parse error: unexpected identifier "a" in label set, expected string"#),
            ("{x}", r#"1:3: parse error: unexpected "}" in label set, expected "=""#),
            ("{,}", r#"1:2: parse error: unexpected "," in label set, expected identifier or "}""#),
            (r#"{1a="b"}"#, "1:2: parse error: unexpected character inside braces: '1'"),
            (r#"{a="\q"}"#, "1:4: parse error: unknown escape sequence U+0071 'q'"),
            (r#"{a="b"} x"#, r#"1:9: parse error: unexpected identifier "x""#),
            ("{a!=\"b\"}", r#"1:3: parse error: unexpected "!=" in label set, expected "=""#),
        ] {
            assert_eq!(text(input), why, "{input}");
        }
        let not_utf8 = Labels::parse(b"{a=\"\xff\"}").unwrap_err();
        assert_eq!(not_utf8.to_string(), "1:4: parse error: invalid UTF-8 rune");
        // Prometheus' lexer cannot tell a real U+FFFD from bytes that are not UTF-8.
        assert_eq!(text("{a=\"\u{fffd}\"}"), "1:4: parse error: invalid UTF-8 rune");
    }

    #[test]
    fn hashes_as_loki_does() {
        let labels = Labels::parse(br#"{b="2", a="1"}"#).unwrap();
        assert_eq!(labels.hash(), xxhash_rust::xxh64::xxh64(b"a\xff1\xffb\xff2\xff", 0));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(input in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Labels::parse(&input);
        }

        #[test]
        fn near_labels_parse_or_are_refused(input in r#"[{}a-c="',\\xu0`#! ]{0,20}"#) {
            let _ = Labels::parse(input.as_bytes());
        }

        #[test]
        fn canonical_text_reads_back_as_the_same_labels(
            pairs in proptest::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,6}", any::<String>(), 0..6),
        ) {
            let mut labels = Labels::default();
            for (name, value) in &pairs {
                let value: String = value.chars().filter(|&c| c != '\u{fffd}').collect();
                if !value.is_empty() {
                    labels = labels.with(name, &value);
                }
            }
            prop_assert_eq!(Labels::parse(labels.to_string().as_bytes()).unwrap(), labels);
        }
    }
}

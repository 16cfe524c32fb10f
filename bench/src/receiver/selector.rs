//! Log queries: a stream selector and the stages behind it, `{a="b", c=~"d.*"} |= "text" | json | e="f"`.
//!
//! In: the query. Out: matchers and stages, or the reason why it does not parse. It reads no entries. Formatters other
//! than `line_format`, and parsers other than `json`, are not understood, and said so.
//!
//! Source: Loki 3.5.1 `pkg/logql/syntax`; regular expressions match a label's whole value and any part of a line.

use regex::Regex;
use std::collections::BTreeMap;

use super::labels::Labels;
use super::labels_lexer::{Item, Kind, Lexer, unquote};
use super::stages::{self, Stage};

/// A parsed query.
#[derive(Debug)]
pub(crate) struct Selector {
    matchers: Vec<Matcher>,
    stages: Vec<Stage>,
}

/// What the value of a label must be.
#[derive(Debug)]
pub(crate) struct Matcher {
    name: String,
    test: Test,
    negated: bool,
}

/// What a text must be or have.
#[derive(Debug)]
pub(crate) enum Test {
    /// This.
    Text(String),
    /// What this matches.
    Regex(Regex),
}

impl Selector {
    /// Parses a query; `{}` is everything.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let (selector, rest) = Self::parse_start(query.as_bytes())?;
        if rest.is_empty() { Ok(selector) } else { Err(not_understood(rest)) }
    }

    /// Parses a query up to what is no stage of it, as the range of a metric query.
    pub(crate) fn parse_start(query: &[u8]) -> Result<(Self, &[u8]), String> {
        let mut lexer = Lexer::new(query);
        let matchers = matchers(&mut lexer)?;
        let mut stages = Vec::new();
        let mut rest = lexer.rest().trim_ascii();
        while matches!(rest.first(), Some(b'|' | b'!')) {
            let (stage, after) = stages::parse(rest)?;
            stages.push(stage);
            rest = after.trim_ascii();
        }
        Ok((Self { matchers, stages }, rest))
    }

    /// Whether some matcher needs a label, without which Loki refuses the query.
    pub(crate) fn is_bounded(&self) -> bool {
        self.matchers.iter().any(|matcher| !matcher.accepts(""))
    }

    /// Whether a label set is selected; a label that is not there counts as empty.
    pub(crate) fn selects(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.accepts(labels.get(&matcher.name).unwrap_or_default()))
    }

    /// The line as the stages leave it, and `labels` with what they add; none where one of them leaves it out. `stream` are the
    /// labels of the Loki stream alone.
    pub(crate) fn run(&self, stream: &Labels, labels: &mut BTreeMap<String, String>, line: &[u8]) -> Option<String> {
        let mut line = String::from_utf8_lossy(line).into_owned();
        self.stages.iter().all(|stage| stage.run(stream, labels, &mut line)).then_some(line)
    }
}

impl Matcher {
    /// What stands behind a name: operator and value.
    pub(crate) fn parse(name: String, operator: &Item, value: &Item) -> Result<Self, String> {
        if !matches!(operator.kind, Kind::Equal | Kind::Other) {
            return expecting("=, !=, =~ or !~");
        }
        let text = string(value)?;
        let is_regex = operator.text.ends_with('~');
        let test = test(if is_regex { format!("^(?s:{text})$") } else { text }, is_regex)?;
        Ok(Self { name, test, negated: operator.text.starts_with('!') })
    }

    /// The label that it looks at.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a value is one that it takes.
    pub(crate) fn accepts(&self, value: &str) -> bool {
        let equal = match &self.test {
            Test::Text(text) => text == value,
            Test::Regex(regex) => regex.is_match(value),
        };
        equal != self.negated
    }
}

/// A refusal of what is Loki's and not ours.
pub(crate) fn not_understood(rest: &[u8]) -> String {
    format!("parse error : this receiver does not understand {:?}", String::from_utf8_lossy(rest))
}

/// A refusal as Loki's.
pub(crate) fn expecting<T>(what: &str) -> Result<T, String> {
    Err(format!("parse error : syntax error: expecting {what}"))
}

/// What a quoted string stands for.
pub(crate) fn string(item: &Item) -> Result<String, String> {
    if item.kind != Kind::String {
        return expecting("STRING");
    }
    unquote(&item.text).ok_or_else(|| "parse error : invalid syntax".to_owned())
}

fn matchers(lexer: &mut Lexer<'_>) -> Result<Vec<Matcher>, String> {
    let mut matchers = Vec::new();
    let mut next = || lexer.next().map_err(|(at, why)| format!("parse error at line 1, col {}: {why}", at + 1));
    if next()?.kind != Kind::LeftBrace {
        return expecting("{");
    }
    loop {
        let name = next()?;
        match name.kind {
            Kind::RightBrace => return Ok(matchers),
            Kind::Identifier => {}
            _ => return expecting("IDENTIFIER or }"),
        }
        matchers.push(Matcher::parse(name.text, &next()?, &next()?)?);
        match next()?.kind {
            Kind::Comma => {}
            Kind::RightBrace => return Ok(matchers),
            _ => return expecting(", or }"),
        }
    }
}

/// A test for a text, or for what a regular expression matches.
pub(crate) fn test(text: String, is_regex: bool) -> Result<Test, String> {
    if !is_regex {
        return Ok(Test::Text(text));
    }
    Regex::new(&text).map(Test::Regex).map_err(|e| format!("parse error : error parsing regexp: {e}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BTreeMap, Labels, Selector};

    #[test]
    fn matchers_select_as_lokis_do() {
        let labels = Labels::default().with("a", "b").with("app", "web-1");
        for (query, selected) in [
            ("{}", true),
            (r#"{a="b"}"#, true),
            (r#"{a="b", app=~"web-.*"}"#, true),
            (r#"{app=~"web"}"#, false),
            (r#"{a!="b"}"#, false),
            (r#"{a!~"c|d",}"#, true),
            (r#"{none=""}"#, true),
            (r#"{none!=""}"#, false),
        ] {
            assert_eq!(Selector::parse(query).unwrap().selects(&labels), selected, "{query}");
        }
    }

    #[test]
    fn line_filters_pass_as_lokis_do() {
        for (query, passed) in [
            (r#"{a="b"} |= "err""#, true),
            (r#"{a="b"} |= `or` != "x" |~ "^an e" !~ "\\d""#, true),
            (r#"{a="b"} != "err""#, false),
            (r#"{a="b"}|~"ERR""#, false),
        ] {
            let passes = Selector::parse(query).unwrap().run(&Labels::default(), &mut BTreeMap::new(), b"an error");
            assert_eq!(passes.is_some(), passed, "{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for query in ["", "a", "{a}", "{a=b}", r#"{a=~"("}"#, r#"{a="b"} | logfmt"#, r#"{a="b"}[1m]"#] {
            assert!(Selector::parse(query).is_err(), "{query}");
        }
        assert!(!Selector::parse(r#"{a=~".*"}"#).unwrap().is_bounded());
        assert!(Selector::parse(r#"{a=~".+"}"#).unwrap().is_bounded());
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(query in any::<String>()) {
            let _ = Selector::parse(&query);
        }
    }
}

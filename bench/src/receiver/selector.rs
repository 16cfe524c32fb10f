//! Log queries as far as reading back needs them: `{a="b", c=~"d.*"} |= "text" != "other"`.
//!
//! In: the query. Out: matchers and line filters, or the reason why it does not parse. It reads no entries. Parsers,
//! formatters and metric queries are not understood, and said so.
//!
//! Source: Loki 3.5.1 `pkg/logql/syntax`; regular expressions match a label's whole value and any part of a line.

use regex::Regex;

use super::labels::Labels;
use super::labels_lexer::{Kind, Lexer, unquote};

/// A parsed query.
#[derive(Debug)]
pub(crate) struct Selector {
    matchers: Vec<Matcher>,
    filters: Vec<Filter>,
}

#[derive(Debug)]
struct Matcher {
    name: String,
    test: Test,
    negated: bool,
}

#[derive(Debug)]
struct Filter {
    test: Test,
    negated: bool,
}

#[derive(Debug)]
enum Test {
    Text(String),
    Regex(Regex),
}

impl Selector {
    /// Parses a query; `{}` is everything.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let mut lexer = Lexer::new(query.as_bytes());
        let matchers = matchers(&mut lexer)?;
        let mut filters = Vec::new();
        let mut rest = lexer.rest().trim_ascii();
        while !rest.is_empty() {
            let (filter, after) = filter(rest)?;
            filters.push(filter);
            rest = after.trim_ascii();
        }
        Ok(Self { matchers, filters })
    }

    /// Whether some matcher needs a label, without which Loki refuses the query.
    pub(crate) fn is_bounded(&self) -> bool {
        self.matchers.iter().any(|matcher| !matcher.accepts(""))
    }

    /// Whether a label set is selected; a label that is not there counts as empty.
    pub(crate) fn selects(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.accepts(labels.get(&matcher.name).unwrap_or_default()))
    }

    /// Whether a line passes the filters.
    pub(crate) fn passes(&self, line: &[u8]) -> bool {
        if self.filters.is_empty() {
            return true;
        }
        let line = String::from_utf8_lossy(line);
        self.filters.iter().all(|filter| {
            let found = match &filter.test {
                Test::Text(text) => line.contains(text.as_str()),
                Test::Regex(regex) => regex.is_match(&line),
            };
            found != filter.negated
        })
    }
}

impl Matcher {
    fn accepts(&self, value: &str) -> bool {
        let equal = match &self.test {
            Test::Text(text) => text == value,
            Test::Regex(regex) => regex.is_match(value),
        };
        equal != self.negated
    }
}

fn matchers(lexer: &mut Lexer<'_>) -> Result<Vec<Matcher>, String> {
    let mut matchers = Vec::new();
    let mut next = || lexer.next().map_err(|(at, why)| format!("parse error at line 1, col {}: {why}", at + 1));
    let bad = |what: &str| Err(format!("parse error : syntax error: expecting {what}"));
    if next()?.kind != Kind::LeftBrace {
        return bad("{");
    }
    loop {
        let name = next()?;
        match name.kind {
            Kind::RightBrace => return Ok(matchers),
            Kind::Identifier => {}
            _ => return bad("IDENTIFIER or }"),
        }
        let operator = next()?;
        if !matches!(operator.kind, Kind::Equal | Kind::Other) {
            return bad("=, !=, =~ or !~");
        }
        let value = next()?;
        if value.kind != Kind::String {
            return bad("STRING");
        }
        let text = unquote(&value.text).ok_or("parse error : invalid syntax")?;
        let is_regex = operator.text.ends_with('~');
        let test = test(if is_regex { format!("^(?s:{text})$") } else { text }, is_regex)?;
        matchers.push(Matcher { name: name.text, test, negated: operator.text.starts_with('!') });
        match next()?.kind {
            Kind::Comma => {}
            Kind::RightBrace => return Ok(matchers),
            _ => return bad(", or }"),
        }
    }
}

fn filter(rest: &[u8]) -> Result<(Filter, &[u8]), String> {
    let (is_regex, negated) = match rest.get(..2) {
        Some(b"|=") => (false, false),
        Some(b"!=") => (false, true),
        Some(b"|~") => (true, false),
        Some(b"!~") => (true, true),
        _ => return Err("parse error : this receiver reads matchers and line filters (|= != |~ !~) only".to_owned()),
    };
    let mut lexer = Lexer::new(rest.get(2..).unwrap_or_default());
    let item = lexer.next().map_err(|(_, why)| format!("parse error : {why}"))?;
    if item.kind != Kind::String {
        return Err("parse error : syntax error: expecting STRING".to_owned());
    }
    let text = unquote(&item.text).ok_or("parse error : invalid syntax")?;
    Ok((Filter { test: test(text, is_regex)?, negated }, lexer.rest()))
}

fn test(text: String, is_regex: bool) -> Result<Test, String> {
    if !is_regex {
        return Ok(Test::Text(text));
    }
    Regex::new(&text).map(Test::Regex).map_err(|e| format!("parse error : error parsing regexp: {e}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Labels, Selector};

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
            assert_eq!(Selector::parse(query).unwrap().passes(b"an error"), passed, "{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for query in ["", "a", "{a}", "{a=b}", r#"{a=~"("}"#, r#"{a="b"} | json"#, r#"count_over_time({a="b"}[1m])"#] {
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

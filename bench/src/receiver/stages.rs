//! The stages of a log query: line filters, `json`, label filters, `line_format`.
//!
//! In: a stage's text; later, labels and line. Out: the stage; later, whether the line stays, and what it and its labels are then.
//! It never sees another line.
//!
//! Source: Loki 3.5.1 `pkg/logql/log/{filter,parser,label_filter,fmt}.go`: members of nested objects are joined by `_`, arrays
//! are left out; a member with the name of a label of the stream gets `_extracted`; what is no JSON gets `__error__`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::labels::Labels;
use super::labels_lexer::{Kind, Lexer};
use super::selector::{Matcher, Test, expecting, not_understood, string, test};

/// One of them.
#[derive(Debug)]
pub(crate) enum Stage {
    /// `|= "text"` and its like.
    Line { test: Test, negated: bool },
    /// `| json`, or `| json label="member"`.
    Json(Members),
    /// `| label="value"`
    Label(Matcher),
    /// `| line_format "{{.label}}"`
    LineFormat(Vec<Piece>),
}

/// Label and member, of those that are wanted.
type Members = Vec<(String, String)>;

/// A part of a line's new form.
#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    Label(String),
}

const ERROR: &str = "__error__";

/// Reads one stage; returns what follows it.
pub(crate) fn parse(rest: &[u8]) -> Result<(Stage, &[u8]), String> {
    let filter = match rest.get(..2) {
        Some(b"|=") => Some((false, false)),
        Some(b"!=") => Some((false, true)),
        Some(b"|~") => Some((true, false)),
        Some(b"!~") => Some((true, true)),
        _ => None,
    };
    if let Some((is_regex, negated)) = filter {
        let mut lexer = Lexer::new(rest.get(2..).unwrap_or_default());
        let test = test(string(&next(&mut lexer)?)?, is_regex)?;
        return Ok((Stage::Line { test, negated }, lexer.rest()));
    }
    let Some(text) = rest.strip_prefix(b"|") else { return Err(not_understood(rest)) };
    let mut lexer = Lexer::new(text);
    let name = next(&mut lexer)?;
    if name.kind != Kind::Identifier {
        return expecting("IDENTIFIER");
    }
    match name.text.as_str() {
        "json" => {
            let (members, rest) = members(lexer.rest())?;
            Ok((Stage::Json(members), rest))
        }
        "line_format" => {
            let format = pieces(&string(&next(&mut lexer)?)?)?;
            Ok((Stage::LineFormat(format), lexer.rest()))
        }
        "logfmt" | "regexp" | "pattern" | "unpack" | "label_format" | "unwrap" | "decolorize" | "drop" | "keep" => {
            Err(not_understood(rest))
        }
        _ => {
            let matcher = Matcher::parse(name.text, &next(&mut lexer)?, &next(&mut lexer)?)?;
            Ok((Stage::Label(matcher), lexer.rest()))
        }
    }
}

fn next(lexer: &mut Lexer<'_>) -> Result<super::labels_lexer::Item, String> {
    lexer.next().map_err(|(_, why)| format!("parse error : {why}"))
}

/// `a="b", c="d"`, or nothing.
fn members(mut rest: &[u8]) -> Result<(Members, &[u8]), String> {
    let mut members = Vec::new();
    while rest.trim_ascii().first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_') {
        let mut lexer = Lexer::new(rest);
        let name = next(&mut lexer)?;
        if next(&mut lexer)?.kind != Kind::Equal {
            return expecting("=");
        }
        members.push((name.text, string(&next(&mut lexer)?)?));
        rest = lexer.rest().trim_ascii();
        match rest.strip_prefix(b",") {
            Some(more) => rest = more,
            None => break,
        }
    }
    Ok((members, rest))
}

/// `{{.label}}` between texts; Go's templates have more.
fn pieces(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((text, behind)) = rest.split_once("{{") {
        let (name, after) = behind.split_once("}}").ok_or("parse error : invalid line template")?;
        let name =
            name.trim().strip_prefix('.').filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        let name = name.ok_or_else(|| not_understood(behind.as_bytes()))?;
        pieces.extend([Piece::Text(text.to_owned()), Piece::Label(name.to_owned())]);
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

impl Stage {
    /// Whether the line stays. `stream` are the labels of the Loki stream, `labels` all that there are so far.
    pub(crate) fn run(&self, stream: &Labels, labels: &mut BTreeMap<String, String>, line: &mut String) -> bool {
        match self {
            Self::Line { test, negated } => {
                let found = match test {
                    Test::Text(text) => line.contains(text.as_str()),
                    Test::Regex(regex) => regex.is_match(line),
                };
                found != *negated
            }
            Self::Label(matcher) => matcher.accepts(labels.get(matcher.name()).map_or("", String::as_str)),
            Self::Json(members) => {
                extract(members, stream, labels, line);
                true
            }
            Self::LineFormat(pieces) => {
                let text = |piece: &Piece| match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Label(name) => labels.get(name).cloned().unwrap_or_default(),
                };
                *line = pieces.iter().map(text).collect();
                true
            }
        }
    }
}

fn extract(wanted: &[(String, String)], stream: &Labels, labels: &mut BTreeMap<String, String>, line: &str) {
    let Ok(object @ Value::Object(_)) = serde_json::from_str::<Value>(line) else {
        labels.insert(ERROR.to_owned(), "JSONParserErr".to_owned());
        return;
    };
    let mut found = BTreeMap::new();
    flatten("", &object, &mut found);
    if !wanted.is_empty() {
        let taken = wanted.iter().map(|(name, member)| (name.clone(), found.remove(member).unwrap_or_default()));
        found = taken.collect();
    }
    for (name, value) in found {
        let is_label = stream.get(&name).is_some();
        labels.insert(if is_label { format!("{name}_extracted") } else { name }, value);
    }
}

fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    let text = match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                flatten(&if path.is_empty() { name } else { format!("{path}_{name}") }, value, found);
            }
            return;
        }
        Value::Array(_) | Value::Null => return,
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    found.insert(path.to_owned(), text);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels and line after all stages of a query, or none.
    fn run(query: &str, line: &str) -> Option<(BTreeMap<String, String>, String)> {
        let selector = crate::receiver::selector::Selector::parse(query).unwrap();
        let stream = Labels::default().with("app", "a");
        let mut labels = BTreeMap::from([("app".to_owned(), "a".to_owned())]);
        let line = selector.run(&stream, &mut labels, line.as_bytes())?;
        Some((labels, line))
    }

    #[test]
    fn members_become_labels_and_can_be_asked_for() {
        let line = r#"{"app":"other","req":{"id":7,"tags":[1]},"ok":true,"none":null,"a-b":"c"}"#;
        let (labels, _) = run(r#"{app="a"} | json"#, line).unwrap();
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["a_b=c", "app=a", "app_extracted=other", "ok=true", "req_id=7"]);
        assert!(run(r#"{app="a"} | json | req_id="7" | a_b=~"c|d""#, line).is_some());
        assert!(run(r#"{app="a"} | json | req_id!="7""#, line).is_none());
        let (labels, _) = run(r#"{app="a"} | json x="ok", y="none""#, line).unwrap();
        assert_eq!((labels["x"].as_str(), labels["y"].as_str(), labels.len()), ("true", "", 3));
    }

    #[test]
    fn what_is_no_json_is_marked() {
        assert!(run(r#"{app="a"} | json | __error__="JSONParserErr""#, "text").is_some());
        assert!(run(r#"{app="a"} | json | __error__="""#, "text").is_none());
        assert!(run(r#"{app="a"} | json | __error__="""#, "{}").is_some());
    }

    #[test]
    fn a_line_is_formatted() {
        let (_, line) =
            run(r#"{app="a"} | json | line_format "{{.app}} {{ .m }}: {{.none}}!""#, r#"{"m":"x"}"#).unwrap();
        assert_eq!(line, "a x: !");
        for query in [r#"{app="a"} | line_format "{{ if .a }}""#, r#"{app="a"} | json x"#, r#"{app="a"} | x"#] {
            assert!(crate::receiver::selector::Selector::parse(query).is_err(), "{query}");
        }
    }
}

//! Kubernetes label selectors as text: `a=b, c in (x, y), !d`.
//!
//! In: the text of one selector. Out: a [`Selector`], or where the text is wrong and what was expected there;
//! and a selector written as text again. Never: a look at labels (that is `discovery::select`).
//!
//! The grammar, with its rules for keys and values, is that of `k8s.io/apimachinery/pkg/labels` `Parse`, less
//! the numeric `>` and `<`, which `kubectl` does not document for pods.

use super::{Requirement, Selector};
use std::fmt;
use std::str::FromStr;

/// Why a text is no selector. The configuration's author caused it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label selector, at character {}: found {found}, expected {expected}", .offset + 1)]
pub struct SelectorError {
    /// Characters before the place.
    pub offset: usize,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: &'static str,
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// Blanks around words and signs do not count; an empty text matches everything.
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { tokens: tokens(text), next: 0 };
        let mut requirements = Vec::new();
        if parser.peek().kind == Kind::End {
            return Ok(Self { requirements });
        }
        loop {
            requirements.push(parser.requirement()?);
            match parser.peek().kind {
                Kind::End => return Ok(Self { requirements }),
                Kind::Comma => parser.advance(),
                _ => return Err(parser.unexpected("`,` or the end")),
            }
        }
    }
}

/// A part of the text.
struct Token {
    kind: Kind,
    offset: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Word(String),
    Equals,
    NotEquals,
    Not,
    Open,
    Close,
    Comma,
    Less,
    Greater,
    End,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(out, "`{word}`"),
            Self::Equals => out.write_str("`=`"),
            Self::NotEquals => out.write_str("`!=`"),
            Self::Not => out.write_str("`!`"),
            Self::Open => out.write_str("`(`"),
            Self::Close => out.write_str("`)`"),
            Self::Comma => out.write_str("`,`"),
            Self::Less => out.write_str("`<`"),
            Self::Greater => out.write_str("`>`"),
            Self::End => out.write_str("the end"),
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_sign(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '<' | '>')
}

/// Ends with [`Kind::End`], always.
fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut chars = text.chars().enumerate().peekable();
    while let Some((offset, c)) = chars.next() {
        let kind = match c {
            c if is_blank(c) => continue,
            '=' => {
                chars.next_if(|&(_, c)| c == '=');
                Kind::Equals
            }
            '!' if chars.next_if(|&(_, c)| c == '=').is_some() => Kind::NotEquals,
            '!' => Kind::Not,
            '(' => Kind::Open,
            ')' => Kind::Close,
            ',' => Kind::Comma,
            '<' => Kind::Less,
            '>' => Kind::Greater,
            first => {
                let mut word = String::from(first);
                while let Some((_, c)) = chars.next_if(|&(_, c)| !is_blank(c) && !is_sign(c)) {
                    word.push(c);
                }
                Kind::Word(word)
            }
        };
        found.push(Token { kind, offset });
    }
    found.push(Token { kind: Kind::End, offset: text.chars().count() });
    found
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) {
        self.next += 1;
    }

    fn unexpected(&self, expected: &'static str) -> SelectorError {
        let token = self.peek();
        SelectorError { offset: token.offset, found: token.kind.to_string(), expected }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.peek().kind == Kind::Not {
            self.advance();
            return Ok(Requirement::NotExists(self.key("a label key after `!`")?));
        }
        let key = self.key("a label key or `!`")?;
        let operator = self.peek().kind.clone();
        match operator {
            Kind::End | Kind::Comma => Ok(Requirement::Exists(key)),
            Kind::Equals => self.one_value().map(|value| Requirement::In(key, vec![value])),
            Kind::NotEquals => self.one_value().map(|value| Requirement::NotIn(key, vec![value])),
            Kind::Word(word) if word == "in" => self.value_list().map(|values| Requirement::In(key, values)),
            Kind::Word(word) if word == "notin" => self.value_list().map(|values| Requirement::NotIn(key, values)),
            _ => Err(self.unexpected("`=`, `==`, `!=`, `in`, `notin`, `,` or the end")),
        }
    }

    fn key(&mut self, expected: &'static str) -> Result<String, SelectorError> {
        let Kind::Word(word) = &self.peek().kind else { return Err(self.unexpected(expected)) };
        if !is_key(word) {
            return Err(self.unexpected(
                "a label key: an optional prefix (a DNS name of at most 253 characters) and `/`, then 1 to 63 \
                 letters, digits, `-`, `_` or `.`, the first and last a letter or digit",
            ));
        }
        let word = word.clone();
        self.advance();
        Ok(word)
    }

    /// After `=` or `!=`; nothing at all is the empty value.
    fn one_value(&mut self) -> Result<String, SelectorError> {
        self.advance();
        match self.peek().kind {
            Kind::End | Kind::Comma => Ok(String::new()),
            _ => self.value("a label value, `,` or the end"),
        }
    }

    /// After `in` or `notin`. `(a,)` and `(,)` name the empty value, `()` names none and is refused.
    fn value_list(&mut self) -> Result<Vec<String>, SelectorError> {
        self.advance();
        if self.peek().kind != Kind::Open {
            return Err(self.unexpected("`(`"));
        }
        self.advance();
        if self.peek().kind == Kind::Close {
            return Err(self.unexpected("at least one label value"));
        }
        let mut values = Vec::new();
        loop {
            let value = match self.peek().kind {
                Kind::Comma | Kind::Close => String::new(),
                _ => self.value("a label value, `,` or `)`")?,
            };
            if !values.contains(&value) {
                values.push(value);
            }
            match self.peek().kind {
                Kind::Comma => self.advance(),
                Kind::Close => break,
                _ => return Err(self.unexpected("`,` or `)`")),
            }
        }
        self.advance();
        Ok(values)
    }

    fn value(&mut self, expected: &'static str) -> Result<String, SelectorError> {
        let Kind::Word(word) = &self.peek().kind else { return Err(self.unexpected(expected)) };
        if !is_name(word) {
            return Err(self.unexpected(
                "a label value: at most 63 letters, digits, `-`, `_` or `.`, the first and last a letter or digit",
            ));
        }
        let word = word.clone();
        self.advance();
        Ok(word)
    }
}

/// The rule for a label key (`IsQualifiedName`).
fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_name(key),
        Some((prefix, name)) => {
            prefix.len() <= 253
                && is_name(name)
                && prefix.split('.').all(|part| {
                    let is_end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                    is_end(part.as_bytes().first())
                        && is_end(part.as_bytes().last())
                        && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                })
        }
    }
}

/// The rule for the name in a key and for a value that is not empty (`IsValidLabelValue`).
fn is_name(name: &str) -> bool {
    let is_end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    name.len() <= 63
        && is_end(name.as_bytes().first())
        && is_end(name.as_bytes().last())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl fmt::Display for Selector {
    /// As `kubectl -l` takes it; what was parsed reads back as itself.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                out.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => write!(out, "{key}={}", values[0])?,
                Requirement::NotIn(key, values) if values.len() == 1 => write!(out, "{key}!={}", values[0])?,
                Requirement::In(key, values) => write!(out, "{key} in ({})", values.join(","))?,
                Requirement::NotIn(key, values) => write!(out, "{key} notin ({})", values.join(","))?,
                Requirement::Exists(key) => out.write_str(key)?,
                Requirement::NotExists(key) => write!(out, "!{key}")?,
            }
        }
        Ok(())
    }
}

//! The tokens of a label set, and what a quoted string stands for.
//!
//! In: bytes. Out: items with their place, or the place and the reason why there is none. It knows no grammar.
//!
//! Source: Prometheus' `promql/parser/lex.go` (`lexInsideBraces`, `lexString`, `lexEscape`, `lexRawString`) and
//! `util/strutil/quote.go`, as vendored by Loki 3.5.1.

use super::go_format::quote;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name.
    Identifier,
    /// A string with its quotes.
    String,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `,`
    Comma,
    /// `=`
    Equal,
    /// Any other sign of PromQL.
    Other,
    /// The end of the input.
    End,
}

/// One token.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// What it is.
    pub(crate) kind: Kind,
    /// Byte offset of its start.
    pub(crate) at: usize,
    /// As written.
    pub(crate) text: String,
}

impl Item {
    /// As Prometheus' errors name it.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            Kind::End => "end of input".to_owned(),
            Kind::Identifier => format!("identifier {}", quote(&self.text)),
            Kind::String => format!("string {}", quote(&self.text)),
            _ => quote(&self.text),
        }
    }
}

/// Place and reason of an error.
type LexError = (usize, String);

/// Reads items one by one.
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    pos: usize,
    in_braces: bool,
}

impl<'a> Lexer<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, pos: 0, in_braces: false }
    }

    /// The next item; blanks and comments are passed over.
    pub(crate) fn next(&mut self) -> Result<Item, LexError> {
        self.skip_blanks();
        let start = self.pos;
        let Some(c) = self.advance() else {
            if self.in_braces {
                return Err((start, "unexpected end of input inside braces".to_owned()));
            }
            return Ok(self.item(Kind::End, start));
        };
        match c {
            'a'..='z' | 'A'..='Z' | '_' => self.identifier(start),
            ':' if !self.in_braces => self.identifier(start),
            '"' | '\'' => self.string(start, c),
            '`' => self.raw_string(start),
            '{' if !self.in_braces => {
                self.in_braces = true;
                Ok(self.item(Kind::LeftBrace, start))
            }
            '}' if self.in_braces => {
                self.in_braces = false;
                Ok(self.item(Kind::RightBrace, start))
            }
            ',' => Ok(self.item(Kind::Comma, start)),
            '=' | '!' => self.operator(start, c),
            '{' => Err((start, "unexpected left brace '{'".to_owned())),
            _ if self.in_braces => Err((start, format!("unexpected character inside braces: {}", quote_char(c)))),
            _ => Err((start, format!("unexpected character: {}", quote_char(c)))),
        }
    }

    /// What follows the items given so far.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.text.get(self.pos) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.pos += 1,
                Some(b'#') => {
                    while self.text.get(self.pos).is_some_and(|b| !matches!(b, b'\n' | b'\r')) {
                        self.pos += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn identifier(&mut self, start: usize) -> Result<Item, LexError> {
        let colon = !self.in_braces;
        while self.text.get(self.pos).is_some_and(|&b| b.is_ascii_alphanumeric() || b == b'_' || (colon && b == b':')) {
            self.pos += 1;
        }
        Ok(self.item(Kind::Identifier, start))
    }

    fn operator(&mut self, start: usize, c: char) -> Result<Item, LexError> {
        let next = self.text.get(self.pos).copied();
        if (c == '=' && next == Some(b'~')) || (c == '!' && matches!(next, Some(b'~' | b'='))) {
            self.pos += 1;
            return Ok(self.item(Kind::Other, start));
        }
        if c == '!' {
            let next = self.advance().map_or_else(|| "'�'".to_owned(), quote_char);
            return Err((start, format!("unexpected character after '!' inside braces: {next}")));
        }
        Ok(self.item(Kind::Equal, start))
    }

    fn string(&mut self, start: usize, open: char) -> Result<Item, LexError> {
        loop {
            match self.advance() {
                Some('\\') => self.escape(open).map_err(|why| (start, why))?,
                Some('\u{fffd}') => return Err((start, "invalid UTF-8 rune".to_owned())),
                None | Some('\n') => return Err((start, "unterminated quoted string".to_owned())),
                Some(c) if c == open => return Ok(self.item(Kind::String, start)),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self, start: usize) -> Result<Item, LexError> {
        loop {
            match self.advance() {
                Some('\u{fffd}') => return Err((start, "invalid UTF-8 rune".to_owned())),
                None => return Err((start, "unterminated raw string".to_owned())),
                Some('`') => return Ok(self.item(Kind::String, start)),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self, open: char) -> Result<(), String> {
        let mut c = self.advance();
        let (digits, base, max) = match c {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(quote) if quote == open => return Ok(()),
            Some('0'..='7') => (3, 8, 255),
            Some('x') => (2, 16, 255),
            Some('u') => (4, 16, 0x10_ffff),
            Some('U') => (8, 16, 0x10_ffff),
            Some(c) => return Err(format!("unknown escape sequence {}", code_point(c))),
            None => return Err("escape sequence not terminated".to_owned()),
        };
        if base == 16 {
            c = self.advance();
        }
        let mut value = 0_u64;
        for left in (0..digits).rev() {
            let Some(now) = c else { return Err("escape sequence not terminated".to_owned()) };
            let Some(digit) = now.to_digit(base) else {
                return Err(format!("illegal character {} in escape sequence", code_point(now)));
            };
            value = value * u64::from(base) + u64::from(digit);
            if left > 0 {
                c = self.advance();
            }
        }
        if value > max || (0xd800..0xe000).contains(&value) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }

    /// The next character; U+FFFD for a byte that is not UTF-8.
    fn advance(&mut self) -> Option<char> {
        let rest = self.text.get(self.pos..)?;
        let first = *rest.first()?;
        if first.is_ascii() {
            self.pos += 1;
            return Some(char::from(first));
        }
        let window = rest.get(..rest.len().min(4)).unwrap_or(rest);
        let valid = match std::str::from_utf8(window) {
            Ok(text) => text,
            Err(e) => std::str::from_utf8(window.get(..e.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
        };
        let c = valid.chars().next();
        self.pos += c.map_or(1, char::len_utf8);
        Some(c.unwrap_or('\u{fffd}'))
    }

    fn item(&self, kind: Kind, start: usize) -> Item {
        let text = String::from_utf8_lossy(self.text.get(start..self.pos).unwrap_or_default()).into_owned();
        Item { kind, at: start, text }
    }
}

fn quote_char(c: char) -> String {
    if c == '\'' { r"'\''".to_owned() } else { format!("'{}'", quote(&c.to_string()).trim_matches('"')) }
}

fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}

/// What a string item stands for; none if its escapes do not hold.
pub(crate) fn unquote(item: &str) -> Option<String> {
    let open = item.chars().next()?;
    let inner = item.strip_prefix(open)?.strip_suffix(open)?;
    if open == '`' || !inner.contains('\\') {
        return Some(inner.to_owned());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            push_char(&mut out, c);
            continue;
        }
        match rest.next()? {
            'a' => out.push(0x07),
            'b' => out.push(0x08),
            'f' => out.push(0x0c),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(0x0b),
            'x' => out.push(u8::try_from(digits(&mut rest, 0, 2, 16)?).ok()?),
            'u' => push_char(&mut out, char::from_u32(digits(&mut rest, 0, 4, 16)?)?),
            'U' => push_char(&mut out, char::from_u32(digits(&mut rest, 0, 8, 16)?)?),
            first @ '0'..='7' => out.push(u8::try_from(digits(&mut rest, first.to_digit(8)?, 2, 8)?).ok()?),
            '\\' => out.push(b'\\'),
            c if c == open => push_char(&mut out, c),
            _ => return None,
        }
    }
    Some(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn digits(rest: &mut std::str::Chars<'_>, first: u32, count: usize, base: u32) -> Option<u32> {
    let mut value = first;
    for _ in 0..count {
        value = value.checked_mul(base)?.checked_add(rest.next()?.to_digit(base)?)?;
    }
    Some(value)
}

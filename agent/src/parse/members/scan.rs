//! One look over a line that is a JSON object as nearly all are: no copy, no tape, eight bytes of a string at once. On lines,
//! which are short for it, simd-json takes twice as long (`docs/performance.md`).
//!
//! In: a text. Out: its members' keys, where it surely is one JSON object. Never: a text taken that the JSON grammar does
//! not take, or a verdict on a key with an escape, on deep nesting, or on what is wrong: that the other readers have.
//!
//! Source: RFC 8259.

use super::Members;
use crate::types::entry::EnvelopeMember;

/// Whether `text` surely is one JSON object, blanks around it allowed. If so `members` are its members.
pub(super) fn read(text: &str, members: &mut Members, envelope: &[EnvelopeMember]) -> bool {
    members.clear();
    let note = |start, end| text.get(start..end).map(|key| members.note(key, start, envelope));
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    scan.object(note).is_some() && scan.at == text.len()
}

/// The objects and arrays around a place.
struct Nest {
    depth: u32,
    /// The last bit is of the innermost; set: an object.
    are_objects: u64,
}

impl Nest {
    const OUTERMOST: Self = Self { depth: 1, are_objects: 1 };

    fn is_object(&self) -> bool {
        self.are_objects & 1 == 1
    }

    fn closing(&self) -> u8 {
        if self.is_object() { b'}' } else { b']' }
    }

    fn open(&mut self, is_object: bool) -> Option<()> {
        self.depth = Some(self.depth + 1).filter(|depth| *depth <= u64::BITS)?;
        self.are_objects = self.are_objects << 1 | u64::from(is_object);
        Some(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.are_objects >>= 1;
    }
}

/// Where the look has come to. A step gives nothing where what has to be there is not, or not surely, there.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// An object and the blanks around it. `note` is given the ranges of the insides of its own keys.
    fn object(&mut self, mut note: impl FnMut(usize, usize) -> Option<()>) -> Option<()> {
        self.blanks();
        self.byte(b'{')?;
        let mut nest = Nest::OUTERMOST;
        let mut is_value_next = self.peek()? != nest.closing();
        while nest.depth > 0 {
            is_value_next = if is_value_next {
                if nest.is_object() {
                    let key = self.key()?;
                    if nest.depth == 1 {
                        note(key.0, key.1)?;
                    }
                }
                self.value(&mut nest)?
            } else {
                self.after_value(&mut nest)?
            };
        }
        Some(())
    }

    /// A value; of an object or array only its beginning. True: then comes a value, or a key, of that.
    #[inline(always)]
    fn value(&mut self, nest: &mut Nest) -> Option<bool> {
        let first = self.peek()?;
        match first {
            b'"' => {
                self.at += 1;
                self.string()?;
            }
            b'{' | b'[' => {
                nest.open(first == b'{')?;
                self.byte(first)?;
                return Some(self.peek()? != nest.closing());
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => return None,
        }
        self.blanks();
        Some(false)
    }

    /// What follows a value. True: then comes another.
    #[inline(always)]
    fn after_value(&mut self, nest: &mut Nest) -> Option<bool> {
        if self.peek()? == b',' {
            self.byte(b',')?;
            return Some(true);
        }
        self.byte(nest.closing())?;
        nest.close();
        Some(false)
    }

    /// A key and its colon. The range of the key's inside.
    #[inline(always)]
    fn key(&mut self) -> Option<(usize, usize)> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let start = self.at;
        let has_escapes = self.string()?;
        let end = self.at - 1;
        self.blanks();
        self.byte(b':')?;
        (!has_escapes).then_some((start, end))
    }

    /// From behind a string's opening quote to behind its closing one. True: it has escapes.
    #[inline(always)]
    fn string(&mut self) -> Option<bool> {
        let mut has_escapes = false;
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += match rest.first_chunk() {
                Some(chunk) => match first_special(*chunk) {
                    Some(index) => index,
                    None => {
                        self.at += size_of_val(chunk);
                        continue;
                    }
                },
                None => rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?,
            };
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(has_escapes);
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
            has_escapes = true;
        }
    }

    fn escape(&mut self) -> Option<()> {
        self.at += match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = self.bytes.get(self.at + 2..self.at + 6)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(6)?
            }
            _ => return None,
        };
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.peek()? == b'-');
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek()?, b'+' | b'-'));
            self.digits()?;
        }
        Some(())
    }

    /// One digit or more.
    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// This byte, and the blanks behind it.
    #[inline(always)]
    fn byte(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        self.blanks();
        Some(())
    }

    #[inline(always)]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// The first of eight bytes of a string's inside that is no plain character: a quote, a backslash, a control character.
#[inline(always)]
fn first_special(chunk: [u8; 8]) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(chunk);
    // The highest bit of each byte that is below `limit`; above the first such byte others may be set as well.
    let below = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let found = (is(b'"') | is(b'\\') | below(word, b' ')) & (EACH << 7);
    (found != 0).then_some(found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests;

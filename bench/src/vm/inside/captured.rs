//! What was captured of one following, held against what was there.
//!
//! In: fragments. Out: pieces, each a run of bytes that the capture says came one after the other, and whether they are
//! what was read. Never: a piece joined over a gap that was told.

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use penstock::types::capture::{Cookie, Fragment};

/// What stands before a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// So many bytes that were read and not carried.
    Known(u64),
    /// Bytes that left unseen, nobody knows how many.
    Unknown,
}

/// A run of bytes.
#[derive(Debug)]
struct Piece {
    before: Before,
    bytes: Vec<u8>,
}

/// Everything captured of one following, in order.
#[derive(Debug, Default)]
pub(super) struct Captured {
    pieces: Vec<Piece>,
    end: u64,
    wrong_cookie: Option<Cookie>,
}

impl Captured {
    /// Takes a fragment; one of another following is remembered as an error.
    pub(super) fn take(&mut self, expected: Cookie, fragment: Fragment<'_>) {
        if fragment.cookie != expected {
            self.wrong_cookie = Some(fragment.cookie);
            return;
        }
        let missing = fragment.sequence.wrapping_sub(self.end);
        if fragment.is_gap_before {
            self.pieces.push(Piece { before: Before::Unknown, bytes: Vec::new() });
        } else if missing != 0 || self.pieces.is_empty() {
            self.pieces.push(Piece { before: Before::Known(missing), bytes: Vec::new() });
        }
        self.end = fragment.sequence + fragment.bytes.len() as u64;
        if let Some(piece) = self.pieces.last_mut() {
            piece.bytes.extend_from_slice(fragment.bytes);
        }
    }

    /// Bytes that were carried.
    pub(super) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes.len() as u64).sum()
    }

    /// Nothing is missing, and every byte is the one that was read.
    pub(super) fn same(&self, read: &[u8]) -> Result<()> {
        let lost = self.known_gaps(read)?;
        ensure!(lost == 0, "{lost} of {} bytes were not carried", read.len());
        Ok(())
    }

    /// Every byte is the one that was read at that place, and every gap is known to the byte. How many bytes are missing.
    pub(super) fn known_gaps(&self, read: &[u8]) -> Result<u64> {
        ensure!(self.wrong_cookie.is_none(), "a fragment of another following came: {:?}", self.wrong_cookie);
        let mut at = 0_usize;
        for piece in &self.pieces {
            let Before::Known(missing) = piece.before else {
                bail!("bytes left unseen, it was said, before byte {at} of {}", read.len())
            };
            at = at.saturating_add(usize::try_from(missing)?);
            let there = read.get(at..at.saturating_add(piece.bytes.len()));
            let there = there.with_context(|| format!("byte {at} and more, where {} were read", read.len()))?;
            compare(&piece.bytes, there, at)?;
            at += piece.bytes.len();
        }
        Ok(read.len() as u64 - self.bytes())
    }

    /// Every piece is a run of what was in the pipe, in its order: nothing is joined that was not one. How many pieces.
    pub(super) fn within(&self, pipe: &[u8]) -> Result<usize> {
        ensure!(self.wrong_cookie.is_none(), "a fragment of another following came: {:?}", self.wrong_cookie);
        let mut at = 0_usize;
        for piece in &self.pieces {
            let rest = pipe.get(at..).unwrap_or_default();
            let Some(place) = memmem::find(rest, &piece.bytes) else {
                bail!(
                    "after byte {at}: {} bytes were joined that never were one run: …{}…",
                    piece.bytes.len(),
                    sample(&piece.bytes, rest)
                )
            };
            at += place + piece.bytes.len();
        }
        Ok(self.pieces.len())
    }
}

fn compare(bytes: &[u8], there: &[u8], at: usize) -> Result<()> {
    let other = bytes.iter().zip(there).position(|(one, other)| one != other);
    match other {
        None => Ok(()),
        Some(index) => bail!("byte {} is not the one that was read", at + index),
    }
}

/// The place where a piece stops being a run of `pipe`.
fn sample(piece: &[u8], pipe: &[u8]) -> String {
    let mut good = 0;
    let mut bad = piece.len();
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        match piece.get(..middle).and_then(|head| memmem::find(pipe, head)) {
            Some(_) => good = middle,
            None => bad = middle,
        }
    }
    piece
        .get(good.saturating_sub(30)..bad.saturating_add(20).min(piece.len()))
        .unwrap_or_default()
        .escape_ascii()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: Cookie = Cookie(7);

    fn captured(fragments: &[(u64, bool, &str)]) -> Captured {
        let mut captured = Captured::default();
        for (sequence, is_gap_before, text) in fragments {
            let bytes = text.as_bytes();
            let (sequence, is_gap_before) = (*sequence, *is_gap_before);
            let rest = (false, 1, None);
            captured.take(
                COOKIE,
                Fragment {
                    cookie: COOKIE,
                    sequence,
                    is_gap_before,
                    is_first: rest.0,
                    read_ns: rest.1,
                    written_ns: rest.2,
                    bytes,
                },
            );
        }
        captured
    }

    #[test]
    fn whole_is_whole_only_without_a_gap_or_another_byte() {
        assert!(captured(&[(0, false, "ab"), (2, false, "cd")]).same(b"abcd").is_ok());
        for (fragments, why) in [
            (&[(0, false, "ab"), (2, false, "cx")][..], "another byte"),
            (&[(0, false, "ab"), (3, false, "d")], "a gap"),
            (&[(0, false, "ab"), (2, true, "cd")], "a gap of unknown length"),
            (&[(0, false, "abc")], "the end is missing"),
            (&[(1, false, "bcd")], "the beginning is missing"),
            (&[(0, false, "abcde")], "more than there was"),
        ] {
            assert!(captured(fragments).same(b"abcd").is_err(), "{why}");
        }
    }

    #[test]
    fn a_known_gap_is_one_of_just_so_many_bytes() {
        assert_eq!(captured(&[(0, false, "a"), (3, false, "")]).known_gaps(b"abcd").unwrap(), 3);
        assert_eq!(captured(&[(0, false, "a"), (3, false, "d")]).known_gaps(b"abcd").unwrap(), 2);
        assert!(captured(&[(0, false, "a"), (2, false, "d")]).known_gaps(b"abcd").is_err());
    }

    #[test]
    fn what_is_joined_must_have_been_one() {
        assert!(captured(&[(0, false, "AAA"), (3, true, "CCC\n")]).within(b"AAABBB\nCCC\n").is_ok());
        assert!(captured(&[(0, false, "AAA"), (3, false, "CCC\n")]).within(b"AAABBB\nCCC\n").is_err());
        assert!(captured(&[(0, false, "CCC"), (3, true, "AAA")]).within(b"AAABBB\nCCC\n").is_err(), "order");
    }
}

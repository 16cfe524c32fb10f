//! A line that is too long: its beginning, and a marker that says how much is missing.
//!
//! In: the content as far as it was kept, and its full length. Out: text (or an enveloped text) of at most
//! `limits::LINE_BYTES_MAX`, marker and all. Never: half a character.

use super::render;
use crate::json_string::{self, escaped_bytes};
use crate::limits::LINE_BYTES_MAX;
use crate::types::entry::EnvelopeMember;
use std::fmt::Write as _;

const MARKER_START: &str = " …[truncated ";
const MARKER_END: &str = " bytes]";

/// Renders as much of `content` into `line` as goes in together with the marker. Gives how many bytes of
/// the original's `full_bytes` are not shown; where that is 0, as it can be only for JSON that renaming made too long,
/// there is no marker.
pub(super) fn render(content: &[u8], full_bytes: u64, envelope: Option<&[EnvelopeMember]>, line: &mut String) -> u64 {
    line.clear();
    let mut room = LINE_BYTES_MAX;
    if let Some(envelope) = envelope {
        render::open_text(envelope, line);
        room = room.saturating_sub(line.len() + render::TEXT_END.len());
    }
    let content = if full_bytes > content.len() as u64 { without_half_character(content) } else { content };
    let (shown, cut_bytes) = fit(content, full_bytes, room, envelope.is_some());
    for chunk in content[..shown].utf8_chunks() {
        match envelope {
            Some(_) => json_string::escape(chunk.valid(), line),
            None => line.push_str(chunk.valid()),
        }
        if !chunk.invalid().is_empty() {
            line.push(char::REPLACEMENT_CHARACTER);
        }
    }
    if cut_bytes > 0 {
        // Writing to a string cannot fail.
        let _ = write!(line, "{MARKER_START}{cut_bytes}{MARKER_END}");
    }
    if envelope.is_some() {
        line.push_str(render::TEXT_END);
    }
    cut_bytes
}

/// How many bytes of `content` to show, and how many of the original that leaves out. The fewer are left out, the
/// shorter is the marker: the first number of digits that suffices leaves most room.
fn fit(content: &[u8], full_bytes: u64, room: usize, is_escaped: bool) -> (usize, u64) {
    let at_least = full_bytes.saturating_sub(room as u64);
    let mut digits = digits_of(at_least);
    loop {
        let budget = room.saturating_sub(MARKER_START.len() + digits + MARKER_END.len());
        let shown = shown_within(content, budget, is_escaped);
        let cut_bytes = full_bytes.saturating_sub(shown as u64);
        if digits_of(cut_bytes) <= digits {
            return (shown, cut_bytes);
        }
        digits += 1;
    }
}

fn digits_of(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// How many bytes of `content` take at most `budget` bytes once replaced and escaped.
fn shown_within(content: &[u8], budget: usize, is_escaped: bool) -> usize {
    let (mut shown, mut spent) = (0, 0);
    for chunk in content.utf8_chunks() {
        if is_escaped {
            for c in chunk.valid().chars() {
                let bytes = if c.is_ascii() { escaped_bytes(c as u8) } else { c.len_utf8() };
                if spent + bytes > budget {
                    return shown;
                }
                spent += bytes;
                shown += c.len_utf8();
            }
        } else {
            let valid = chunk.valid();
            if spent + valid.len() > budget {
                return shown + valid.floor_char_boundary(budget - spent);
            }
            spent += valid.len();
            shown += valid.len();
        }
        if !chunk.invalid().is_empty() {
            if spent + char::REPLACEMENT_CHARACTER.len_utf8() > budget {
                return shown;
            }
            spent += char::REPLACEMENT_CHARACTER.len_utf8();
            shown += chunk.invalid().len();
        }
    }
    shown
}

/// Of a line whose end is not here the last character may be half: it is not invalid, only cut.
fn without_half_character(content: &[u8]) -> &[u8] {
    for len in 1..=content.len().min(3) {
        let (head, tail) = content.split_at(content.len() - len);
        // A first byte of a character that the rest does not complete.
        if tail[0] >= 0xc0 {
            let is_half = std::str::from_utf8(tail).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none());
            return if is_half { head } else { content };
        }
    }
    content
}

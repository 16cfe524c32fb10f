//! The top-level members of a line that is a JSON object, as far as they matter.
//!
//! In: the text. Out: whether it is one JSON object, and where the keys stand whose meaning is known. Never:
//! a look into nested values.
//!
//! Nearly every line is dealt with by `scan`. What that is not sure of is read by simd-json, in a copy, because it unescapes in
//! place; what simd-json refuses is read again by serde_json, since it also refuses valid JSON: numbers beyond f64, lone
//! surrogates, deep nesting.

mod scan;
mod strict;

use crate::types::entry::EnvelopeMember;
use simd_json::{Buffers, Node, Tape};

/// Where things stand in a JSON object. Offsets are of the first byte inside a key's quotes.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// How many members there are.
    pub(super) count: usize,
    /// Every `msg`.
    pub(super) msg: Vec<usize>,
    /// Every `time`.
    pub(super) time: Vec<usize>,
    /// There is a `message`.
    pub(super) has_message: bool,
    /// The last `timestamp`.
    pub(super) timestamp: Option<usize>,
    /// The last `level`.
    pub(super) level: Option<usize>,
    /// The last `trace_id`.
    pub(super) trace_id: Option<usize>,
    /// Bit n: a member has the name of envelope member n.
    clashes: u64,
}

impl Members {
    fn clear(&mut self) {
        let (mut msg, mut time) = (std::mem::take(&mut self.msg), std::mem::take(&mut self.time));
        msg.clear();
        time.clear();
        *self = Self { msg, time, ..Self::default() };
    }

    /// Notes a member. `key` is unescaped; its raw form begins at `at`.
    fn note(&mut self, key: &str, at: usize, envelope: &[EnvelopeMember]) {
        self.count += 1;
        match key {
            "msg" => self.msg.push(at),
            "message" => self.has_message = true,
            "time" => self.time.push(at),
            "timestamp" => self.timestamp = Some(at),
            "level" => self.level = Some(at),
            "trace_id" => self.trace_id = Some(at),
            _ => {}
        }
        for (bit, member) in envelope.iter().enumerate().take(64) {
            if member.name == key {
                self.clashes |= 1 << bit;
            }
        }
    }

    /// `msg` is to become `message`.
    pub(super) fn is_msg_renamed(&self) -> bool {
        !self.msg.is_empty() && !self.has_message
    }

    /// `time` is to become `timestamp`.
    pub(super) fn is_time_renamed(&self) -> bool {
        !self.time.is_empty() && self.timestamp.is_none()
    }

    /// Whether the object, once its keys are renamed, has a member named like envelope member `index`.
    pub(super) fn is_clash(&self, index: usize, name: &str) -> bool {
        match name {
            "msg" if self.is_msg_renamed() => false,
            "time" if self.is_time_renamed() => false,
            "message" if self.is_msg_renamed() => true,
            "timestamp" if self.is_time_renamed() => true,
            _ => index < 64 && self.clashes >> index & 1 == 1,
        }
    }
}

/// Reads JSON objects; keeps the buffers for that.
pub(super) struct Reader {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { scratch: Vec::new(), buffers: Buffers::default(), tape: Tape(Vec::new()) }
    }
}

impl Reader {
    /// Whether `text` is one JSON object, blanks around it allowed. If so `members` are its members.
    pub(super) fn read(&mut self, text: &str, members: &mut Members, envelope: &[EnvelopeMember]) -> bool {
        let object = text.trim_matches([' ', '\t', '\n', '\r']);
        if !object.starts_with('{') || !object.ends_with('}') {
            return false;
        }
        scan::read(text, members, envelope)
            || self.read_tape(text, members, envelope)
            || strict::read(text, members, envelope)
    }

    fn read_tape(&mut self, text: &str, members: &mut Members, envelope: &[EnvelopeMember]) -> bool {
        members.clear();
        self.scratch.clear();
        self.scratch.extend_from_slice(text.as_bytes());
        self.scratch.extend_from_slice(&[0; simd_json::INPUT_PADDING]);
        let base = self.scratch.as_ptr().addr();
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let is_read = simd_json::fill_tape_padded(&mut self.scratch, text.len(), &mut self.buffers, &mut tape).is_ok()
            && note_all(&tape, base, members, envelope);
        self.tape = tape.reset();
        is_read
    }
}

/// Notes the members of the object on the tape. simd-json leaves each string where it stood, unescaped, so that
/// a key's address less `base` is its offset in the text.
fn note_all(tape: &Tape<'_>, base: usize, members: &mut Members, envelope: &[EnvelopeMember]) -> bool {
    let Some(Node::Object { len, .. }) = tape.0.first() else {
        return false;
    };
    let mut at = 1;
    for _ in 0..*len {
        let Some(Node::String(key)) = tape.0.get(at) else {
            return false;
        };
        members.note(key, key.as_ptr().addr().wrapping_sub(base), envelope);
        at += match tape.0.get(at + 1) {
            Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 2,
            _ => 2,
        };
    }
    true
}

//! What becomes of one line: text as it is, JSON with its keys renamed, and what a JSON line says of itself.
//!
//! In: a [`Record`], and what is known of its container. Out: a [`Shaped`]: the bytes to send, the time, the
//! values for the label `level` and for the trace id. Never: a label other than `level`, a change to a byte
//! of JSON other than a renamed key, or an allocation once the buffers have grown to the lines' size.

mod cut;
mod members;
mod own_time;
mod render;
mod value;

use crate::config::LineForm;
use crate::limits::{LEVEL_BYTES_MAX, LINE_BYTES_MAX, TRACE_ID_BYTES_MAX};
use crate::types::entry::{EnvelopeMember, Record, Shaped};
use members::{Members, Reader};
use own_time::OwnTime;
use value::Value;

/// What is known of a line's container.
#[derive(Clone, Copy, Debug)]
pub struct ShapeContext<'a> {
    /// Its pod's lines are parsed as JSON.
    pub is_json: bool,
    /// Its labels, for `line: envelope`; not looked at otherwise. At most `limits::LABELS_MAX`.
    pub envelope: &'a [EnvelopeMember],
}

/// Shapes lines, one at a time; keeps the buffers for that. About 1 MiB once a line of the greatest length came.
pub struct Shaper {
    line_form: LineForm,
    reader: Reader,
    members: Members,
    /// The record's text, where it was not UTF-8.
    replaced: String,
    /// The line, where it is not the record's text.
    line: String,
    level: String,
    trace_id: String,
}

impl Shaper {
    /// A shaper of lines of one form.
    #[must_use]
    pub fn new(line_form: LineForm) -> Self {
        Self {
            line_form,
            reader: Reader::default(),
            members: Members::default(),
            replaced: String::new(),
            line: String::new(),
            level: String::new(),
            trace_id: String::new(),
        }
    }

    /// Shapes one record. Every record has a shape: what cannot be read as JSON goes as text, what is too long
    /// is cut and marked.
    pub fn shape<'a>(&'a mut self, record: Record<'a>, context: &ShapeContext<'_>) -> Shaped<'a> {
        let Self { line_form, reader, members, replaced, line, level, trace_id } = self;
        let envelope = match line_form {
            LineForm::Compact => None,
            LineForm::Envelope => Some(context.envelope),
        };
        let text_shape = |line: &'a [u8], cut_bytes| Shaped {
            line,
            time_ns: record.time_ns,
            level: None,
            trace_id: None,
            cut_bytes,
            is_time_refused: false,
        };
        if record.full_bytes <= record.content.len() as u64 {
            let text = text_of(record.content, replaced);
            if context.is_json && reader.read(text, members, envelope.unwrap_or_default()) {
                let is_changed = render::object(text, members, envelope, line);
                let bytes = if is_changed { line.len() } else { text.len() };
                if bytes <= LINE_BYTES_MAX {
                    let own_time = own_time::read(text, members, record.time_ns, level);
                    return Shaped {
                        line: if is_changed { line.as_bytes() } else { text.as_bytes() },
                        time_ns: if let OwnTime::Usable(own) = own_time { own } else { record.time_ns },
                        level: level_of(text, members, level),
                        trace_id: trace_id_of(text, members, trace_id),
                        cut_bytes: 0,
                        is_time_refused: own_time == OwnTime::Refused,
                    };
                }
            } else if let Some(envelope) = envelope {
                render::text(text, envelope, line);
                if line.len() <= LINE_BYTES_MAX {
                    return text_shape(line.as_bytes(), 0);
                }
            } else if text.len() <= LINE_BYTES_MAX {
                return text_shape(text.as_bytes(), 0);
            }
        }
        let cut_bytes = cut::render(record.content, record.full_bytes, envelope, line);
        text_shape(line.as_bytes(), cut_bytes)
    }
}

/// The content as text, each maximal invalid part replaced by one U+FFFD.
fn text_of<'a>(content: &'a [u8], replaced: &'a mut String) -> &'a str {
    match simdutf8::basic::from_utf8(content) {
        Ok(text) => text,
        Err(_) => {
            replaced.clear();
            for chunk in content.utf8_chunks() {
                replaced.push_str(chunk.valid());
                if !chunk.invalid().is_empty() {
                    replaced.push(char::REPLACEMENT_CHARACTER);
                }
            }
            replaced
        }
    }
}

/// The value of `level` where it may become a label: a string or a number of 1 to 16 letters, digits, `_`, `-`.
fn level_of<'a>(text: &'a str, members: &Members, unescaped: &'a mut String) -> Option<&'a str> {
    let level = match value::after_key(text, members.level?) {
        Value::String(raw) => value::string(raw, LEVEL_BYTES_MAX, unescaped)?,
        Value::Number(raw) => raw,
        Value::Other => return None,
    };
    let is_level = (1..=LEVEL_BYTES_MAX).contains(&level.len())
        && level.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    is_level.then_some(level)
}

/// The value of `trace_id` where it can be kept: a string that is neither empty nor too long.
fn trace_id_of<'a>(text: &'a str, members: &Members, unescaped: &'a mut String) -> Option<&'a str> {
    let Value::String(raw) = value::after_key(text, members.trace_id?) else {
        return None;
    };
    value::string(raw, TRACE_ID_BYTES_MAX, unescaped).filter(|trace_id| !trace_id.is_empty())
}

#[cfg(test)]
mod tests;

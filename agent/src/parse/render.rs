//! Puts a line together: keys renamed by splicing the original bytes, the envelope in front.
//!
//! In: the text and what was found in it. Out: the line, as long as it comes. Never: a limit; that is `cut`.

use super::members::Members;
use super::value;
use crate::json_string;
use crate::types::entry::EnvelopeMember;

/// Renders a JSON object into `line`. False where the text is to be sent as it is; `line` then means nothing.
pub(super) fn object(text: &str, members: &Members, envelope: Option<&[EnvelopeMember]>, line: &mut String) -> bool {
    let (is_msg, is_time) = (members.is_msg_renamed(), members.is_time_renamed());
    if !is_msg && !is_time && envelope.is_none() {
        return false;
    }
    line.clear();
    let mut done = 0;
    if let Some(envelope) = envelope {
        done = text.find('{').map_or(0, |at| at + 1);
        line.push_str(&text[..done]);
        push_envelope(
            line,
            envelope.iter().enumerate().filter(|(n, m)| !members.is_clash(*n, &m.name)).map(|(_, m)| m),
        );
        if members.count == 0 && line.ends_with(',') {
            line.pop();
        }
    }
    let msg = if is_msg { &members.msg[..] } else { &[] };
    let time = if is_time { &members.time[..] } else { &[] };
    let (mut msg, mut time) = (msg.iter().peekable(), time.iter().peekable());
    loop {
        let (at, name) = match (msg.peek(), time.peek()) {
            (Some(m), Some(t)) if m < t => (**m, "message"),
            (_, Some(t)) => (**t, "timestamp"),
            (Some(m), None) => (**m, "message"),
            (None, None) => break,
        };
        if name == "message" {
            msg.next()
        } else {
            time.next()
        };
        line.push_str(&text[done..at]);
        line.push_str(name);
        done = value::key_range(text, at).end;
    }
    line.push_str(&text[done..]);
    true
}

/// Renders a text as an object of the envelope's members and `message`.
pub(super) fn text(text: &str, envelope: &[EnvelopeMember], line: &mut String) {
    open_text(envelope, line);
    json_string::escape(text, line);
    line.push_str(TEXT_END);
}

/// What ends an enveloped text.
pub(super) const TEXT_END: &str = "\"}";

/// Begins an enveloped text: everything before its first byte.
pub(super) fn open_text(envelope: &[EnvelopeMember], line: &mut String) {
    line.clear();
    line.push('{');
    // `message` is the line's own member: it wins over a label of that name.
    push_envelope(line, envelope.iter().filter(|member| member.name != "message"));
    line.push_str("\"message\":\"");
}

/// Each member with a comma after it.
fn push_envelope<'a>(line: &mut String, members: impl Iterator<Item = &'a EnvelopeMember>) {
    for member in members {
        line.push_str(&member.json);
        line.push(',');
    }
}

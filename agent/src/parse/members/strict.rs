//! The same reading by serde_json, which takes exactly the JSON grammar: slower, and without its own limits
//! on numbers, depth or surrogates, because no value is made of what it passes over.

use super::Members;
use crate::json_string;
use crate::types::entry::EnvelopeMember;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Whether `text` is one JSON object. If so `members` are its members.
pub(super) fn read(text: &str, members: &mut Members, envelope: &[EnvelopeMember]) -> bool {
    members.clear();
    let mut reader = serde_json::Deserializer::from_str(text);
    let notes = Notes { base: text.as_ptr().addr(), members, envelope };
    reader.deserialize_map(notes).is_ok() && reader.end().is_ok()
}

struct Notes<'a> {
    base: usize,
    members: &'a mut Members,
    envelope: &'a [EnvelopeMember],
}

impl<'de> Visitor<'de> for Notes<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&RawValue>()? {
            map.next_value::<IgnoredAny>()?;
            // With its quotes; borrowed from the text, so that addresses give the offset.
            let quoted = key.get();
            let raw = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
            let at = raw.as_ptr().addr().wrapping_sub(self.base);
            self.members.note(&json_string::unescaped(raw), at, self.envelope);
        }
        Ok(())
    }
}

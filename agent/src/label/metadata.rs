//! Structured metadata in the protobuf form in which an entry carries it.
//!
//! In: names and values. Out: `LabelPairAdapter{name=1, value=2}` messages, each as field 3 of `EntryAdapter`.
//! Never: an empty value.
//!
//! Source: Loki 3.5.1 `pkg/push/push.proto`; its counting `pkg/util/entry_size.go`.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// A container's metadata.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    /// What every entry carries, encoded.
    constant: Vec<u8>,
    constant_bytes: usize,
    trace_id_names: Vec<String>,
}

impl Metadata {
    /// Encodes what every entry carries.
    pub(super) fn new<'a>(constants: impl Iterator<Item = (&'a String, &'a str)>, trace_id_names: Vec<String>) -> Self {
        let (mut constant, mut constant_bytes) = (Vec::new(), 0);
        for (name, value) in constants {
            append_pair(name, value, &mut constant);
            constant_bytes += name.len() + value.len();
        }
        Self { constant, constant_bytes, trace_id_names }
    }

    /// Appends an entry's metadata; gives its size as Loki counts it.
    pub(super) fn append(&self, trace_id: Option<&str>, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(&self.constant);
        let mut bytes = self.constant_bytes;
        if let Some(trace_id) = trace_id {
            for name in &self.trace_id_names {
                append_pair(name, trace_id, out);
                bytes += name.len() + trace_id.len();
            }
        }
        bytes
    }
}

fn append_pair(name: &str, value: &str, out: &mut Vec<u8>) {
    let field_bytes = |text: &str| key_len(1) + encoded_len_varint(text.len() as u64) + text.len();
    encode_key(3, WireType::LengthDelimited, out);
    encode_varint((field_bytes(name) + field_bytes(value)) as u64, out);
    for (tag, text) in [(1, name), (2, value)] {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(text.len() as u64, out);
        out.extend_from_slice(text.as_bytes());
    }
}

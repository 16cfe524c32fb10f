//! Entries and requests in the form that Loki takes: protobuf, then one snappy block.
//!
//! In: time, line and metadata of an entry; later, runs of encoded entries by label set. Out: bytes appended to
//! a buffer of the caller; the snappy block of a request. Never: a second encoding of an entry; a request is a concatenation.
//!
//! Source: Loki 3.5.1 `pkg/push/push.proto`: `PushRequest{streams=1}`, `StreamAdapter{labels=1, entries=2}`,
//! `EntryAdapter{timestamp=1 Timestamp{seconds=1, nanos=2}, line=2, structuredMetadata=3}`.

mod pack;
mod walk;

pub use pack::Packer;
pub use walk::{Entries, EntryPlace, entries};

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use std::mem::MaybeUninit;

/// Bytes that [`entry`] appends.
#[must_use]
pub fn entry_bytes(time_ns: i64, line_bytes: usize, metadata_bytes: usize) -> usize {
    delimited_bytes(body_bytes(Timestamp::new(time_ns).bytes(), line_bytes, metadata_bytes))
}

/// Appends one entry as field 2 of `StreamAdapter`. `line` is UTF-8; `metadata` is encoded already, as
/// `label::ContainerLabels::append_metadata` does it.
pub fn entry(buf: &mut Vec<u8>, time_ns: i64, line: &[u8], metadata: &[u8]) {
    let timestamp = Timestamp::new(time_ns);
    let timestamp_bytes = timestamp.bytes();
    let body_bytes = body_bytes(timestamp_bytes, line.len(), metadata.len());
    buf.reserve(delimited_bytes(body_bytes).max(Head::BYTES_MAX));
    let before = buf.len();
    let mut head = Head { room: buf.spare_capacity_mut(), length: 0 };
    head.delimited(2, body_bytes);
    head.delimited(1, timestamp_bytes);
    timestamp.fields().for_each(|(tag, value)| head.number(tag, value));
    if !line.is_empty() {
        head.delimited(2, line.len());
    }
    let length = before + head.length;
    // SAFETY: the capacity is there, and `Head` has written each byte up to its length.
    unsafe { buf.set_len(length) };
    buf.extend_from_slice(line);
    buf.extend_from_slice(metadata);
}

/// What stands before an entry's line, written byte by byte into room that is there: the buffer would be asked for it at every
/// byte, and a copy from elsewhere would wait for bytes that have just been written one by one.
struct Head<'a> {
    room: &'a mut [MaybeUninit<u8>],
    length: usize,
}

impl Head<'_> {
    /// Three keys with a length and two with a number, each of at most one and ten bytes.
    const BYTES_MAX: usize = 55;

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    /// Bytes beyond the room would be left out; there are none.
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.room.get_mut(self.length) {
            place.write(byte);
            self.length += 1;
        }
    }

    /// Key and length of a field.
    fn delimited(&mut self, tag: u8, bytes: usize) {
        self.byte(tag << 3 | WireType::LengthDelimited as u8);
        self.varint(bytes as u64);
    }

    /// A field.
    fn number(&mut self, tag: u8, value: u64) {
        self.byte(tag << 3 | WireType::Varint as u8);
        self.varint(value);
    }
}

/// Bytes that a label set with its encoded entries takes in a request.
#[must_use]
pub fn stream_bytes(labels_bytes: usize, entries_bytes: usize) -> usize {
    delimited_bytes(delimited_bytes(labels_bytes) + entries_bytes)
}

/// The snappy block of a `PushRequest`. Each part is a label set and runs of encoded entries, any number of entries in each;
/// they are walked twice, once for their length.
///
/// # Errors
/// When the request is larger than 4 GiB.
pub fn push_request<'p, 'a, E>(
    parts: impl IntoIterator<Item = (&'a str, E)> + Clone,
    packer: &'p mut Packer,
) -> Result<&'p [u8], CompressError>
where
    E: Iterator<Item = &'a [u8]> + Clone,
{
    let bytes_of = |runs: &E| runs.clone().map(<[u8]>::len).sum::<usize>();
    let all = parts.clone().into_iter().map(|(labels, runs)| stream_bytes(labels.len(), bytes_of(&runs)));
    packer.begin(all.sum());
    let mut head = Vec::new();
    for (labels, runs) in parts {
        head.clear();
        delimited(1, delimited_bytes(labels.len()) + bytes_of(&runs), &mut head);
        delimited(1, labels.len(), &mut head);
        head.extend_from_slice(labels.as_bytes());
        packer.add(&head)?;
        for run in runs {
            packer.add(run)?;
        }
    }
    packer.finish()
}

/// A request could not be compressed. It was larger than snappy's 4 GiB, which is our mistake; a retry does not help.
#[derive(Debug, thiserror::Error)]
#[error("compressing a request of {bytes} bytes with snappy; please report this")]
pub struct CompressError {
    /// Size of the request.
    pub bytes: usize,
    source: snap::Error,
}

/// `google.protobuf.Timestamp`: seconds rounded down, so that the nanoseconds count up also before 1970.
struct Timestamp {
    seconds: u64,
    nanos: u64,
}

impl Timestamp {
    fn new(time_ns: i64) -> Self {
        let seconds = time_ns.div_euclid(1_000_000_000).cast_unsigned();
        Self { seconds, nanos: time_ns.rem_euclid(1_000_000_000).cast_unsigned() }
    }

    fn fields(&self) -> impl Iterator<Item = (u8, u64)> {
        [(1, self.seconds), (2, self.nanos)].into_iter().filter(|(_, value)| *value != 0)
    }

    fn bytes(&self) -> usize {
        self.fields().map(|(_, value)| key_len(1) + encoded_len_varint(value)).sum()
    }
}

fn body_bytes(timestamp_bytes: usize, line_bytes: usize, metadata_bytes: usize) -> usize {
    let line_bytes = if line_bytes == 0 { 0 } else { delimited_bytes(line_bytes) };
    delimited_bytes(timestamp_bytes) + line_bytes + metadata_bytes
}

/// Bytes of a field of `bytes` bytes with its key and length. Keys here are all one byte.
fn delimited_bytes(bytes: usize) -> usize {
    key_len(1) + encoded_len_varint(bytes as u64) + bytes
}

/// Key and length of a field.
fn delimited(tag: u32, bytes: usize, buf: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, buf);
    encode_varint(bytes as u64, buf);
}

#[cfg(test)]
mod tests;

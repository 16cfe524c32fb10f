//! How large the distributor's message to the ingester would be.
//!
//! In: checked streams. Out: bytes of their protobuf form, with the hash and the detected level that Loki adds, since
//! gRPC's limit counts those. It encodes nothing.
//!
//! Source: Loki 3.5.1 `pkg/push/types.go` (`StreamAdapter`, `EntryAdapter`: hash is field 3, empty fields are left out).

use super::ingester::CheckedStream;
use super::level::DETECTED_LEVEL;
use super::stream::CheckedEntry;

/// Bytes of the message.
pub(crate) fn message_bytes(streams: &[CheckedStream]) -> usize {
    streams.iter().map(|stream| nested(stream_bytes(stream))).sum()
}

fn stream_bytes(stream: &CheckedStream) -> usize {
    let entries: usize = stream.entries.iter().map(|entry| nested(entry_bytes(entry))).sum();
    text(stream.labels.text.len()) + entries + number(stream.labels.hash)
}

fn entry_bytes(entry: &CheckedEntry) -> usize {
    let seconds = entry.time_ns.div_euclid(1_000_000_000).cast_unsigned();
    let nanos = entry.time_ns.rem_euclid(1_000_000_000).cast_unsigned();
    let pair = |name: usize, value: usize| nested(text(name) + text(value));
    let metadata: usize = entry.metadata.iter().map(|sent| pair(sent.name.len(), sent.value.len())).sum();
    let level = entry.level.as_ref().map_or(0, |level| pair(DETECTED_LEVEL.len(), level.len()));
    nested(number(seconds) + number(nanos)) + text(entry.line.len()) + metadata + level
}

fn nested(bytes: usize) -> usize {
    1 + varint(bytes as u64) + bytes
}

fn text(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { nested(bytes) }
}

fn number(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint(value) }
}

fn varint(value: u64) -> usize {
    prost::length_delimiter_len(usize::try_from(value).unwrap_or(usize::MAX))
}

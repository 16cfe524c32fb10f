//! Loki's push messages as prost derives them, so that they check the agent's own hand-written wire form.
//!
//! In: the decompressed protobuf body, or the JSON form of it. Out: streams with their entries. Lines and names are
//! slices of the body (no copy) and are not checked for UTF-8, as Loki does not either.
//! It never looks at what the fields mean.
//!
//! Source: Loki 3.5.1 `pkg/push/push.proto`.

use bytes::Bytes;
use prost::Message;

/// A push: the body of `POST /loki/api/v1/push`.
#[derive(Clone, PartialEq, Message)]
pub struct PushRequest {
    /// One per label set; the same label set may come more than once.
    #[prost(message, repeated, tag = "1")]
    pub streams: Vec<Stream>,
}

/// One label set and its entries.
#[derive(Clone, PartialEq, Message)]
pub struct Stream {
    /// `{a="b", c="d"}` in PromQL syntax.
    #[prost(bytes = "bytes", tag = "1")]
    pub labels: Bytes,
    /// In the order in which they are to be stored.
    #[prost(message, repeated, tag = "2")]
    pub entries: Vec<Entry>,
    /// Unused on the way in; Loki computes its own.
    #[prost(uint64, tag = "3")]
    pub hash: u64,
}

/// One log line with its time.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// `google.protobuf.Timestamp`.
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<Timestamp>,
    /// The line, any bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub line: Bytes,
    /// Per entry, not indexed.
    #[prost(message, repeated, tag = "3")]
    pub structured_metadata: Vec<LabelPair>,
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Timestamp {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A name and its value.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LabelPair {
    /// The name.
    #[prost(bytes = "bytes", tag = "1")]
    pub name: Bytes,
    /// The value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

impl PushRequest {
    /// The body as it goes over the wire: protobuf in one snappy block.
    ///
    /// # Errors
    /// If the message is over 4 GiB, which snappy cannot hold.
    pub fn to_snappy(&self) -> Result<Vec<u8>, snap::Error> {
        snap::raw::Encoder::new().compress_vec(&self.encode_to_vec())
    }
}

impl Entry {
    /// An entry at `time_ns` (nanoseconds since 1970) with these names and values as structured metadata.
    #[must_use]
    pub fn new(time_ns: i64, line: impl Into<Bytes>, structured_metadata: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| LabelPair {
            name: Bytes::copy_from_slice(name.as_bytes()),
            value: Bytes::copy_from_slice(value.as_bytes()),
        };
        Self {
            timestamp: Some(Timestamp::from_ns(time_ns)),
            line: line.into(),
            structured_metadata: structured_metadata.iter().map(pair).collect(),
        }
    }
}

impl Timestamp {
    /// From nanoseconds since 1970.
    #[must_use]
    pub fn from_ns(time_ns: i64) -> Self {
        // The remainder of a division by 1e9 fits.
        let nanos = i32::try_from(time_ns.rem_euclid(1_000_000_000)).unwrap_or(0);
        Self { seconds: time_ns.div_euclid(1_000_000_000), nanos }
    }

    /// Nanoseconds since 1970, wrapping as Go's `UnixNano` does; none if the nanoseconds are out of their range.
    #[must_use]
    pub fn to_ns(self) -> Option<i64> {
        let nanos = i64::from(self.nanos);
        (0..1_000_000_000).contains(&nanos).then(|| self.seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos))
    }
}

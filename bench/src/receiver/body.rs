//! The body of a push, from what came over HTTP to the messages.
//!
//! In: `Content-Type`, `Content-Encoding` and the bytes. Out: the push and its decompressed size, or the text of
//! Loki's 400. Bodies that are not snappy are Loki's word for word; what a broken protobuf or JSON is answered with is
//! in this receiver's words. It never decompresses more than it is told.
//!
//! Source: Loki 3.5.1 `pkg/loghttp/push/push.go` (`ParseLokiRequest`), `pkg/util/http.go` (`ParseProtoReader`),
//! `pkg/loghttp/query.go` (`LogProtoStream.UnmarshalJSON`). `deflate` is raw, without zlib's frame, as in Go's `flate`.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use serde_json::Value;

use super::go_format::quote;
use super::labels::Labels;
use super::wire::{Entry, PushRequest, Stream};

/// The push in a body, and how many bytes it is decompressed.
pub(crate) fn decode(
    content_type: &str,
    content_encoding: &str,
    body: Bytes,
    bytes_max: usize,
) -> Result<(PushRequest, usize), String> {
    let body = match content_encoding {
        "" | "snappy" => body,
        "gzip" => inflate(flate2::read::GzDecoder::new(&*body), bytes_max, "gzip: invalid header")?,
        "deflate" => inflate(flate2::read::DeflateDecoder::new(&*body), bytes_max, "flate: corrupt input")?,
        other => return Err(format!("Content-Encoding {} not supported", quote(other))),
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.split_once('/') {
        None if media_type.is_empty() => Err("mime: no media type".to_owned()),
        Some((_, "")) => Err("mime: expected token after slash".to_owned()),
        _ if media_type == "application/json" => {
            let size = body.len();
            from_json(&body).map(|push| (push, size))
        }
        _ => from_snappy(&body, bytes_max),
    }
}

fn inflate(reader: impl Read, bytes_max: usize, broken: &str) -> Result<Bytes, String> {
    let mut out = Vec::new();
    reader.take(bytes_max as u64 + 1).read_to_end(&mut out).map_err(|_| broken.to_owned())?;
    if out.len() > bytes_max {
        return Err(too_large(out.len(), bytes_max));
    }
    Ok(out.into())
}

fn too_large(bytes: usize, bytes_max: usize) -> String {
    format!("received message larger than max ({bytes} vs {bytes_max})")
}

fn from_snappy(body: &[u8], bytes_max: usize) -> Result<(PushRequest, usize), String> {
    let corrupt = |_| "snappy: corrupt input".to_owned();
    let size = snap::raw::decompress_len(body).map_err(corrupt)?;
    if size > bytes_max {
        return Err(too_large(size, bytes_max));
    }
    let decoded = Bytes::from(snap::raw::Decoder::new().decompress_vec(body).map_err(corrupt)?);
    let push = PushRequest::decode(decoded).map_err(|e| format!("proto: cannot parse the push: {e}"))?;
    let mut times = push.streams.iter().flat_map(|stream| &stream.entries).filter_map(|entry| entry.timestamp);
    if times.any(|time| time.to_ns().is_none()) {
        return Err("timestamp: nanoseconds out of range".to_owned());
    }
    Ok((push, size))
}

#[derive(Deserialize)]
struct JsonPush {
    #[serde(default)]
    streams: Vec<JsonStream>,
}

#[derive(Deserialize)]
struct JsonStream {
    #[serde(default)]
    stream: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Vec<Value>>,
}

fn from_json(body: &[u8]) -> Result<PushRequest, String> {
    let push: JsonPush = serde_json::from_slice(body).map_err(|e| format!("cannot parse the JSON push: {e}"))?;
    let mut streams = Vec::with_capacity(push.streams.len());
    for stream in push.streams {
        let labels = stream.stream.iter().fold(Labels::default(), |labels, (name, value)| labels.with(name, value));
        let entries = stream.values.iter().map(|values| json_entry(values)).collect::<Result<_, _>>()?;
        streams.push(Stream { labels: Bytes::from(labels.to_string()), entries, hash: 0 });
    }
    Ok(PushRequest { streams })
}

fn json_entry(values: &[Value]) -> Result<Entry, String> {
    let time = values.first().and_then(Value::as_str).ok_or("Value is string, but can't find closing '\"' symbol")?;
    let time_ns: i64 =
        time.parse().map_err(|_| format!("Value looks like Number/Boolean/None, but can't parse it: {time}"))?;
    let line = values.get(1).and_then(Value::as_str).ok_or("Value is string, but can't find closing '\"' symbol")?;
    let mut pairs = Vec::new();
    if let Some(metadata) = values.get(2) {
        let metadata = metadata.as_object().ok_or("Value looks like object, but can't find closing '}' symbol")?;
        for (name, value) in metadata {
            pairs.push((name.as_str(), value.as_str().ok_or("structured metadata: a value is not a string")?));
        }
    }
    Ok(Entry::new(time_ns, Bytes::copy_from_slice(line.as_bytes()), &pairs))
}

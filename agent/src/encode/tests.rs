//! What we write is what the derived messages write, and reads back.

use super::{Packer, entries, entry, entry_bytes, push_request, stream_bytes};
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamAdapter {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryAdapter>,
    #[prost(uint64, tag = "3")]
    hash: u64,
}

#[derive(Clone, PartialEq, Message)]
struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    structured_metadata: Vec<LabelPairAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPairAdapter {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn message(time_ns: i64, line: &str, metadata: &[(String, String)]) -> EntryAdapter {
    let seconds = time_ns.div_euclid(1_000_000_000);
    let nanos = i32::try_from(time_ns.rem_euclid(1_000_000_000)).unwrap();
    let pairs = metadata.iter().map(|(name, value)| LabelPairAdapter { name: name.clone(), value: value.clone() });
    EntryAdapter {
        timestamp: Some(Timestamp { seconds, nanos }),
        line: line.to_owned(),
        structured_metadata: pairs.collect(),
    }
}

/// An entry of a stream, by the derived code: its metadata alone, and the whole as field 2.
fn derived(entry: &EntryAdapter) -> (Vec<u8>, Vec<u8>) {
    let bare = EntryAdapter { timestamp: None, line: String::new(), ..entry.clone() };
    let stream = StreamAdapter { labels: String::new(), entries: vec![entry.clone()], hash: 0 };
    (bare.encode_to_vec(), stream.encode_to_vec())
}

#[test]
fn times_at_and_before_the_epoch_are_written() {
    for time_ns in [0, 1, -1, 999_999_999, 1_000_000_000, -1_000_000_000, i64::MIN, i64::MAX] {
        let (_, expected) = derived(&message(time_ns, "x", &[]));
        let mut found = Vec::new();
        entry(&mut found, time_ns, b"x", &[]);
        assert_eq!(found, expected, "{time_ns}");
        assert_eq!(entries(&found).map(|place| place.time_ns).collect::<Vec<_>>(), [time_ns]);
    }
}

#[test]
fn a_request_is_readable_after_snappy() {
    let mut run = Vec::new();
    entry(&mut run, 5, b"hello", &[]);
    let mut packer = Packer::default();
    let block = push_request([("{a=\"b\"}", std::iter::once(&run[..]))], &mut packer).unwrap();
    let body = snap::raw::Decoder::new().decompress_vec(block).unwrap();
    let found = PushRequest::decode(&body[..]).unwrap();
    let entries = vec![message(5, "hello", &[])];
    assert_eq!(found.streams, [StreamAdapter { labels: "{a=\"b\"}".to_owned(), entries, hash: 0 }]);
}

fn any_entry() -> impl Strategy<Value = EntryAdapter> {
    let metadata = proptest::collection::vec(("[a-z]{1,8}", ".{1,200}"), 0..4);
    (any::<i64>(), prop_oneof!["", ".{0,40}", ".{100,400}"], metadata)
        .prop_map(|(time_ns, line, metadata)| message(time_ns, &line, &metadata))
}

fn time_of(entry: &EntryAdapter) -> i64 {
    let timestamp = entry.timestamp.clone().unwrap_or_default();
    i64::try_from(i128::from(timestamp.seconds) * 1_000_000_000 + i128::from(timestamp.nanos)).unwrap()
}

proptest! {
    #[test]
    fn entries_are_what_the_derived_code_writes_and_walk_back(messages in proptest::collection::vec(any_entry(), 0..6)) {
        let mut run = Vec::new();
        for message in &messages {
            let (metadata, expected) = derived(message);
            let start = run.len();
            entry(&mut run, time_of(message), message.line.as_bytes(), &metadata);
            prop_assert_eq!(&run[start..], expected);
            prop_assert_eq!(run.len() - start, entry_bytes(time_of(message), message.line.len(), metadata.len()));
        }
        let places: Vec<_> = entries(&run).collect();
        prop_assert_eq!(places.len(), messages.len());
        let mut end = 0;
        for (place, message) in places.into_iter().zip(&messages) {
            let (metadata, expected) = derived(message);
            prop_assert_eq!(place.range.start, end);
            end = place.range.end;
            prop_assert_eq!(&run[place.range], expected);
            prop_assert_eq!(place.time_ns, time_of(message));
            prop_assert_eq!(&run[place.line], message.line.as_bytes());
            prop_assert_eq!(&run[place.metadata], metadata);
        }
        prop_assert_eq!(end, run.len());
    }

    #[test]
    fn a_request_is_what_the_derived_code_writes(
        streams in proptest::collection::vec((".{1,200}", proptest::collection::vec(any_entry(), 0..4)), 0..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let streams: Vec<_> = streams.into_iter().map(|(labels, entries)| StreamAdapter { labels, entries, hash: 0 }).collect();
        // Each stream's entries in two runs.
        let runs: Vec<[Vec<u8>; 2]> = streams.iter().map(|stream| {
            let encoded: Vec<_> = stream.entries.iter().map(|message| derived(message).1).collect();
            let (first, second) = encoded.split_at(cut.index(encoded.len() + 1));
            [first.concat(), second.concat()]
        }).collect();
        let parts = streams.iter().zip(&runs).map(|(stream, runs)| (stream.labels.as_str(), runs.iter().map(Vec::as_slice)));
        let mut packer = Packer::default();
        let block = push_request(parts, &mut packer).unwrap();
        let found = snap::raw::Decoder::new().decompress_vec(block).unwrap();
        let bytes = streams.iter().zip(&runs).map(|(stream, runs)| stream_bytes(stream.labels.len(), runs.concat().len()));
        prop_assert_eq!(found.len(), bytes.sum::<usize>());
        prop_assert_eq!(found, PushRequest { streams }.encode_to_vec());
    }

    #[test]
    fn a_request_in_pieces_is_packed_as_the_whole(
        lengths in proptest::collection::vec(prop_oneof![0..300usize, 60_000..70_000usize, 0..300_000usize], 0..8),
        seed in any::<u64>(), kinds in 1..=256u16,
    ) {
        // From all the same byte to bytes that cannot be compressed, with one packer for two requests.
        let mut random = fastrand::Rng::with_seed(seed);
        let mut packer = Packer::default();
        for _ in 0..2 {
            let mut piece = |length: &usize| (0..*length).map(|_| random.u16(0..kinds) as u8).collect::<Vec<_>>();
            let pieces: Vec<_> = lengths.iter().map(&mut piece).collect();
            let whole = snap::raw::Encoder::new().compress_vec(&pieces.concat()).unwrap();
            packer.begin(pieces.iter().map(Vec::len).sum());
            pieces.iter().for_each(|piece| packer.add(piece).unwrap());
            prop_assert!(packer.finish().unwrap() == whole);
        }
    }

    #[test]
    fn walking_other_bytes_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let end = entries(&bytes).last().map_or(0, |place| place.range.end);
        prop_assert!(end <= bytes.len());
    }
}

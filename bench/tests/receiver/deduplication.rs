//! What comes twice: no kinder than Loki.

use std::sync::atomic::Ordering;

use penstock_bench::receiver::wire::Entry;

use crate::client::{NOW, S, entry, push, query, start, stream};

#[tokio::test]
async fn the_same_entry_is_stored_once_whatever_its_structured_metadata_and_counted_as_received_twice() {
    let (receiver, _) = start(|_| {}).await;
    let with = |value: &str| stream(r#"{a="b"}"#, vec![Entry::new(NOW, "x", &[("pod", value)])]);
    push(&receiver, vec![with("1"), stream(r#"{a="b"}"#, vec![entry(NOW, "other")]), with("2")]).await;
    let entries = receiver.entries(r#"{a="b"}"#).unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].structured_metadata, [("pod".to_owned(), "1".to_owned())]);
    let stats = receiver.stats();
    assert_eq!((stats.entries_received_twice, stats.entries_deduplicated), (1, 1));
}

#[tokio::test]
async fn after_the_head_block_the_same_entry_is_stored_again_and_read_once() {
    let (receiver, _) = start(|_| {}).await;
    let one = || vec![stream(r#"{a="b"}"#, vec![entry(NOW, "x")])];
    push(&receiver, one()).await;
    push(&receiver, vec![stream(r#"{a="b"}"#, vec![entry(NOW + 1, "y".repeat(262_144))])]).await;
    push(&receiver, one()).await;
    assert_eq!(receiver.entries(r#"{a="b"} |= "x""#).unwrap().len(), 2);
    assert_eq!(query(&receiver, r#"{a="b"} |= "x""#, "").await[0].1.len(), 1);
    assert_eq!(receiver.stats().entries_received_twice, 1);
}

#[tokio::test]
async fn a_resend_of_a_sharded_stream_stays_twice_and_without_sharding_does_not() {
    for (sharding, times) in [(true, 2), (false, 1)] {
        let (receiver, now) = start(|config| config.sharding = sharding).await;
        let fast = (0..30).map(|i| entry(NOW + i, "x".repeat(100_000))).collect();
        push(&receiver, vec![stream(r#"{a="b"}"#, fast)]).await;
        now.fetch_add(S, Ordering::Relaxed);
        for _ in 0..2 {
            assert_eq!(push(&receiver, vec![stream(r#"{a="b"}"#, vec![entry(NOW + S, "once")])]).await.status, 204);
        }
        let read: usize =
            query(&receiver, r#"{a="b"} |= "once""#, "").await.iter().map(|(_, values)| values.len()).sum();
        assert_eq!(read, times, "sharding {sharding}");
        let shards = receiver.entries(r#"{__stream_shard__!=""}"#).unwrap().len();
        assert_eq!(shards, if sharding { 2 } else { 0 });
        assert_eq!(receiver.stats().entries_received_twice, 1);
    }
}

#[tokio::test]
async fn without_keeping_entries_they_are_counted_all_the_same() {
    let (receiver, _) = start(|config| config.keep_entries = false).await;
    for _ in 0..2 {
        let two = vec![entry(NOW, "x"), Entry::new(NOW, "yy", &[("pod", "p")])];
        push(&receiver, vec![stream(r#"{a="b"}"#, two)]).await;
    }
    let stats = receiver.stats();
    assert_eq!((stats.entries_stored, stats.entries_received_twice, stats.entries_deduplicated), (2, 2, 2));
    assert_eq!((stats.line_bytes_stored, stats.structured_metadata_bytes_stored), (3, 4));
    assert!(receiver.entries("{}").unwrap().is_empty());
}

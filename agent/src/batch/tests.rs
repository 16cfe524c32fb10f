//! What goes into a request.

use super::*;
use crate::types::position::{Mark, StreamKey};

fn entry(line: &[u8]) -> OpenEntry<'_> {
    OpenEntry {
        alone_ns: Some(1),
        line,
        time_ns: 1,
        sent_at_ns: None,
        metadata: &[],
        metadata_counted_bytes: 0,
        written_ns: 1,
        stream: StreamKey(0),
        place: open::Place::File(Mark::default()),
    }
}

fn append(batch: &mut Batch, text: &str, line: &[u8]) {
    let id = batch.label_set(text);
    batch.append(id, &entry(line)).unwrap();
}

/// Rule: a request stays below its limit with the text of its label sets, of which there may be more than of lines.
#[test]
fn the_text_of_label_sets_counts() {
    let mut batch = Batch::new(1 << 20, Shard::WHOLE);
    let texts: Vec<String> = (0..200).map(|n| format!("{{a=\"{n:0>20000}\"}}")).collect();
    texts.iter().for_each(|text| append(&mut batch, text, b"short"));
    let mut taken = 0;
    while batch.waiting_bytes() > 0 {
        let parts = batch.take(1 << 20, 0, &|_| false);
        let bytes: usize = parts.iter().map(|part| batch.text(part.label_set).len() + part.entries.len()).sum();
        assert!(bytes <= 1 << 20 && !parts.is_empty(), "{bytes}");
        taken += parts.len();
    }
    assert_eq!(taken, 200);
}

/// Rule: one that is over the limit by itself goes all the same.
#[test]
fn what_is_over_the_limit_by_itself_goes_alone() {
    let mut batch = Batch::new(100, Shard::WHOLE);
    append(&mut batch, &format!("{{a=\"{}\"}}", "x".repeat(500)), b"first");
    append(&mut batch, "{a=\"y\"}", b"second");
    assert_eq!(batch.take(100, 0, &|_| false).len(), 1);
    assert_eq!(batch.take(100, 0, &|_| false).len(), 1);
    assert!(batch.take(100, 0, &|_| false).is_empty());
}

/// Rule: what waits has not gone out, but for what had gone out before the restart: others must not get its time.
#[test]
fn the_journal_has_the_fingerprints_of_what_waits_to_be_sent_again() {
    let mut batch = Batch::new(100, Shard::WHOLE);
    append(&mut batch, "{a=\"y\"}", b"new");
    let count = |batch: &Batch| batch.fingerprints().map(|(_, fingerprints)| fingerprints.len()).sum::<usize>();
    assert_eq!(count(&batch), 0);
    let again = OpenEntry { sent_at_ns: Some(1), ..entry(b"again") };
    let id = batch.label_set("{a=\"y\"}");
    batch.append(id, &again).unwrap();
    assert_eq!(count(&batch), 1);
    batch.take(100, 0, &|_| false);
    assert_eq!(count(&batch), 2);
}

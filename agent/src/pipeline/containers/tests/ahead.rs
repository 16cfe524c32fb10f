//! What becomes of lines that went out without their file: what is counted when their container is let go, and what the
//! journal says of them.

use super::{Node, pod};
use crate::batch::open::{OpenEntry, Place};
use crate::checkpoint::journal;
use crate::handover::fingerprint::Fingerprint;
use crate::handover::pending::Sent;
use crate::handover::window::{Seen, Window};
use crate::pipeline::containers::Moved;
use crate::sources::file::disk::Disk;
use crate::sources::file::identity::identify;
use crate::sources::file::os::OsDisk;
use crate::types::part::{LabelSetId, PartId};
use crate::types::pod::Pod;
use crate::types::position::{FilePosition, StdStream, StreamKey};
use crate::types::saved::WentAhead;
use std::time::Duration;

fn sent(print: Fingerprint, label_set: LabelSetId, part: PartId) -> Sent {
    Sent { print, read_ns: 0, position: 6, is_placed: false, time_ns: 7, label_set, part }
}

/// Rule: what went out without its file and was not shown by it is counted, also where nobody looks at the file any more.
#[test]
fn lines_that_wait_for_their_file_count_as_not_confirmed() {
    let mut node = Node::new();
    node.write("a", "0.log", "first");
    node.pods(Some(pod()));
    node.run(3);
    let print = Fingerprint { bytes: 6, hash: 1 };
    let mut window = Window::default();
    window.push(Seen { print, read_ns: 0, written_ns: None }, b"second", 1_000);
    let ready = node.pipeline.containers.values_mut().find_map(|container| container.ready.as_mut()).unwrap();
    let handover = &mut ready.streams[0].handover;
    assert!(handover.go_alone(&mut window, true, i64::MAX, Duration::from_secs(60)));
    handover.shipped(sent(print, LabelSetId(0), PartId(0)));
    node.pods(Some(Pod { collect: false, ..pod() }));
    node.run(1);
    assert_eq!(node.pipeline.containers.len(), 0);
    assert_eq!(node.metrics.unconfirmed_lines.get(), 1);
}

/// Rule: what waits has not gone out. After a crash others may have its times: its fingerprints are not in the journal either.
#[test]
fn a_journal_begun_anew_leaves_out_what_waits() {
    let mut node = Node::new();
    node.write("a", "0.log", "first");
    node.pods(Some(pod()));
    node.run(3);
    let label_set = node.pipeline.label_set_id("{a=\"b\"}");
    let print = Fingerprint { bytes: 6, hash: 1 };
    let entry = OpenEntry {
        line: b"second",
        time_ns: 7,
        alone_ns: Some(7),
        sent_at_ns: None,
        metadata: &[],
        metadata_counted_bytes: 0,
        written_ns: 7,
        stream: StreamKey(0),
        place: Place::Ahead { position: 6, hash: print.hash },
    };
    let part = node.pipeline.batch.append(label_set, &entry).unwrap().part;
    let ready = node.pipeline.containers.values_mut().find_map(|container| container.ready.as_mut()).unwrap();
    ready.streams[0].confirmed.push_back(sent(print, label_set, part));
    ready.streams[0].moved.push(Moved { at: FilePosition::default(), time_ns: 7, label_set, part });
    let said = |node: &Node| journal::recover(&node.pipeline.journal_so_far(node.now(0)));
    assert_eq!((said(&node).ahead.len(), said(&node).moved.len()), (0, 0));
    node.pipeline.batch.take(1_000, 0, &|_| false);
    let line = WentAhead { hash: 1, time_ns: 7, labels: journal::label_set_hash("{a=\"b\"}") };
    assert_eq!(said(&node).ahead.into_values().collect::<Vec<_>>(), [line]);
    assert_eq!(said(&node).moved.into_values().collect::<Vec<_>>(), [7]);
}

/// Rule: a line keeps the time with which it went out in the same label set. In another one that may be another line's.
#[test]
fn a_time_from_before_a_restart_counts_for_its_labels_alone() {
    for (container, resent) in [("a", 1), ("b", 0)] {
        let mut node = Node::with("labels: {container: container.name}");
        let instance = journal::instance_hash("ns_p_uid/a", 0);
        let hash = xxhash_rust::xxh3::xxh3_64(b"first");
        let labels = journal::label_set_hash(&format!("{{container=\"{container}\"}}"));
        let line = WentAhead { hash, time_ns: 7, labels };
        node.pipeline.recovered.ahead.insert((instance, StdStream::Stdout, 0), line);
        node.write("a", "0.log", "first");
        node.pods(Some(Pod { json: false, ..pod() }));
        node.run(3);
        assert!(node.has("{container=\"a\"}") && node.has("first"));
        assert_eq!(node.metrics.resent_entries.get(), resent, "{container}");
    }
}

/// Rule: where a line went out ahead under other labels, that lines before and after it went out under these says nothing.
#[test]
fn a_line_between_others_that_went_out_may_not_have() {
    for (went_ahead, resent) in [(false, 3), (true, 2)] {
        let mut node = Node::with("labels: {container: container.name}");
        let lines = ["first", "second", "third"].map(|text| node.write("a", "0.log", text));
        let mut file = OsDisk::new(node.folder.path(), &[]).unwrap().open(&node.path("a", "0.log"), false).unwrap();
        let id = identify("ns_p_uid/a", 0, &mut file).unwrap().unwrap();
        let labels = journal::label_set_hash("{container=\"a\"}");
        node.pipeline.recovered.sent.insert((id, StdStream::Stdout, labels), vec![0..=lines[0] + lines[1]]);
        if went_ahead {
            let instance = journal::instance_hash("ns_p_uid/a", 0);
            let line = WentAhead { hash: xxhash_rust::xxh3::xxh3_64(b"second"), time_ns: 7, labels: 1 };
            node.pipeline.recovered.ahead.insert((instance, StdStream::Stdout, 6), line);
        }
        node.pods(Some(Pod { json: false, ..pod() }));
        node.run(3);
        assert!(node.has("third"));
        assert_eq!(node.metrics.resent_entries.get(), resent, "{went_ahead}");
    }
}

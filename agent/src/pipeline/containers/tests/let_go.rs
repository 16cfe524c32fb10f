//! What becomes of lines that went out without their file: what is counted when their container is let go, and what the
//! journal says of them.

use super::{Node, pod};
use crate::batch::open::{OpenEntry, Place};
use crate::checkpoint::journal;
use crate::handover::fingerprint::Fingerprint;
use crate::handover::pending::Sent;
use crate::handover::window::{Seen, Window};
use crate::types::part::PartId;
use crate::types::pod::Pod;
use crate::types::position::StreamKey;
use std::time::Duration;

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
    handover.shipped(Sent { print, read_ns: 0, position: 6, is_placed: false, time_ns: 0, part: PartId(0) });
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
    ready.streams[0].confirmed.push_back((6, print.hash, 7, Some(part)));
    let ahead = |node: &Node| journal::recover(&node.pipeline.journal_so_far(node.now(0))).ahead.len();
    assert_eq!(ahead(&node), 0);
    node.pipeline.batch.take(1_000, 0, &|_| false);
    assert_eq!(ahead(&node), 1);
}

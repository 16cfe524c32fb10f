//! What is still counted of a container when it is let go.

use super::{Node, pod};
use crate::handover::fingerprint::Fingerprint;
use crate::handover::pending::Sent;
use crate::handover::window::{Seen, Window};
use crate::types::part::PartId;
use crate::types::pod::Pod;
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

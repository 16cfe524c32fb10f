//! Containers of one label set, of which one is hours behind.

use super::{Node, START_NS, pod};
use std::time::Duration;

const HOUR_NS: i64 = 3_600_000_000_000;

/// Rule: nothing goes out that is so new that Loki would refuse what another container of the label set has still to read, also not
/// what the kernel saw.
#[test]
fn a_captured_line_waits_for_others_of_its_label_set() {
    let mut node = Node::new();
    node.write("new", "0.log", "x");
    node.write("old", "0.log", "x");
    node.pods(Some(pod()));
    node.run(2);
    let now = node.now(0);
    let of = |node: &Node, name: &str| {
        *node.pipeline.containers.iter().find(|(_, container)| container.name == name).unwrap().0
    };
    let (new, old) = (of(&node, "new"), of(&node, "old"));
    // As in the capture: the container's state is taken out while its line is.
    let ready = node.pipeline.containers.get_mut(&new).unwrap().ready.take().unwrap();
    let may_go = |node: &mut Node, next_ns: Option<i64>| {
        node.pipeline.containers.get_mut(&old).unwrap().ready.as_mut().unwrap().next_ns = next_ns;
        node.pipeline.tell_behind(old, now);
        node.pipeline.may_ship_captured(new, &ready, now.wall_ns, now)
    };
    assert!(may_go(&mut node, None), "it has nothing to read");
    assert!(!may_go(&mut node, Some(START_NS - HOUR_NS)));
    assert!(may_go(&mut node, Some(START_NS)));
    assert!(!may_go(&mut node, Some(START_NS - HOUR_NS)), "what was sure is so no more");
    let later = crate::types::time::Now { mono: now.mono + Duration::from_secs(61), ..now };
    assert!(
        node.pipeline.may_ship_captured(new, &ready, now.wall_ns, later),
        "who makes no progress is not waited for"
    );
}

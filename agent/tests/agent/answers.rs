//! What Loki answers, and what becomes of the lines: faults of the receiver, one after the other.
//!
//! In each: nothing is lost, what is refused is counted as the receiver counts it, and it goes on afterwards.

use super::world::{World, append, line};
use penstock_bench::receiver::{Fault, Times};

#[test]
fn trouble_passes_and_nothing_is_lost() {
    super::together(&[
        ("500", || passes(Fault::Status(500), 500)),
        ("408", || passes(Fault::Status(408), 408)),
        ("reset", || passes(Fault::Reset, 0)),
        ("stored, then reset", || passes(Fault::StoreThenReset, 0)),
        ("stored, then 500", || passes(Fault::StoreThen500, 500)),
        ("tenant 429", || passes(Fault::TooMany, 429)),
        ("Retry-After", retry_after_is_honoured),
        ("poison", the_poisoned_request_is_taken_apart),
        ("not understood", what_is_not_understood_is_split_and_counted),
    ]);
}

#[test]
fn what_only_an_operator_can_mend_is_held_and_loud() {
    super::together(&[
        ("401", || holds(Fault::Unauthorized401, 401, "loki.tenant")),
        ("403", || holds(Fault::Status(403), 403, "may not push")),
        ("404", || holds(Fault::Status(404), 404, "loki.url")),
        ("260", || holds(Fault::Blocked260, 260, "blocked this tenant")),
        ("refused", loki_away),
        ("one of many", one_is_held_and_the_others_flow),
        ("a new token", a_new_token_ends_the_wait),
    ]);
}

/// Lines that are there before the agent starts travel in one request.
fn world(pods: &[&str]) -> World {
    let mut world = World::new();
    for name in pods {
        let pod = world.pod(name, &[]);
        world.write(pod, name, 4);
    }
    world
}

/// All lines of these pods are stored once, and later ones too; the answers are counted as they were given.
fn all_arrive(world: &mut World, pods: &[&str]) {
    world.until_lines(4 * pods.len());
    let more = world.write(0, "more", 3);
    world.until("what comes later", || world.lines().ends_with(&more));
    let mut expected: Vec<_> = pods.iter().flat_map(|name| (0..4).map(move |n| format!("{name}-{n}"))).collect();
    expected.extend(more);
    let mut found = world.lines();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for (status, count) in world.receiver.stats().requests_by_status {
        world.until_metric(&format!("push_requests_total{{code=\"{status}\"}}"), count as f64);
    }
    assert!(world.stop().0.success());
}

fn passes(fault: Fault, code: u16) {
    let mut world = world(&["a", "b"]);
    world.receiver.set_fault_for(fault, Times::Next(2));
    world.start();
    world.until_metric(&format!("push_requests_total{{code=\"{code}\"}}"), 2.0);
    all_arrive(&mut world, &["a", "b"]);
    let stats = world.receiver.stats();
    let is_stored_first = matches!(fault, Fault::StoreThenReset | Fault::StoreThen500);
    // Three copies of each of the eight, the same bytes.
    assert_eq!(stats.entries_received_twice, if is_stored_first { 16 } else { 0 });
    assert_eq!(stats.requests_by_status.get(&code), Some(&2));
}

fn retry_after_is_honoured() {
    let mut world = world(&["a"]);
    world.receiver.set_fault_for(Fault::RetryAfter(2), Times::Next(1));
    world.start();
    world.until("a try", || world.receiver.stats().requests == 1);
    let tried_ns = penstock_bench::clock::wall_ns();
    all_arrive(&mut world, &["a"]);
    let waited = world.entries()[0].received_ns - tried_ns;
    assert!(waited > 1_900_000_000, "{waited} ns");
}

fn the_poisoned_request_is_taken_apart() {
    let mut world = world(&["a", "b", "c"]);
    world.receiver.set_fault(Some(Fault::Poison(500, "b-2")));
    let other = world.pod("other", &[]);
    world.start();
    world.until_metric("push_requests_total{code=\"500\"}", 1.0);
    let mut others = 0;
    let lines = |world: &World| world.lines().into_iter().filter(|line| !line.starts_with("other")).count();
    world.until("the others of its request pass", || {
        // The request is to blame only where others pass meanwhile.
        if world.lines().iter().filter(|line| line.starts_with("other")).count() == others {
            append(&world.logs(other).join("0.log"), line(format!("other-{others}")));
            others += 1;
        }
        lines(&world) >= 8
    });
    world.until_metric("held_label_sets", 1.0);
    world.receiver.set_fault(None);
    world.until("the poisoned ones too", || lines(&world) == 12);
    let of = |name: &str| world.lines().into_iter().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
    assert_eq!(of("b"), ["b-0", "b-1", "b-2", "b-3"], "in their order");
    assert!(world.stop().0.success());
}

fn what_is_not_understood_is_split_and_counted() {
    let mut world = world(&["a", "b"]);
    world.receiver.set_fault(Some(Fault::Poison(400, "b-2")));
    world.start();
    let found = world.until_lines(7);
    assert!(!found.contains(&"b-2".to_owned()));
    world.until_metric("refused_entries_total{reason=\"not_understood\"}", 1.0);
    world.until_metric("dropped_bytes_total{reason=\"not_understood\"}", 3.0);
    world.until_said("an entry of {app=\"b\"");
    let later = world.write(1, "later", 2);
    assert_eq!(world.until_lines(9)[7..], later);
    assert_eq!(world.metric("refused_entries_total{reason=\"not_understood\"}"), 1.0);
    assert!(world.stop().0.success());
}

fn holds(fault: Fault, code: u16, remedy: &str) {
    let mut world = world(&["a"]);
    world.receiver.set_fault(Some(fault));
    world.start();
    world.until_metric(&format!("push_requests_total{{code=\"{code}\"}}"), 1.0);
    world.until("/readyz tells", || world.get("/readyz").1.contains(remedy));
    assert_eq!(world.get("/readyz").0, 200, "a roll-out that mends it must not stall");
    world.until_said(remedy);
    world.receiver.set_fault(None);
    all_arrive(&mut world, &["a"]);
}

fn loki_away() {
    let mut world = world(&["a"]);
    world.receiver.set_fault(Some(Fault::Refuse));
    world.until("the listener is closed", || std::net::TcpStream::connect(world.receiver.addr()).is_err());
    world.start();
    world.until_metric("push_requests_total{code=\"0\"}", 4.0);
    world.until("/readyz tells", || world.get("/readyz").1.contains("delivery is in trouble"));
    // Said once a minute, not at each try.
    assert_eq!(world.words().matches("cannot deliver to Loki").count(), 1);
    world.receiver.set_fault(None);
    world.until_lines(4);
    world.until("/readyz is well again", || world.get("/readyz").1.trim() == "ready");
    world.until_said("delivery to Loki is well again");
    assert!(world.stop().0.success());
}

/// One label set is refused for good: the others wait for its first pause at most.
fn one_is_held_and_the_others_flow() {
    let mut world = World::new();
    let (bad, good) = (world.pod("bad", &[]), world.pod("good", &[]));
    world.receiver.set_fault(Some(Fault::Poison(403, "bad-0")));
    world.write(good, "early", 1);
    world.start();
    world.until_lines(1);
    world.write(bad, "bad", 1);
    world.until_metric("push_requests_total{code=\"403\"}", 1.0);
    for round in 0..40 {
        let written = world.write(good, &format!("good-{round}"), 1);
        let begun = penstock_bench::clock::monotonic();
        world.until("a line of the other", || world.lines().ends_with(&written));
        let waited = penstock_bench::clock::monotonic() - begun;
        assert!(round == 0 || waited.as_secs() < 2, "{waited:?} in round {round}");
    }
    world.receiver.set_fault(None);
    world.until_lines(42);
    assert!(world.stop().0.success());
}

/// A changed token is tried at once, not after the pause.
fn a_new_token_ends_the_wait() {
    let mut world = world(&["a"]);
    let token = world.path("token");
    std::fs::write(&token, "old").unwrap();
    world.loki = format!("  bearer_token_file: {}\n", token.display());
    world.receiver.set_fault(Some(Fault::Unauthorized401));
    world.start();
    // The third pause is at least ten seconds.
    world.until_metric("push_requests_total{code=\"401\"}", 3.0);
    world.receiver.set_fault(None);
    std::fs::write(&token, "the new one").unwrap();
    let begun = penstock_bench::clock::monotonic();
    world.until_lines(4);
    let waited = penstock_bench::clock::monotonic() - begun;
    assert!(waited.as_secs() < 5, "{waited:?}");
    assert!(world.stop().0.success());
}

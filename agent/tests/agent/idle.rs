//! What the agent costs while there is nothing to do.

use super::world::World;
use penstock_bench::receiver::Fault;
use std::time::Duration;

#[test]
fn nothing_to_do_costs_nothing() {
    super::together(&[("idle files", idle_files), ("Loki stalls", loki_stalls)]);
}

/// 250 files that do not grow.
fn idle_files() {
    let mut world = World::new();
    for n in 0..250 {
        let pod = world.pod(&format!("p{n}"), &[]);
        world.write(pod, &format!("p{n}"), 1);
    }
    world.start();
    world.until_lines(250);
    measure(&world, "250 idle files", Duration::from_secs(10));
    assert!(world.stop().0.success());
}

/// A request without an answer, and more lines of its label set that wait for it.
fn loki_stalls() {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    world.receiver.set_fault(Some(Fault::Stall));
    world.write(pod, "first", 1);
    world.start();
    world.until("a request is under way", || world.receiver.stats().requests == 1);
    world.write(pod, "second", 100);
    world.until_metric("lines_total{source=\"file\"}", 101.0);
    measure(&world, "a stalled Loki", Duration::from_secs(10));
}

fn measure(world: &World, what: &str, time: Duration) {
    // What a start leaves to be done is done a few seconds later.
    std::thread::sleep(Duration::from_secs(4));
    let before = world.agent().cpu().unwrap();
    std::thread::sleep(time);
    let used = world.agent().cpu().unwrap() - before;
    let percent = used.as_secs_f64() / time.as_secs_f64() * 100.0;
    println!("{what}: {used:?} of processor in {time:?}, {percent:.2} % of a core (debug build)");
    assert!(percent < 1.0, "{what}: {percent:.2} %");
}

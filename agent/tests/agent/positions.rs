//! Saved positions that are torn, foreign or old, and `start_at: end`.

use super::world::World;
use std::fs;

#[test]
fn a_start_is_safe_whatever_is_in_data_dir() {
    super::together(&[
        ("torn", || spoiled(|bytes| bytes[..bytes.len() - 3].to_vec(), "damaged", false)),
        ("foreign", || spoiled(|_| b"[agent]\nname = x\n".to_vec(), "not a file of saved positions", false)),
        ("empty", || spoiled(|_| Vec::new(), "not a file of saved positions", false)),
        ("newer version", || spoiled(|_| b"penstock positions 2\n00000000".to_vec(), "another version", false)),
        ("both torn", || spoiled(|bytes| bytes[..bytes.len() - 3].to_vec(), "read from their beginning", true)),
        ("start_at: end", start_at_end),
    ]);
}

/// With the sure copy whole nothing comes twice; without it everything does, byte for byte, and nothing is lost.
fn spoiled(spoil: fn(&[u8]) -> Vec<u8>, message: &str, both: bool) {
    let mut world = World::new();
    let pod = world.pod("a", &[]);
    let mut expected = world.write(pod, "a", 5);
    world.start();
    world.until_lines(5);
    assert!(world.stop().0.success());
    let names: &[&str] = if both { &["positions", "positions.synced"] } else { &["positions"] };
    for name in names {
        let path = world.settings.data_dir.join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, spoil(&bytes)).unwrap();
    }
    expected.extend(world.write(pod, "b", 5));
    world.start();
    assert_eq!(world.until_lines(10), expected, "what comes twice is the same and is stored once");
    world.until_said(message);
    assert!(world.words().contains("set aside as .damaged"), "{}", world.words());
    assert_eq!(world.receiver.stats().entries_received_twice, if both { 5 } else { 0 });
    assert!(world.stop().0.success());
}

/// Only what existed at the very first start is skipped.
fn start_at_end() {
    let mut world = World::new();
    world.settings.more = "start_at: end\n".into();
    let pod = world.pod("a", &[]);
    world.write(pod, "old", 3);
    world.start();
    world.until("the pod is known", || world.get("/streams").1.contains("\"file\""));
    let mut expected = world.write(pod, "new", 2);
    assert_eq!(world.until_lines(2), expected);
    assert!(world.stop().0.success());
    let late = world.pod("late", &[]);
    expected.extend(world.write(late, "while-away", 2));
    world.start();
    assert_eq!(world.until_lines(4), expected, "a later start skips nothing");
    assert!(world.stop().0.success());
}

//! The agent's program against the receiver: what CONTRACT.md promises, seen from outside.
//!
//! Most of the time is spent waiting, so each test plays several scenarios at once; `world` is what they share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod bytes;
mod containers;
mod copies;
mod golden;
mod idle;
mod life;
mod loki_limits;
mod odd_files;
mod positions;
mod restarts;
mod settings;
mod threads;
mod world;

/// Plays scenarios at the same time. What one of them says stands under its name.
fn together(scenarios: &[(&str, fn())]) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let running: Vec<_> = scenarios
            .iter()
            .map(|(name, play)| {
                let thread = std::thread::Builder::new().name((*name).to_owned());
                (*name, thread.spawn_scoped(scope, play).unwrap())
            })
            .collect();
        running.into_iter().filter_map(|(name, thread)| thread.join().is_err().then_some(name)).collect()
    });
    assert!(failed.is_empty(), "these did not hold: {}", failed.join("; "));
}

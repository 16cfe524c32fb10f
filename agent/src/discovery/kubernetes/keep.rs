//! Reads and writes the file of known pods beside the other work.
//!
//! In: what to keep, latest wins. Out: the file, at most once in an interval and once at the end. Never: a
//! second write while one is under way.

use crate::clock::Clock;
use crate::discovery::book::Known;
use crate::discovery::{known, stopped};
use crate::repeat::Repeats;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// What the last run knew; trouble with the file is logged.
pub(super) async fn load(path: PathBuf, node_name: String) -> Option<Known> {
    match spawn_blocking(move || known::load(&path, &node_name)).await.ok()? {
        Ok(Some(known)) => {
            tracing::info!(pods = known.pods.len(), "pods remembered from the last run, until the API answers");
            Some(known)
        }
        Ok(None) => None,
        Err(error) => {
            tracing::warn!("{error}; going on without the pods of the last run");
            None
        }
    }
}

/// Writes what comes. Ends when the sender is gone and the last of it is written.
pub(super) async fn run(
    path: PathBuf,
    mut latest: watch::Receiver<Arc<Known>>,
    interval: Duration,
    clock: Clock,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut repeats = Repeats::default();
    while latest.changed().await.is_ok() {
        let known = Arc::clone(&latest.borrow_and_update());
        let path = path.clone();
        if let Ok(Err(error)) = spawn_blocking(move || known::save(&path, &known)).await
            && let Some(suppressed) = repeats.report("save", clock.now().mono)
        {
            tracing::warn!(suppressed, "{error}");
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stopped(&mut shutdown) => {}
        }
    }
}

//! The thread that writes the positions, so that a slow disk does not hold up the data thread. The newest wins.

use crate::checkpoint::store::Store;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::repeat::Repeats;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use tracing::{error, warn};

#[derive(Debug, Default)]
struct Waiting {
    encoded: Option<(Vec<u8>, bool)>,
    is_ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// Hands positions to the thread.
#[derive(Debug)]
pub(super) struct Storage {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Storage {
    pub(super) fn start(store: Store, metrics: Arc<Metrics>, clock: Clock) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let write = move || write(&own, &store, &metrics, clock);
        let thread = std::thread::Builder::new().name("penstock-positions".into()).spawn(write)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Replaces what was not written yet.
    pub(super) fn save(&self, encoded: Vec<u8>, is_sync: bool) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let was_sync = waiting.encoded.as_ref().is_some_and(|(_, is_sync)| *is_sync);
        waiting.encoded = Some((encoded, is_sync || was_sync));
        self.shared.changed.notify_one();
    }

    /// Waits until everything is written, and ends the thread.
    pub(super) fn end(mut self) {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_ended = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, the positions of a moment ago stand.
            let _panicked = thread.join();
        }
    }
}

fn write(shared: &Shared, store: &Store, metrics: &Metrics, clock: Clock) {
    let mut repeats = Repeats::default();
    loop {
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.encoded.is_none() && !waiting.is_ended {
            waiting = shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let Some((encoded, is_sync)) = waiting.encoded.take() else { return };
        drop(waiting);
        if let Err(error) = store.save(&encoded, is_sync) {
            metrics.checkpoint_errors.add(1);
            let is_last = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_ended;
            if is_last {
                error!(
                    "the last positions could not be saved in data_dir: {error}; what was delivered since the save \
                     before is sent again after the next start. Free space there, or check its rights"
                );
            } else if let Some(suppressed) = repeats.report("positions", clock.now().mono) {
                warn!(
                    suppressed,
                    "cannot save the positions in data_dir: {error}; after a crash lines since the last save are \
                     sent again. Free space there, or check its rights"
                );
            }
        }
    }
}

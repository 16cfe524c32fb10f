//! What the pipeline hands out, in the real world.

use super::storage::Storage;
use crate::checkpoint::journal::Journal;
use crate::pipeline::Outside;
use crate::types::request::Request;
use std::io;
use tokio::sync::mpsc;

/// The data thread's way out.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) journal: Journal,
    pub(super) storage: Storage,
}

impl Outside for Shell {
    fn send(&mut self, request: Request) {
        // The channel holds more than the pipeline ever has under way.
        if let Err(error) = self.requests.try_send(request) {
            tracing::error!("a request could not be handed to the sender: {error}; please report this");
        }
    }

    fn is_journal_full(&self) -> bool {
        self.journal.is_full()
    }

    fn append_journal(&mut self, record: &[u8]) -> io::Result<()> {
        self.journal.append(record)
    }

    fn begin_journal(&mut self, records: &[u8]) -> io::Result<()> {
        self.journal.begin(records)
    }

    fn save(&mut self, encoded: Vec<u8>, is_sync: bool) {
        self.storage.save(encoded, is_sync);
    }
}

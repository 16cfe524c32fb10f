//! What the kernel programs say, which is rare: aya-log's ring, read when asked.
//!
//! In: its map. Out: lines of text, a few at a time. Never: more memory than these take.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use std::sync::{Arc, Mutex, PoisonError};

/// Lines kept from one call to the next; what is said beyond is the same again.
const LINES_MAX: usize = 16;

/// The programs' words.
pub(super) struct Words {
    logger: EbpfLogger<Lines>,
    lines: Lines,
}

/// Where aya-log puts them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Words {
    /// Takes the map out of the loaded object.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, aya_log::Error> {
        let lines = Lines::default();
        Ok(Self { logger: EbpfLogger::init_with_logger(ebpf, lines.clone())?, lines })
    }

    /// What was said since the last call.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.logger.flush();
        std::mem::take(&mut *self.lines.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < LINES_MAX {
            lines.push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

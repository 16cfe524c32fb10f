//! What the chores need to know of a place where entries arrive.
//!
//! In: pushes, on its URL. Out: counts while it runs, and every entry at the end. Never: a judgement.

use crate::receiver::Receiver;
use crate::tally::Stored;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A place where entries arrive: the embedded receiver.
pub trait Store {
    /// Base URL for the agent's `loki.url`.
    fn url(&self) -> String;
    /// What arrived so far.
    fn count(&self) -> Count;
    /// All entries that were stored, in the order of arrival.
    fn each(&self, take: &mut dyn FnMut(&Stored<'_>));
}

/// What arrived so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Entries stored that differ in label set, time or text.
    pub lines: u64,
    /// Bytes of all lines stored.
    pub bytes: u64,
}

impl Store for Receiver {
    fn url(&self) -> String {
        Self::url(self)
    }

    fn count(&self) -> Count {
        let stats = self.stats();
        let stored_again = stats.entries_received_twice - stats.entries_deduplicated;
        Count { lines: stats.entries_stored - stored_again, bytes: stats.line_bytes_stored }
    }

    fn each(&self, take: &mut dyn FnMut(&Stored<'_>)) {
        self.each_entry(&mut |entry| {
            let metadata = |name: &str| {
                let pair = entry.structured_metadata.iter().find(|(key, _)| key == name);
                pair.map_or("", |(_, value)| value)
            };
            let source = format!("{}/{}", metadata("pod"), metadata("container"));
            let mut labels = DefaultHasher::new();
            // With `__stream_shard__`: Loki deals the entries of one push out to shards, whose order is not that of the
            // push. Order across them is a matter of time.
            entry.labels.hash(&mut labels);
            let label_set = labels.finish();
            take(&Stored { source: &source, label_set, time_ns: entry.time_ns, line: &entry.line });
        });
    }
}

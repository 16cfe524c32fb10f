//! When the positions are saved: soon after each answer, to disk for sure every few seconds and at the end.

use super::{Outside, Pipeline};
use crate::checkpoint::store;
use crate::limits::{CHECKPOINT_DELAY, CHECKPOINT_SYNC_INTERVAL};
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::types::position::Mark;
use crate::types::time::Now;
use std::time::Duration;

/// What has to be saved, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saving {
    due_at: Option<Duration>,
    synced_at: Duration,
    is_unsynced: bool,
}

impl Default for Saving {
    /// Due at once: what `start_at: end` skips is skipped for good, whatever happens next.
    fn default() -> Self {
        Self { due_at: Some(Duration::ZERO), synced_at: Duration::ZERO, is_unsynced: false }
    }
}

impl Saving {
    /// Something has changed.
    pub(super) fn touch(&mut self, now: Now) {
        self.due_at.get_or_insert(now.mono + CHECKPOINT_DELAY);
    }

    /// When to save (monotonic).
    pub(super) fn due(&self) -> Duration {
        let sync_at = if self.is_unsynced { self.synced_at + CHECKPOINT_SYNC_INTERVAL } else { Duration::MAX };
        self.due_at.unwrap_or(Duration::MAX).min(sync_at)
    }
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    pub(super) fn save_if_due(&mut self, now: Now, outside: &mut dyn Outside) {
        if now.mono >= self.saving.due() {
            let is_sync = now.mono >= self.saving.synced_at + CHECKPOINT_SYNC_INTERVAL;
            self.save(now, is_sync, outside);
        }
    }

    /// Saves the positions now.
    pub fn save(&mut self, now: Now, is_sync: bool, outside: &mut dyn Outside) {
        self.saving.due_at = None;
        self.saving.is_unsynced = !is_sync;
        if is_sync {
            self.saving.synced_at = now.mono;
        }
        let (containers, tracker) = (&self.containers, &self.tracker);
        let positions = self.source.save(now, &|key| {
            let ready = containers.get(&key)?.ready.as_ref()?;
            Some(
                [0, 1].map(|place| ready.streams.get(place).map_or_else(Mark::default, |s| tracker.answered_to(s.key))),
            )
        });
        match store::encode(&positions) {
            Ok(encoded) => outside.save(encoded, is_sync),
            Err(error) => tracing::error!("encoding the positions: {error}"),
        }
        for ready in self.containers.values_mut().filter_map(|container| container.ready.as_mut()) {
            for (place, stream) in ready.streams.iter_mut().enumerate() {
                // A crash may find the positions of the save before this one.
                let saved_before = std::mem::replace(&mut stream.saved_to, self.tracker.answered_to(stream.key));
                stream.forget_sent(saved_before.at);
                stream.moved.retain(|moved| moved.at >= saved_before.at);
                stream.confirmed.retain(|sent| sent.position >= saved_before.stream_position);
                if stream.recovered_ahead_to > 0 && saved_before.stream_position >= stream.recovered_ahead_to {
                    // All that went out ahead before the restart is behind what is saved.
                    let instance = stream.instance;
                    self.recovered
                        .ahead
                        .retain(|(owner, std_stream, _), _| (*owner, std_stream.index()) != (instance, place));
                    stream.recovered_ahead_to = 0;
                }
            }
        }
    }

    /// The first records that are not answered for, of a container whose pod is known.
    pub(super) fn answered_marks(&self, key: InstanceKey) -> Option<[Mark; 2]> {
        let ready = self.containers.get(&key)?.ready.as_ref()?;
        Some(
            [0, 1]
                .map(|place| ready.streams.get(place).map_or_else(Mark::default, |s| self.tracker.answered_to(s.key))),
        )
    }
}

//! The values of `level` that became a label, per container.
//!
//! In: a value. Out: whether it may be a label. Never: more than `limits::LEVELS_PER_CONTAINER_MAX` of them.

use crate::limits::LEVELS_PER_CONTAINER_MAX;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by all label sets of a container, those of its earlier instances and former labels among them, so that
/// neither a restart nor a changed label lets it have more.
#[derive(Clone, Debug, Default)]
pub struct Levels(Arc<Mutex<Vec<String>>>);

impl Levels {
    /// Whether `level` is one of them, or may still become one; it is one then.
    pub(super) fn take_in(&self, level: &str) -> bool {
        let mut levels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if levels.iter().any(|known| known == level) {
            return true;
        }
        let has_room = levels.len() < LEVELS_PER_CONTAINER_MAX;
        if has_room {
            levels.push(level.to_owned());
        }
        has_room
    }
}

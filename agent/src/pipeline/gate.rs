//! Who may read on, as memory fills.
//!
//! In: what is used, what waits for a container, and whether Loki takes its lines. Out: yes or no.

use super::containers::Container;
use crate::limits::BLOCK_BYTES;
use crate::send::deliver::Delivery;
use crate::types::part::LabelSetId;

/// The label sets of a container that lines of it were read for.
pub(super) fn label_sets(container: &Container) -> impl Iterator<Item = LabelSetId> {
    container.ready.iter().flat_map(|ready| &ready.label_sets).flatten().copied()
}

/// Whether Loki has taken something of each label set of this container in this run.
pub(super) fn is_taken(container: &Container, delivery: &Delivery) -> bool {
    let mut known = label_sets(container).peekable();
    known.peek().is_some() && known.all(|id| delivery.is_accepted(id))
}

/// Who may read on. What is full turns into delay: the log file is the backlog.
pub(super) struct Gate {
    pub(super) used: usize,
    pub(super) budget: usize,
    /// Nothing waits, so nothing will become free: what is held is buffers and open lines, which end only by reading.
    pub(super) is_idle: bool,
    pub(super) own_max: usize,
}

impl Gate {
    /// `own`: bytes that wait for the container's label sets.
    pub(super) fn is_open(&self, own: usize, share: Share) -> bool {
        let share = match share {
            Share::Common => self.budget / 4 * 3,
            Share::First => self.budget / 8 * 7,
            Share::All => self.budget,
        };
        own < self.own_max && (self.is_idle || self.used + 2 * BLOCK_BYTES <= share)
    }
}

/// How much of the budget a container may find used and still read. The last quarter is for the quiet ones, which have
/// nothing waiting, so that the loud ones cannot keep them out.
#[derive(Clone, Copy)]
pub(super) enum Share {
    /// The loud ones, and while Loki refuses label sets, those of which it took nothing in this run: three quarters.
    Common,
    /// Quiet ones of which Loki took nothing yet, and while it refuses label sets, the first lines of new ones: seven eighths.
    First,
    /// Quiet ones whose lines flow.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule: what is held cannot fill the last quarter, which is for those whose lines flow.
    #[test]
    fn the_last_quarter_is_for_those_who_flow() {
        let at = |percent: usize| Gate {
            used: percent * BLOCK_BYTES,
            budget: 100 * BLOCK_BYTES,
            is_idle: false,
            own_max: BLOCK_BYTES,
        };
        let open = |percent| [Share::Common, Share::First, Share::All].map(|share| at(percent).is_open(0, share));
        assert_eq!(open(70), [true, true, true]);
        assert_eq!(open(80), [false, true, true]);
        assert_eq!(open(90), [false, false, true]);
        assert_eq!(open(99), [false, false, false]);
    }
}

//! A request that is not answered for. No decisions are made here.

use super::effects::Trouble;
use crate::types::part::{LabelSetId, Part};
use crate::types::request::RequestId;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    UnderWay,
    Waiting(Duration),
}

#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) id: RequestId,
    pub(super) parts: Vec<Part>,
    pub(super) counted_bytes: u64,
    pub(super) state: State,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Of these, answers of the server (5xx).
    pub(super) server_errors: u32,
    /// When it last went (monotonic).
    pub(super) sent_at: Duration,
    /// Refusals for the tenant's rate in a row.
    pub(super) rate_refusals: u32,
    /// Requests that had passed when this one first failed.
    pub(super) passed_before: Option<u64>,
    /// Its entries went before.
    pub(super) was_sent: bool,
    /// What ails it, with the trouble's number.
    pub(super) trouble: Option<(u64, Trouble)>,
}

impl Outgoing {
    /// One that waits until `at`.
    pub(super) fn new(id: RequestId, parts: Vec<Part>, at: Duration) -> Self {
        Self {
            id,
            counted_bytes: parts.iter().map(|part| part.counted_bytes).sum(),
            parts,
            state: State::Waiting(at),
            failures: 0,
            server_errors: 0,
            sent_at: Duration::ZERO,
            rate_refusals: 0,
            passed_before: None,
            was_sent: false,
            trouble: None,
        }
    }

    pub(super) fn can_split(&self) -> bool {
        self.parts.len() > 1 || self.parts.first().is_some_and(|part| part.count > 1)
    }

    pub(super) fn is_waiting(&self, now: Duration) -> bool {
        matches!(self.state, State::Waiting(until) if until <= now)
    }

    /// The label sets of its parts, in their order; one may come more than once.
    pub(super) fn label_sets(&self) -> impl Iterator<Item = LabelSetId> {
        self.parts.iter().map(|part| part.label_set)
    }

    /// Whether it holds entries of more than one label set.
    pub(super) fn is_mixed(&self) -> bool {
        self.label_sets().any(|id| Some(id) != self.label_sets().next())
    }
}

//! What an answer means for others: the tracker, the batch room, metrics.

use crate::types::part::{LabelSetId, Part, PartId, Share};
use crate::types::request::Refusal;

/// A part that was split; both halves hold what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The part that is no more.
    pub from: PartId,
    /// Its halves.
    pub into: [PartId; 2],
    /// The std streams in it.
    pub shares: Vec<Share>,
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which kind.
    pub kind: TroubleKind,
    /// What happened and what to do about it.
    pub words: String,
}

/// Kinds of trouble, each of which is logged for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// It passes (5xx, 408, no answer).
    Passing,
    /// Only an operator can mend it.
    Hold,
    /// Loki did not understand the body.
    NotUnderstood,
    /// The tenant's rate.
    TenantRate,
    /// The rate of one Loki stream.
    StreamRate,
    /// The tenant has too many streams.
    TooManyStreams,
}

/// An entry that was given up alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Its label set.
    pub label_set: LabelSetId,
    /// Bytes of its line.
    pub line_bytes: u64,
}

/// What is to be done after an answer.
#[derive(Debug, Default)]
pub struct Effects {
    /// Parts that Loki has answered for, refused entries among them.
    pub answered: Vec<Part>,
    /// Parts that were split.
    pub splits: Vec<Split>,
    /// Entries refused for good.
    pub refused: Vec<Refusal>,
    /// The entry that was given up because it does not pass even alone; it is in `refused` as well.
    pub set_aside: Option<SetAside>,
    /// Label sets that are to travel alone for a while.
    pub alone: Vec<LabelSetId>,
    /// What is wrong now.
    pub trouble: Option<Trouble>,
}

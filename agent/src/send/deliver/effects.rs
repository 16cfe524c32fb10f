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

/// What is to be done after an answer.
#[derive(Debug, Default)]
pub struct Effects {
    /// Parts that Loki has answered for, refused entries among them.
    pub answered: Vec<Part>,
    /// Parts that were split.
    pub splits: Vec<Split>,
    /// Entries refused for good.
    pub refused: Vec<Refusal>,
    /// Label sets that are to travel alone for a while.
    pub alone: Vec<LabelSetId>,
    /// What is wrong, in words for the operator.
    pub trouble: Option<String>,
}

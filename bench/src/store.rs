//! What the chores need to know of a place where entries arrive.
//!
//! In: pushes, on its URL. Out: counts while it runs, and every entry at the end. Never: a judgement.

use crate::tally::Stored;

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
    /// Entries stored, doubled ones too.
    pub lines: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

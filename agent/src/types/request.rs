//! batch → send → batch: a request on its way to Loki, and what came back.

use bytes::Bytes;
use std::time::Duration;

/// Numbers the requests of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One push, ready for the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// Comes back with the answer.
    pub id: RequestId,
    /// A snappy block of a `PushRequest`.
    pub body: Bytes,
}

/// What came back for a [`Request`].
#[derive(Clone, Debug)]
pub struct Answer {
    /// Of the request answered.
    pub id: RequestId,
    /// The HTTP status, or 0 when none came: connection error or timeout (`body` then says which).
    pub status: u16,
    /// The body as text, cut to `limits::ANSWER_BYTES_MAX`.
    pub body: String,
    /// The header `Retry-After`, where it was there.
    pub retry_after: Option<Duration>,
    /// From sending to the answer.
    pub took: Duration,
}

/// What an answer means. Made by `send::answer::read` from status and body; acted on by `batch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is stored.
    Stored,
    /// These were refused for good, each kind with its reason for the metric and how many entries (as far as
    /// Loki says: at least 1); everything else is stored. Nothing is to be sent again.
    PartlyRefused(Vec<Refusal>),
    /// An ingester refused entries of one label set for good, and stored the rest of that. Other label sets that stand
    /// before it in the request may have been refused too.
    EntriesIgnored {
        /// As in [`Verdict::PartlyRefused`].
        refusals: Vec<Refusal>,
        /// `{a="b", …}` as Loki printed it.
        labels: Option<String>,
    },
    /// Loki did not understand the body or a label set: nothing is stored. Split until the bad entry is alone.
    NotUnderstood {
        /// Loki's words.
        why: String,
    },
    /// The tenant's rate: nothing is stored, the same bytes again, slower.
    TenantRate,
    /// A Loki stream's own rate: entries of the label set named (as Loki prints it, where it does) were refused. Other
    /// label sets that stand before it in the request may have been refused too.
    StreamRate {
        /// `{a="b", …}` as Loki printed it.
        labels: Option<String>,
    },
    /// The tenant has too many streams: new label sets were refused, of which one is named; those that existed were
    /// stored.
    TooManyStreams {
        /// `{a="b", …}` as Loki printed it.
        labels: Option<String>,
    },
    /// Too large for a hop on the way: nothing stored; split and send again.
    TooLarge,
    /// Trouble that passes (5xx, 408, timeout, no connection): the same bytes again, later.
    Retry {
        /// What happened, in a few words.
        why: String,
    },
    /// Nobody but an operator can mend it (401, 403, 404, 260): hold, try again slowly, be loud.
    Hold {
        /// What happened and what to do about it.
        why: String,
    },
}

/// Entries that Loki refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Value of the metric's label `reason`: `too_old`, `too_new`, `too_far_behind`, `line_too_long`, …
    pub reason: &'static str,
    /// How many entries, as far as Loki says; at least 1.
    pub entries: u64,
}

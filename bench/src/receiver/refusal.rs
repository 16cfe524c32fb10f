//! What is refused, why, and in which words.
//!
//! In: the reason with its numbers. Out: Loki's status and text. It never decides whether something is refused.
//!
//! Source: Loki 3.5.1 `pkg/validation/validate.go` (texts and reasons), `pkg/util/errors.go` (grouping),
//! `pkg/ingester/stream.go` (`errorForFailedEntries`).

use super::go_format::{byte_size, rfc3339, time_string};

/// Loki names at most so many entries in one refusal (`max_returned_stream_errors`).
const NAMED_ENTRIES_MAX: usize = 10;

/// Status and body of an answer; the body without the newline that Go's `http.Error` adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Text; empty for 204.
    pub(crate) body: String,
}

impl Answer {
    /// An answer.
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into() }
    }

    /// Stored.
    pub(crate) fn stored() -> Self {
        Self::new(204, "")
    }

    /// The tenant's bucket is empty.
    pub(crate) fn tenant_rate(tenant: &str, rate: u64, lines: usize, bytes: usize) -> Self {
        let text = format!(
            "Ingestion rate limit exceeded for user {tenant} (limit: {rate} bytes/sec) while attempting to ingest \
             '{lines}' lines totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see if \
             the limit can be increased"
        );
        Self::new(429, text)
    }

    /// Ingestion is blocked; 260 by default.
    pub(crate) fn blocked(tenant: &str, until_ns: i64) -> Self {
        let until = rfc3339(until_ns);
        Self::new(260, format!("ingestion blocked for user {tenant} until '{until}' with status code '260'"))
    }

    /// A new stream above the limit.
    pub(crate) fn too_many_streams(tenant: &str, labels: &str) -> Self {
        let text = format!(
            "Maximum active stream limit exceeded when trying to create stream {labels}, reduce the number of active \
             streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit \
             can be increased, user: '{tenant}'"
        );
        Self::new(429, text)
    }

    /// The distributor's message to the ingester is over gRPC's limit.
    pub(crate) fn message_too_large(bytes: usize, limit: usize) -> Self {
        let text = format!(
            "rpc error: code = ResourceExhausted desc = grpc: received message larger than max ({bytes} vs. {limit})"
        );
        Self::new(500, text)
    }
}

/// Why entries are refused, by Loki's `reason` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named as Loki's reason")]
pub enum Reason {
    InvalidLabels,
    GreaterThanMaxSampleAge,
    TooFarInFuture,
    LineTooLong,
    MaxLabelNamesPerSeries,
    LabelNameTooLong,
    LabelValueTooLong,
    DuplicateLabelNames,
    StructuredMetadataTooLarge,
    StructuredMetadataTooMany,
    MissingLabels,
    BlockedIngestion,
    RateLimited,
    PerStreamRateLimit,
    StreamLimit,
    TooFarBehind,
    MessageTooLarge,
}

impl Reason {
    /// As in Loki's metric `loki_discarded_samples_total`; the last is the receiver's own.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidLabels => "invalid_labels",
            Self::GreaterThanMaxSampleAge => "greater_than_max_sample_age",
            Self::TooFarInFuture => "too_far_in_future",
            Self::LineTooLong => "line_too_long",
            Self::MaxLabelNamesPerSeries => "max_label_names_per_series",
            Self::LabelNameTooLong => "label_name_too_long",
            Self::LabelValueTooLong => "label_value_too_long",
            Self::DuplicateLabelNames => "duplicate_label_names",
            Self::StructuredMetadataTooLarge => "structured_metadata_too_large",
            Self::StructuredMetadataTooMany => "structured_metadata_too_many",
            Self::MissingLabels => "missing_labels",
            Self::BlockedIngestion => "blocked_ingestion",
            Self::RateLimited => "rate_limited",
            Self::PerStreamRateLimit => "per_stream_rate_limit",
            Self::StreamLimit => "stream_limit",
            Self::TooFarBehind => "too_far_behind",
            Self::MessageTooLarge => "message_too_large",
        }
    }
}

/// The distributor's errors of one request, grouped by text.
#[derive(Debug, Default)]
pub(crate) struct GroupedErrors(Vec<(String, usize)>);

impl GroupedErrors {
    /// Adds one. Texts stay in order of arrival; Loki's order is that of a Go map, any.
    pub(crate) fn add(&mut self, text: String) {
        match self.0.iter_mut().find(|(have, _)| *have == text) {
            Some((_, count)) => *count += 1,
            None => self.0.push((text, 1)),
        }
    }

    /// 400 with `A`, or `N errors like: A; M errors like: B`; none if there was no error.
    pub(crate) fn answer(&self) -> Option<Answer> {
        let single = self.0.len() == 1 && self.0.iter().all(|(_, count)| *count == 1);
        let part = |(text, count): &(String, usize)| {
            if single { text.clone() } else { format!("{count} errors like: {text}") }
        };
        let text = self.0.iter().map(part).collect::<Vec<_>>().join("; ");
        (!self.0.is_empty()).then(|| Answer::new(400, text))
    }
}

/// An entry that the ingester did not take.
#[derive(Debug)]
pub(crate) struct FailedEntry {
    /// Its time.
    pub(crate) time_ns: i64,
    /// Why.
    pub(crate) why: Failure,
}

/// Why the ingester did not take an entry.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Older than this, nanoseconds since 1970.
    TooFarBehind(i64),
    /// The stream's bucket was empty for so many bytes.
    StreamRate(usize),
}

/// The ingester's answer for one stream: the last failure gives the status, the first ten are named.
pub(crate) fn failed_entries(
    tenant: &str,
    labels: &str,
    rate: u64,
    failed: &[FailedEntry],
    total: usize,
) -> Option<Answer> {
    let status = match failed.last()?.why {
        Failure::TooFarBehind(_) => 400,
        Failure::StreamRate(_) => 429,
    };
    let mut body = String::new();
    for entry in failed.iter().take(NAMED_ENTRIES_MAX) {
        let why = match entry.why {
            Failure::TooFarBehind(cutoff_ns) => format!(
                "entry too far behind, entry timestamp is: {}, oldest acceptable timestamp is: {}",
                rfc3339(entry.time_ns),
                rfc3339(cutoff_ns)
            ),
            Failure::StreamRate(bytes) => format!(
                "Per stream rate limit exceeded (limit: {}/sec) while attempting to ingest for stream '{labels}' \
                 totaling {}, consider splitting a stream via additional labels or contact your Loki administrator \
                 to see if the limit can be increased",
                byte_size(rate),
                byte_size(bytes as u64)
            ),
        };
        body.push_str(&format!("entry with timestamp {} ignored, reason: '{why}',\n", time_string(entry.time_ns)));
    }
    body.push_str(&format!("user '{tenant}', total ignored: {} out of {total} for stream: {labels}", failed.len()));
    Some(Answer::new(status, body))
}

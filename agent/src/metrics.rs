//! The agent's own numbers.
//!
//! In: sums, once per batch. Out: the text of `/metrics`. Never: a global, a label whose values come from pods,
//! paths or lines.
//!
//! The list below is the only one: it makes the fields of [`Metrics`], what is exported, and [`TABLE`], with
//! which docs/metrics.md is checked. Bytes of lines are counted without their newlines.

pub mod instrument;
pub mod label;

use instrument::{Counter, Counters, Gauge, Gauges, OpenCounters, Register, Seconds};
use label::{DropReason, Hook, Mode, RescanWhy, Source};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// `Content-Type` of what [`Metrics::encode`] gives, for who asks for OpenMetrics.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The same text read as Prometheus' own format: there `# EOF` and `# UNIT` are comments.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric, as documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// As exported, with prefix and suffix.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What is counted or measured.
    pub unit: &'static str,
    /// Label names.
    pub labels: &'static [&'static str],
    /// One sentence without a full stop.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($field:ident: $type:ty, $name:literal, $unit:literal, $labels:expr, $help:literal;)*) => {
        /// Every metric of the agent. Updates are atomic additions; share it in an `Arc`.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: $type,)*
        }

        /// Every metric, in the order of export.
        pub const TABLE: &[Row] = &[$(Row {
            name: concat!("penstock_", $name),
            kind: <$type as Register>::KIND,
            unit: $unit,
            labels: &$labels,
            help: $help,
        },)*];

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::with_prefix("penstock");
                $(let $field = <$type as Register>::register(
                    &mut registry, $name.trim_end_matches("_total"), $help, &$labels,
                );)*
                Self { registry, $($field,)* }
            }
        }
    };
}

metrics! {
    lines: Counters<Source>, "lines_total", "lines", ["source"], "Lines handed on to be sent, by the witness they came from";
    bytes: Counters<Source>, "bytes_total", "bytes", ["source"], "Bytes of those lines as they were read";
    captured_bytes: Counter, "captured_bytes_total", "bytes", [], "Bytes that the kernel side saw leave the pipes";
    capture_lost_bytes: Counter, "capture_lost_bytes_total", "bytes", [], "Of those, bytes that did not reach the agent and are taken from the file";
    handover: OpenCounters, "handover_total", "changes", ["to", "why"], "Changes of the witness that is shipped";
    confirmed_lines: Counter, "confirmed_lines_total", "lines", [], "Captured lines found in the file as well";
    unconfirmed_lines: Counter, "unconfirmed_lines_total", "lines", [], "Captured lines shipped that the file did not show";
    mismatched_lines: Counter, "mismatched_lines_total", "lines", [], "Captured lines that differ from the file at their position";
    dropped_bytes: Counters<DropReason>, "dropped_bytes_total", "bytes", ["reason"], "Bytes that were given up";
    dropped_files: Counters<DropReason>, "dropped_files_total", "files", ["reason"], "Files that were given up, or gone before they were read";
    refused_entries: OpenCounters, "refused_entries_total", "entries", ["reason"], "Entries that Loki refused for good, as far as its answers say";
    push_requests: OpenCounters, "push_requests_total", "requests", ["code"], "Answers to pushes by HTTP status; 0 where none came";
    push_seconds: Seconds, "push_seconds", "seconds", [], "From sending a push to its answer";
    delivery_lag_seconds: Seconds, "delivery_lag_seconds", "seconds", [], "From a line's write to the answer that it is stored, observed for the oldest line of each request; not where that is more than a day ago";
    backlog_bytes: Gauge, "backlog_bytes", "bytes", [], "Bytes in files that are not yet answered for";
    memory_bytes: Gauge, "memory_bytes", "bytes", [], "Bytes in all buffers";
    rate_limit_bytes_per_second: Gauge, "rate_limit_bytes_per_second", "bytes per second", [], "The pace to which the agent holds itself now";
    streams: Gauges<Mode>, "streams", "std streams", ["mode"], "Std streams by the witness that is shipped";
    hook: Gauges<Hook>, "hook_info", "1 or 0", ["hook"], "1 for the kernel hook in use";
    label_sets: Gauge, "label_sets", "label sets", [], "Label sets in memory";
    held_label_sets: Gauge, "held_label_sets", "label sets", [], "Label sets that wait for a refusal by Loki to end";
    files_open: Gauge, "files_open", "files", [], "Log files held open, deleted ones among them";
    rescans: Counters<RescanWhy>, "rescans_total", "rescans", ["why"], "Looks at the whole log directory";
    watch_refused: Counter, "watch_refused_total", "watches", [], "Directories that the kernel would not watch (fs.inotify.max_user_watches); the rescan covers them";
    malformed_lines: Counter, "malformed_lines_total", "lines", [], "Lines of log files that are not of the runtime's format; shipped as text";
    cut_lines: Counter, "cut_lines_total", "lines", [], "Lines over Loki's limit, cut and marked";
    own_time_refused: Counter, "own_time_refused_total", "entries", [], "JSON lines whose own time was unreadable or too far off";
    levels_unlabelled: Counter, "levels_unlabelled_total", "entries", [], "JSON lines whose level was not made a label because the container has too many";
    clock_steps: Counter, "clock_steps_total", "steps", [], "Times of a std stream that went back by a minute or more";
    made_unique: Counter, "made_unique_total", "entries", [], "Entries moved to a free nanosecond because Loki would have merged them with an equal one";
    resent_entries: Counter, "resent_entries_total", "entries", [], "Entries that were sent again, after trouble or a restart";
    checkpoint_errors: Counter, "checkpoint_errors_total", "errors", [], "Writes of the positions that failed";
    journal_errors: Counter, "journal_errors_total", "errors", [], "Writes of the journal that failed";
}

impl Metrics {
    /// The text of `/metrics`.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail; if it did, a scrape without the end mark is refused as a whole.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests;

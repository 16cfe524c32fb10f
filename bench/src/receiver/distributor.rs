//! The distributor: checks label sets and entries, takes from the tenant's bucket, shards, and hands to the ingester.
//!
//! In: a decoded push. Out: the answer. The order of the checks is Loki's, since it decides which answer is seen and
//! what is stored beside what is refused.
//!
//! Source: Loki 3.5.1 `pkg/loghttp/push/push.go` (`ParseLokiRequest`: labels, `service_name`),
//! `pkg/distributor/distributor.go` (`PushWithResolver`), `validator.go`.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::bucket::TokenBucket;
use super::go_format::rfc3339;
use super::ingester::{CheckedStream, Ingester, PushContext, StreamLabels, count};
use super::labels::Labels;
use super::level::{DETECTED_LEVEL, detect};
use super::limits::Limits;
use super::message_size::message_bytes;
use super::metadata::normalized;
use super::refusal::{Answer, GroupedErrors, Reason};
use super::shards::Shards;
use super::stats::Stats;
use super::stream::CheckedEntry;
use super::wire::{Entry, LabelPair, PushRequest};

/// The labels that may give `service_name`, in order (`discover_service_name`).
const SERVICE_NAME_FROM: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];
/// What a message grows by at most per entry (the level) and per stream (the hash).
const GROWTH_BYTES: usize = 64;
/// The label cache is emptied at this many label sets.
const LABEL_CACHE_MAX: usize = 20_000;

/// A label set of a request, and Loki's refusal of it if there is one that does not depend on time.
#[derive(Debug)]
struct CachedLabels {
    labels: Arc<StreamLabels>,
    refused: Option<(Reason, String)>,
}

/// Checks that hold for the whole request.
struct Window {
    oldest_ns: i64,
    newest_ns: i64,
}

/// The distributor and what it remembers between requests.
#[derive(Debug)]
pub(crate) struct Distributor {
    bucket: TokenBucket,
    shards: Shards,
    label_cache: HashMap<Bytes, Arc<CachedLabels>>,
    keep_levels: bool,
}

impl Distributor {
    /// With a full bucket; levels are worked out for each entry only if they will be read.
    pub(crate) fn new(limits: &Limits, keep_levels: bool, now_ns: i64) -> Self {
        let bucket = TokenBucket::new(limits.ingestion_rate, limits.ingestion_burst, now_ns);
        Self { bucket, shards: Shards::default(), label_cache: HashMap::new(), keep_levels }
    }

    /// Stores what Loki would store and gives Loki's answer.
    pub(crate) fn push(
        &mut self,
        limits: &Limits,
        context: PushContext<'_>,
        ingester: &mut Ingester,
        stats: &mut Stats,
        request: PushRequest,
        decoded_bytes: usize,
    ) -> Answer {
        let labels = match self.parse_labels(limits, &request) {
            Ok(labels) => labels,
            Err(answer) => return answer,
        };
        if request.streams.is_empty() {
            return Answer::new(422, "error at least one valid stream is required for ingestion");
        }
        let parts = request.streams.len() + request.streams.iter().map(|stream| stream.entries.len()).sum::<usize>();
        let near_message_limit = decoded_bytes + parts * GROWTH_BYTES > limits.message_bytes_max;
        let (streams, refusal) = self.check(limits, context, stats, request, &labels);
        if streams.is_empty() {
            return refusal.unwrap_or_else(Answer::stored);
        }
        let entries: usize = streams.iter().map(|stream| stream.entries.len()).sum();
        let bytes: usize = streams.iter().flat_map(|stream| &stream.entries).map(|entry| entry.counted_bytes).sum();
        if context.tenant_rate_exceeded || !self.bucket.allow(context.now_ns, bytes) {
            count(stats, Reason::RateLimited, entries);
            return Answer::tenant_rate(context.tenant, limits.ingestion_rate, entries, bytes);
        }
        let mut streams = self.shard(limits, context, streams);
        if near_message_limit {
            self.add_levels(&mut streams);
            let message = message_bytes(&streams);
            if message > limits.message_bytes_max {
                count(stats, Reason::MessageTooLarge, entries);
                return Answer::message_too_large(message, limits.message_bytes_max);
            }
        }
        ingester.push(limits, context, &mut self.shards, stats, streams).or(refusal).unwrap_or_else(Answer::stored)
    }

    fn parse_labels(&mut self, limits: &Limits, request: &PushRequest) -> Result<Vec<Arc<CachedLabels>>, Answer> {
        let mut all = Vec::with_capacity(request.streams.len());
        for stream in &request.streams {
            if let Some(known) = self.label_cache.get(&stream.labels) {
                all.push(Arc::clone(known));
                continue;
            }
            let labels =
                Labels::parse(&stream.labels).map_err(|e| Answer::new(400, format!("couldn't parse labels: {e}")))?;
            let known = Arc::new(check_labels(limits, labels, &stream.labels));
            if self.label_cache.len() >= LABEL_CACHE_MAX {
                self.label_cache.clear();
            }
            // A copy: a slice would keep the whole body alive.
            self.label_cache.insert(Bytes::copy_from_slice(&stream.labels), Arc::clone(&known));
            all.push(known);
        }
        Ok(all)
    }

    fn check(
        &self,
        limits: &Limits,
        context: PushContext<'_>,
        stats: &mut Stats,
        request: PushRequest,
        labels: &[Arc<CachedLabels>],
    ) -> (Vec<CheckedStream>, Option<Answer>) {
        let ns = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000_000_000)).unwrap_or(i64::MAX);
        let window = Window {
            oldest_ns: context.now_ns.saturating_sub(ns(limits.age_s_max)),
            newest_ns: context.now_ns.saturating_add(ns(limits.ahead_s_max)),
        };
        let (mut streams, mut errors, mut blocked) = (Vec::new(), GroupedErrors::default(), None);
        for (stream, known) in request.streams.into_iter().zip(labels) {
            if stream.entries.is_empty() {
                continue;
            }
            if let Some((reason, text)) = &known.refused {
                errors.add(text.clone());
                count(stats, *reason, stream.entries.len());
                continue;
            }
            if context.blocked {
                count(stats, Reason::BlockedIngestion, stream.entries.len());
                blocked = Some(Answer::blocked(context.tenant, context.now_ns + 3_600_000_000_000));
                continue;
            }
            let mut entries = Vec::with_capacity(stream.entries.len());
            for entry in stream.entries {
                match check_entry(limits, &window, &known.labels, &entry) {
                    Ok(time_ns) => entries.push(self.checked(&known.labels, entry, time_ns)),
                    Err((reason, text)) => {
                        errors.add(text);
                        count(stats, reason, 1);
                    }
                }
            }
            if !entries.is_empty() {
                streams.push(CheckedStream { labels: Arc::clone(&known.labels), entries });
            }
        }
        (streams, errors.answer().or(blocked))
    }

    fn checked(&self, labels: &StreamLabels, entry: Entry, time_ns: i64) -> CheckedEntry {
        let metadata: Vec<LabelPair> = entry.structured_metadata.into_iter().map(normalized).collect();
        let level = if self.keep_levels { detect(&labels.labels, &metadata, &entry.line) } else { None };
        let counted_bytes = entry.line.len() + counted_metadata_bytes(&metadata);
        CheckedEntry { time_ns, line: entry.line, metadata, level, counted_bytes }
    }

    /// The levels that `checked` left out: they count in the message.
    fn add_levels(&self, streams: &mut [CheckedStream]) {
        for CheckedStream { labels, entries } in streams.iter_mut().filter(|_| !self.keep_levels) {
            for entry in entries {
                entry.level = detect(&labels.labels, &entry.metadata, &entry.line);
            }
        }
    }

    fn shard(&mut self, limits: &Limits, context: PushContext<'_>, streams: Vec<CheckedStream>) -> Vec<CheckedStream> {
        if !context.sharding {
            return streams;
        }
        let mut out = Vec::with_capacity(streams.len());
        for stream in streams {
            let bytes = stream.entries.iter().map(|entry| entry.line.len()).sum();
            let (hash, count) = (stream.labels.hash, stream.entries.len());
            let Some((first, used, total)) = self.shards.place(hash, bytes, count, limits.shard_rate, context.now_ns)
            else {
                out.push(stream);
                continue;
            };
            let base = out.len();
            for shard in 0..used {
                out.push(CheckedStream {
                    labels: shard_labels(&stream.labels, (first + shard) % total),
                    entries: Vec::new(),
                });
            }
            for (i, entry) in stream.entries.into_iter().enumerate() {
                if let Some(shard) = out.get_mut(base + i % used) {
                    shard.entries.push(entry);
                }
            }
        }
        out
    }
}

fn counted_metadata_bytes(metadata: &[LabelPair]) -> usize {
    let counted = metadata.iter().filter(|pair| pair.name != DETECTED_LEVEL.as_bytes());
    counted.map(|pair| pair.name.len() + pair.value.len()).sum()
}

fn shard_labels(labels: &StreamLabels, shard: usize) -> Arc<StreamLabels> {
    let sharded = labels.labels.with("__stream_shard__", &shard.to_string());
    let (text, hash) = (sharded.to_string(), sharded.hash());
    Arc::new(StreamLabels { labels: sharded, text, hash, hash_no_shard: labels.hash })
}

/// Adds `service_name` and checks what does not depend on time (`Validator.ValidateLabels`).
fn check_labels(limits: &Limits, mut labels: Labels, sent: &[u8]) -> CachedLabels {
    let mut text = String::from_utf8_lossy(sent).into_owned();
    if labels.get("service_name").is_none() {
        let name = SERVICE_NAME_FROM.iter().find_map(|from| labels.get(from)).unwrap_or("unknown_service").to_owned();
        labels = labels.with("service_name", &name);
        text = labels.to_string();
    }
    let refused = match Labels::parse(text.as_bytes()) {
        // Loki parses its own text again and then refuses a U+FFFD that came in as an escape.
        Err(e) => Some((Reason::InvalidLabels, format!("Error parsing labels '{text}' with error: {e}"))),
        Ok(_) => refused_labels(limits, &labels, &text),
    };
    let (canonical, hash) = (labels.to_string(), labels.hash());
    let labels = Arc::new(StreamLabels { labels, text: canonical, hash, hash_no_shard: hash });
    CachedLabels { labels, refused }
}

fn refused_labels(limits: &Limits, labels: &Labels, text: &str) -> Option<(Reason, String)> {
    let count = labels.len() - usize::from(labels.get("service_name").is_some());
    if count > limits.labels_max {
        let text = format!("entry for stream '{text}' has {count} label names; limit {}", limits.labels_max);
        return Some((Reason::MaxLabelNamesPerSeries, text));
    }
    let mut last = "";
    for (name, value) in labels.iter() {
        if name.len() > limits.label_name_bytes_max {
            return Some((Reason::LabelNameTooLong, format!("stream '{text}' has label name too long: '{name}'")));
        } else if value.len() > limits.label_value_bytes_max {
            return Some((Reason::LabelValueTooLong, format!("stream '{text}' has label value too long: '{value}'")));
        } else if name == last {
            return Some((Reason::DuplicateLabelNames, format!("stream '{text}' has duplicate label name: '{name}'")));
        }
        last = name;
    }
    None
}

/// `Validator.ValidateEntry`: the entry's time, or why it is refused.
fn check_entry(
    limits: &Limits,
    window: &Window,
    labels: &StreamLabels,
    entry: &Entry,
) -> Result<i64, (Reason, String)> {
    let labels = &labels.text;
    // Without a time Loki sees the year 1, which is too old; so is 1970.
    let time_ns = entry.timestamp.unwrap_or_default().to_ns().unwrap_or_default();
    if time_ns < window.oldest_ns {
        let (time, oldest) = (rfc3339(time_ns), rfc3339(window.oldest_ns));
        let text = format!(
            "entry for stream '{labels}' has timestamp too old: {time}, oldest acceptable timestamp is: {oldest}"
        );
        return Err((Reason::GreaterThanMaxSampleAge, text));
    }
    if time_ns > window.newest_ns {
        let text = format!("entry for stream '{labels}' has timestamp too new: {}", rfc3339(time_ns));
        return Err((Reason::TooFarInFuture, text));
    }
    let (length, limit) = (entry.line.len(), limits.line_bytes_max);
    if length > limit {
        let text = format!(
            "Max entry size '{limit}' bytes exceeded for stream '{labels}' while adding an entry with length \
             '{length}' bytes"
        );
        return Err((Reason::LineTooLong, text));
    }
    let (bytes, limit) = (counted_metadata_bytes(&entry.structured_metadata), limits.structured_metadata_bytes_max);
    if bytes > limit {
        let text = format!(
            "stream '{labels}' has structured metadata too large: '{bytes}' bytes, limit: '{limit}' bytes. Please see \
             `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it."
        );
        return Err((Reason::StructuredMetadataTooLarge, text));
    }
    let (pairs, limit) = (entry.structured_metadata.len(), limits.structured_metadata_pairs_max);
    if pairs > limit {
        let text = format!(
            "stream '{labels}' has too many structured metadata labels: '{pairs}', limit: '{limit}'. Please see \
             `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it."
        );
        return Err((Reason::StructuredMetadataTooMany, text));
    }
    Ok(time_ns)
}

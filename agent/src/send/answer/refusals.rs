//! The entries that a 400 refuses: which kinds, how many.
//!
//! In: the body of a 400 or 429. Out: [`Refusal`]s in the order of first mention, or nothing where the body is
//! none of Loki's refusals. Never: a judgement on what to do about it.
//!
//! Two forms. The distributor (`util.GroupedErrors`) says one message, or `N errors like: A; M errors like: B`,
//! where N counts entries, or label sets where the refusal is of a label set. The ingester says one line for
//! each of the first ten entries and then `user 'U', total ignored: N out of M for stream: {…}`.

use crate::types::request::Refusal;

/// Beginning and a later part of each message of `pkg/validation/validate.go`, and our word for it.
const MESSAGES: &[(&str, &str, &str)] = &[
    ("entry for stream '", " has timestamp too old: ", "too_old"),
    ("entry for stream '", " has timestamp too new: ", "too_new"),
    ("entry for stream '", " label names; limit ", "max_label_names"),
    ("Max entry size '", " bytes exceeded for stream '", "line_too_long"),
    ("stream '", "' has label name too long: '", "label_name_too_long"),
    ("stream '", "' has label value too long: '", "label_value_too_long"),
    ("stream '", "' has duplicate label name: '", "duplicate_label_names"),
    ("stream '", "' includes structured metadata, but this feature is disallowed", "structured_metadata_disallowed"),
    ("stream '", "' has structured metadata too large: '", "structured_metadata_too_large"),
    ("stream '", "' has too many structured metadata labels: '", "structured_metadata_too_many"),
    ("Error parsing labels '", "' with error: ", "invalid_labels"),
    ("error at least one label pair is required per stream", "", "missing_labels"),
    ("missing required labels ", " for stream ", "missing_enforced_labels"),
];

/// Reasons that an ingester gives for single entries.
const IGNORED: &[(&str, &str)] = &[("entry too far behind", "too_far_behind"), ("entry out of order", "out_of_order")];

/// Every value that [`read`] can give as a reason, for the metric's documentation.
pub const REASONS: &[&str] = &[
    "too_old",
    "too_new",
    "max_label_names",
    "line_too_long",
    "label_name_too_long",
    "label_value_too_long",
    "duplicate_label_names",
    "structured_metadata_disallowed",
    "structured_metadata_too_large",
    "structured_metadata_too_many",
    "invalid_labels",
    "missing_labels",
    "missing_enforced_labels",
    "too_far_behind",
    "out_of_order",
    "other",
];

const LIKE: &str = " errors like: ";
const STREAM_RATE: &str = "Per stream rate limit exceeded";

/// The refusals that a 400 of the distributor names; empty where it is something else.
#[must_use]
pub fn read(body: &str) -> Vec<Refusal> {
    let body = body.trim_end_matches(['\r', '\n']);
    let mut found = Vec::new();
    let groups = groups(body);
    if groups.is_empty() {
        if let Some(reason) = reason_of(body) {
            add(&mut found, reason, 1);
        }
        return found;
    }
    for (count, message) in groups {
        // A group is the distributor's, which has stored everything else, also where the message is new to us.
        add(&mut found, reason_of(message).unwrap_or("other"), count);
    }
    found
}

/// The label set whose own rate was exceeded, as Loki prints it; `None` where the body says nothing of that,
/// `Some(None)` where it does not say whose.
#[must_use]
pub fn rate_limited_labels(body: &str) -> Option<Option<String>> {
    let is_named = ignored_reasons(body).any(|reason| reason.starts_with(STREAM_RATE));
    if !is_named && !body.starts_with(STREAM_RATE) {
        return None;
    }
    let named_last = total(body).map(|(_, labels)| labels.to_owned());
    Some(named_last.or_else(|| braced(body.split_once(" for stream '")?.1, "' totaling ")))
}

/// The label set that was one too many.
#[must_use]
pub fn unaccepted_labels(body: &str) -> Option<String> {
    braced(body.split_once("trying to create stream ")?.1, ", reduce the number of active streams")
}

fn braced(rest: &str, end: &str) -> Option<String> {
    let labels = rest.split_once(end)?.0;
    (labels.starts_with('{') && labels.ends_with('}')).then(|| labels.to_owned())
}

/// The single entries that an ingester ignored, and their label set as Loki prints it, where it does; `None` where the
/// body is something else. Beyond ten it only counts them; those are taken to be of the
/// kind named last, which is the one that gave the status.
#[must_use]
pub fn read_ignored(body: &str) -> Option<(Vec<Refusal>, Option<String>)> {
    let mut found = Vec::new();
    let mut named: u64 = 0;
    let mut last = "other";
    for words in ignored_reasons(body) {
        last = IGNORED.iter().find(|(start, _)| words.starts_with(start)).map_or("other", |(_, reason)| reason);
        add(&mut found, last, 1);
        named += 1;
    }
    let (total, labels) = total(body).unzip();
    if let Some(more) = total.and_then(|total: u64| total.checked_sub(named)).filter(|more| named > 0 && *more > 0) {
        add(&mut found, last, more);
    }
    (named > 0).then(|| (found, labels.map(str::to_owned)))
}

fn ignored_reasons(body: &str) -> impl Iterator<Item = &str> {
    body.lines().filter_map(|line| {
        let (_, after) = line.split_once("entry with timestamp ")?;
        Some(after.split_once(" ignored, reason: '")?.1)
    })
}

/// `user 'U', total ignored: N out of M for stream: {…}`: N and the label set.
fn total(body: &str) -> Option<(u64, &str)> {
    let line = body.trim_end().lines().next_back()?;
    let (_, counts) = line.strip_prefix("user '")?.split_once("', total ignored: ")?;
    let (count, rest) = counts.split_once(" out of ")?;
    let (_, labels) = rest.split_once(" for stream: ")?;
    let labels = labels.ends_with('}').then_some(labels)?;
    Some((count.parse().ok()?, labels))
}

/// Count and message of each group; empty where the body does not begin with one. A message may hold anything,
/// `; ` too, so a group begins only where the whole phrase stands, at the start or after `; `.
fn groups(body: &str) -> Vec<(u64, &str)> {
    let starts: Vec<Start> = body.match_indices(LIKE).filter_map(|(at, _)| group_start(body, at)).collect();
    if starts.first().is_none_or(|first| first.at != 0) {
        return Vec::new();
    }
    let ends = starts.iter().skip(1).map(|next| next.at.saturating_sub("; ".len())).chain([body.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| (start.count, body.get(start.message..end).unwrap_or_default()))
        .collect()
}

/// Where a group begins: its number, its message.
struct Start {
    at: usize,
    message: usize,
    count: u64,
}

fn group_start(body: &str, phrase: usize) -> Option<Start> {
    let head = body.get(..phrase)?;
    let before = head.trim_end_matches(|c: char| c.is_ascii_digit());
    let count = head.get(before.len()..)?.parse().ok()?;
    (before.is_empty() || before.ends_with("; ")).then_some(Start {
        at: before.len(),
        message: phrase + LIKE.len(),
        count,
    })
}

fn reason_of(message: &str) -> Option<&'static str> {
    MESSAGES.iter().find(|(start, part, _)| message.starts_with(start) && message.contains(part)).map(|found| found.2)
}

fn add(found: &mut Vec<Refusal>, reason: &'static str, entries: u64) {
    let entries = entries.max(1);
    match found.iter_mut().find(|refusal| refusal.reason == reason) {
        Some(refusal) => refusal.entries = refusal.entries.saturating_add(entries),
        None => found.push(Refusal { reason, entries }),
    }
}

//! Reading back: `query_range`, label names and values.
//!
//! In: the store and the parameters of a request. Out: Loki's JSON. It never changes the store, and takes label names
//! and values from all streams, whatever the time asked for.
//!
//! Source: Loki 3.5.1 `pkg/iter/entry_iterator.go` (entries of one stream equal in time and line are given once),
//! `pkg/logql/log/labels.go` (structured metadata joins the labels, `_extracted` on a clash),
//! `pkg/loghttp/params.go` (times), `pkg/ingester/ingester.go` (128 entries a message).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};

use super::ingester::{Ingester, Kept};
use super::labels::Labels;
use super::level::DETECTED_LEVEL;
use super::limits::Limits;
use super::selector::Selector;

/// Entries in one message from ingester to querier.
const MESSAGE_ENTRIES: usize = 128;
const HOUR_NS: i64 = 3_600_000_000_000;

/// Parameters of the request, by name.
pub(crate) type Params = HashMap<String, String>;

/// An answer's status and its text: JSON for 200.
pub(crate) type ReadResult = Result<String, (u16, String)>;

/// `GET /loki/api/v1/query_range`.
pub(crate) fn query_range(store: &Ingester, limits: &Limits, params: &Params, now_ns: i64) -> ReadResult {
    let bad = |why: String| (400, why);
    let end_ns = time(params, "end", now_ns).map_err(bad)?;
    let start_ns = time(params, "start", end_ns.saturating_sub(HOUR_NS)).map_err(bad)?;
    let limit = params.get("limit").map_or(Ok(100), |limit| limit.parse()).map_err(|e| bad(format!("limit: {e}")))?;
    if limit > limits.query_entries_max {
        let max = limits.query_entries_max;
        return Err(bad(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {max})"
        )));
    }
    let forward = params.get("direction").is_some_and(|direction| direction.eq_ignore_ascii_case("forward"));
    let selector = Selector::parse(params.get("query").map_or("", String::as_str)).map_err(bad)?;
    if !selector.is_bounded() {
        return Err(bad(
            "parse error : queries require at least one regexp or equality matcher that does not have an \
             empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will"
                .to_owned(),
        ));
    }
    let mut found = select(store, &selector);
    found.retain(|kept| (start_ns..end_ns).contains(&kept.time_ns));
    let mut once = HashSet::new();
    found.retain(|kept| once.insert((kept.stream, kept.time_ns, &kept.line)));
    found.sort_by_key(|kept| kept.time_ns);
    if !forward {
        found.reverse();
    }
    found.truncate(limit);
    for message in found.chunks(MESSAGE_ENTRIES) {
        let bytes: usize = message.iter().map(|kept| kept.line.len()).sum();
        if bytes > limits.query_message_bytes_max {
            let max = limits.query_message_bytes_max;
            let why = "rpc error: code = ResourceExhausted desc = grpc: received message larger than max";
            return Err((500, format!("{why} ({bytes} vs. {max})")));
        }
    }
    let result = streams(store, &found);
    Ok(json!({"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}}).to_string())
}

/// Kept entries that a selector takes, in order of arrival.
pub(crate) fn select<'a>(store: &'a Ingester, selector: &Selector) -> Vec<&'a Kept> {
    let selected: Vec<bool> = store.labels.iter().map(|labels| selector.selects(&labels.labels)).collect();
    let takes =
        |kept: &&Kept| selected.get(kept.stream).is_some_and(|&selected| selected) && selector.passes(&kept.line);
    store.kept.iter().filter(takes).collect()
}

fn streams(store: &Ingester, found: &[&Kept]) -> Vec<Value> {
    let mut order: Vec<(BTreeMap<String, String>, Vec<Value>)> = Vec::new();
    let mut index: HashMap<BTreeMap<String, String>, usize> = HashMap::new();
    for kept in found {
        let Some(labels) = store.labels.get(kept.stream) else { continue };
        let merged = merged(&labels.labels, kept);
        let at = *index.entry(merged.clone()).or_insert_with(|| {
            order.push((merged, Vec::new()));
            order.len() - 1
        });
        if let Some((_, values)) = order.get_mut(at) {
            values.push(json!([kept.time_ns.to_string(), String::from_utf8_lossy(&kept.line)]));
        }
    }
    order.into_iter().map(|(stream, values)| json!({"stream": stream, "values": values})).collect()
}

fn merged(labels: &Labels, kept: &Kept) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = labels.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let sent = kept.metadata.iter().map(|pair| (text(&pair.name), text(&pair.value)));
    let level = kept.level.iter().map(|level| (DETECTED_LEVEL.to_owned(), text(level)));
    for (name, value) in sent.chain(level) {
        let name = if labels.get(&name).is_some() { format!("{name}_extracted") } else { name };
        all.insert(name, value);
    }
    all
}

/// `GET /loki/api/v1/labels`.
pub(crate) fn label_names(store: &Ingester) -> ReadResult {
    let names: BTreeSet<&str> =
        store.labels.iter().flat_map(|labels| labels.labels.iter()).map(|(name, _)| name).collect();
    Ok(json!({"status": "success", "data": names}).to_string())
}

/// `GET /loki/api/v1/label/NAME/values`.
pub(crate) fn label_values(store: &Ingester, name: &str) -> ReadResult {
    let values: BTreeSet<&str> = store.labels.iter().filter_map(|labels| labels.labels.get(name)).collect();
    Ok(json!({"status": "success", "data": values}).to_string())
}

/// A time as Loki reads it: nanoseconds, seconds (up to 10 digits or with a fraction), or RFC 3339 with `Z`.
fn time(params: &Params, name: &str, absent_ns: i64) -> Result<i64, String> {
    let Some(text) = params.get(name) else { return Ok(absent_ns) };
    if let Ok(number) = text.parse::<i64>() {
        return Ok(if text.len() <= 10 { number.saturating_mul(1_000_000_000) } else { number });
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok((seconds * 1e9) as i64);
    }
    let time = humantime::parse_rfc3339_weak(text).map_err(|e| format!("{name}: {e}"))?;
    let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|e| format!("{name}: {e}"))?;
    i64::try_from(since.as_nanos()).map_err(|e| format!("{name}: {e}"))
}

//! Reading back: `query_range`, `query`, label names and values.
//!
//! In: the store and the parameters of a request. Out: Loki's JSON. It never changes the store. Label names and values
//! are those of streams that have an entry in the time asked for.
//!
//! Source: Loki 3.5.1 `pkg/iter/entry_iterator.go` (entries of one stream equal in time and line are given once),
//! `pkg/logql/log/labels.go` (structured metadata joins the labels, `_extracted` on a clash),
//! `pkg/ingester/ingester.go` (128 entries a message).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};

use super::ingester::{Ingester, Kept};
use super::labels::Labels;
use super::level::DETECTED_LEVEL;
use super::limits::Limits;
use super::metric_query::MetricQuery;
use super::range::{Params, Range, bounds, range, time_ns};
use super::selector::Selector;

/// Entries in one message from ingester to querier.
const MESSAGE_ENTRIES: usize = 128;

/// An answer's status and its text: JSON for 200.
pub(crate) type ReadResult = Result<String, (u16, String)>;

/// `GET /loki/api/v1/query_range`.
pub(crate) fn query_range(store: &Ingester, limits: &Limits, params: &Params, now_ns: i64) -> ReadResult {
    let bad = |why: String| (400, why);
    let Range { start_ns, end_ns, limit, is_forward } = range(params, now_ns).map_err(bad)?;
    if limit > limits.query_entries_max {
        let max = limits.query_entries_max;
        return Err(bad(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {max})"
        )));
    }
    let selector = Selector::parse(query_of(params)).map_err(bad)?;
    if !selector.is_bounded() {
        return Err(bad(
            "parse error : queries require at least one regexp or equality matcher that does not have an \
             empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will"
                .to_owned(),
        ));
    }
    let mut found = select(store, &selector);
    found.retain(|row| (start_ns..end_ns).contains(&row.kept.time_ns));
    let mut once = HashSet::new();
    found.retain(|row| once.insert((row.kept.stream, row.kept.time_ns, &row.kept.line)));
    found.sort_by_key(|row| row.kept.time_ns);
    if !is_forward {
        found.reverse();
    }
    found.truncate(limit);
    for message in found.chunks(MESSAGE_ENTRIES) {
        let bytes: usize = message.iter().map(|row| row.kept.line.len()).sum();
        if bytes > limits.query_message_bytes_max {
            let max = limits.query_message_bytes_max;
            let why = "rpc error: code = ResourceExhausted desc = grpc: received message larger than max";
            return Err((500, format!("{why} ({bytes} vs. {max})")));
        }
    }
    let result = streams(found);
    Ok(json!({"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}}).to_string())
}

/// `GET /loki/api/v1/query`: a metric query at one time, or the newest entries of a log query.
pub(crate) fn query(store: &Ingester, limits: &Limits, params: &Params, now_ns: i64) -> ReadResult {
    let Some(metric) = MetricQuery::parse(query_of(params)).map_err(|why| (400, why))? else {
        return query_range(store, limits, params, now_ns);
    };
    let at_ns = params.get("time").map_or(Ok(now_ns), |time| time_ns(time)).map_err(|why| (400, why))?;
    let sample = |(labels, value): (BTreeMap<String, String>, f64)| json!({"metric": labels, "value": [at_ns as f64 / 1e9, value.to_string()]});
    let result: Vec<_> = metric.evaluate(store, at_ns).into_iter().map(sample).collect();
    Ok(json!({"status": "success", "data": {"resultType": "vector", "result": result, "stats": {}}}).to_string())
}

fn query_of(params: &Params) -> &str {
    params.get("query").map_or("", String::as_str)
}

/// An entry as a query leaves it.
pub(crate) struct Row<'a> {
    pub(crate) kept: &'a Kept,
    /// Of the stream, structured metadata, what stages added.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) line: String,
}

/// Kept entries that a query takes, in order of arrival.
pub(crate) fn select<'a>(store: &'a Ingester, selector: &Selector) -> Vec<Row<'a>> {
    let selected: Vec<bool> = store.labels.iter().map(|labels| selector.selects(&labels.labels)).collect();
    let is_selected = |kept: &&Kept| selected.get(kept.stream).is_some_and(|&selected| selected);
    let row = |kept: &'a Kept| {
        let stream = &store.labels.get(kept.stream)?.labels;
        let mut labels = merged(stream, kept);
        let line = selector.run(stream, &mut labels, &kept.line)?;
        Some(Row { kept, labels, line })
    };
    store.kept.iter().filter(is_selected).filter_map(row).collect()
}

fn streams(found: Vec<Row<'_>>) -> Vec<Value> {
    let mut order: Vec<(BTreeMap<String, String>, Vec<Value>)> = Vec::new();
    let mut index: HashMap<BTreeMap<String, String>, usize> = HashMap::new();
    for Row { kept, labels, line } in found {
        let at = *index.entry(labels.clone()).or_insert_with(|| {
            order.push((labels, Vec::new()));
            order.len() - 1
        });
        if let Some((_, values)) = order.get_mut(at) {
            values.push(json!([kept.time_ns.to_string(), line]));
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
pub(crate) fn label_names(store: &Ingester, params: &Params, now_ns: i64) -> ReadResult {
    let streams = streams_within(store, params, now_ns)?;
    let names: BTreeSet<&str> = streams.into_iter().flat_map(Labels::iter).map(|(name, _)| name).collect();
    Ok(json!({"status": "success", "data": names}).to_string())
}

/// `GET /loki/api/v1/label/NAME/values`.
pub(crate) fn label_values(store: &Ingester, name: &str, params: &Params, now_ns: i64) -> ReadResult {
    let streams = streams_within(store, params, now_ns)?;
    let values: BTreeSet<&str> = streams.into_iter().filter_map(|labels| labels.get(name)).collect();
    Ok(json!({"status": "success", "data": values}).to_string())
}

fn streams_within<'a>(store: &'a Ingester, params: &Params, now_ns: i64) -> Result<Vec<&'a Labels>, (u16, String)> {
    let (start_ns, end_ns) = bounds(params, now_ns).map_err(|why| (400, why))?;
    let within = store.kept.iter().filter(|kept| (start_ns..=end_ns).contains(&kept.time_ns));
    let streams: BTreeSet<usize> = within.map(|kept| kept.stream).collect();
    Ok(streams.into_iter().filter_map(|stream| Some(&store.labels.get(stream)?.labels)).collect())
}

//! A test double of Loki 3.5.1 with Loki's manners: its push API, its limits, its refusals word for word, its
//! de-duplication, and enough of its read API to get back what arrived.
//!
//! In: pushes over HTTP (`POST /loki/api/v1/push`: snappy protobuf or JSON, plain, gzip or deflate). Out: Loki's
//! answers, the stored entries (`entries`, `GET /loki/api/v1/query_range`, `/labels`, `/label/NAME/values`), counters
//! (`stats`, `GET /_stats`), and faults on request (`set_fault`, `POST /_fault`).
//! It never writes to disk, flushes no chunk, forgets no idle stream, and holds one tenant only: with `auth_enabled`
//! the tenant's name shows in the texts, limits and store are the same for all.
//!
//! Each rule names the file of Loki's source that it comes from. The order in which data flows: `listener`, `http`,
//! `body`, `distributor`, `ingester`, `stream`; reading back: `read`.

mod body;
pub(crate) mod bucket;
mod clock;
mod distributor;
mod fault;
mod go_format;
mod http;
mod ingester;
mod labels;
mod labels_lexer;
mod level;
mod limits;
mod listener;
mod message_size;
mod metadata;
mod metric_query;
mod range;
mod read;
pub(crate) mod refusal;
mod repeat;
mod seen;
mod selector;
mod shards;
mod shared;
mod stages;
mod stats;
mod stream;
pub mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use fault::{Fault, Times};
pub use limits::Limits;
pub use refusal::Reason;
pub use repeat::Repeat;
pub use stats::Stats;

use selector::Selector;
use shared::{Gate, Shared};

/// How a receiver is started.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Keep every entry (memory grows with them), else only count.
    pub keep_entries: bool,
    /// Without `keep_entries`: at least so many of the newest entries are known again when they come twice. Costs up to
    /// 2 × 18 bytes each; the default, two million, 76 MiB.
    pub seen_entries: usize,
    /// Loki's limits.
    pub limits: Limits,
    /// Automatic stream sharding, on in Loki by default: what is sent again may land in another `__stream_shard__`,
    /// where it stays; and a stream over its rate is refused as a whole.
    pub sharding: bool,
    /// Refuse requests without `X-Scope-OrgID`; else the tenant is `fake`.
    pub auth_enabled: bool,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            keep_entries: true,
            seen_entries: 2_000_000,
            limits: Limits::default(),
            sharding: true,
            auth_enabled: false,
            clock: Clock::Wall,
        }
    }
}

/// An entry as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// The stream's labels, with `service_name` and `__stream_shard__` where Loki adds them.
    pub labels: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    /// The line, any bytes.
    pub line: Bytes,
    /// As sent, in that order; names normalised as Loki does.
    pub structured_metadata: Vec<(String, String)>,
    /// What Loki adds as structured metadata `detected_level`.
    pub detected_level: Option<String>,
    /// Arrival of its request, nanoseconds since 1970.
    pub received_ns: i64,
    /// Number of its request, from 1.
    pub request_no: u64,
}

/// A running receiver. Dropping it leaves it running with its runtime; `stop` ends it.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    addr: SocketAddr,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// Binds and serves in tasks of the current tokio runtime.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(config: ReceiverConfig) -> anyhow::Result<Self> {
        let wanted = config.listen;
        let listener = TcpListener::bind(wanted)
            .await
            .with_context(|| format!("the receiver cannot listen on {wanted}; is the port taken?"))?;
        let addr = listener.local_addr().context("asking for the address that the receiver listens on")?;
        let shared = Arc::new(Shared::new(config));
        let serving = tokio::spawn(listener::serve(Arc::clone(&shared), listener, addr));
        Ok(Self { shared, addr, serving })
    }

    /// The address that was bound.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Sets a fault for every push from now on, or clears it. [`Fault::Refuse`] takes effect within a moment: the
    /// listener closes, and opens on the same port when the fault is cleared.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.set_fault(fault.map(|fault| (fault, Times::Always)));
    }

    /// Sets a fault that strikes only so often.
    pub fn set_fault_for(&self, fault: Fault, times: Times) {
        self.shared.set_fault(Some((fault, times)));
    }

    /// A snapshot of the counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// When the entries that came twice came, a row per pair of requests, by first arrival.
    #[must_use]
    pub fn repeats(&self) -> Vec<Repeat> {
        self.shared.read(|store| store.repeats.rows())
    }

    /// Stored entries in order of arrival that a query selects: `{}` is all, `{a="b",c=~"d.*"} |= "text"` some. What
    /// Loki would remove only on reading is there twice. Nothing without `keep_entries`.
    ///
    /// # Errors
    /// If the query does not parse.
    pub fn entries(&self, query: &str) -> anyhow::Result<Vec<StoredEntry>> {
        let selector =
            Selector::parse(query).map_err(|why| anyhow::anyhow!("selecting entries by {query:?}: {why}"))?;
        Ok(self.shared.read(|store| {
            read::select(store, &selector).into_iter().filter_map(|row| stored_entry(store, row.kept)).collect()
        }))
    }

    /// Hands out every stored entry in order of arrival, one at a time: there may be tens of millions.
    pub fn each_entry(&self, take: &mut dyn FnMut(&StoredEntry)) {
        self.shared.read(|store| store.kept.iter().filter_map(|kept| stored_entry(store, kept)).for_each(|e| take(&e)));
    }

    /// Closes the listener and all connections; what is stored goes with it. To be away and come back with the store
    /// use [`Fault::Refuse`].
    pub async fn stop(self) {
        self.shared.gate.send_replace(Gate::Stopped);
        // It ends by itself; a panic in there has been printed already.
        let _ = self.serving.await;
    }
}

fn stored_entry(store: &ingester::Ingester, kept: &ingester::Kept) -> Option<StoredEntry> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let labels = store.labels.get(kept.stream)?;
    Some(StoredEntry {
        labels: labels.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        time_ns: kept.time_ns,
        line: kept.line.clone(),
        structured_metadata: kept.metadata.iter().map(|pair| (text(&pair.name), text(&pair.value))).collect(),
        detected_level: kept.level.as_deref().map(text),
        received_ns: kept.received_ns,
        request_no: kept.request_no,
    })
}

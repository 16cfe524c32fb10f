//! The kinds of metric, on prometheus-client.
//!
//! In: a name and its labels, then sums. Out: handles that are atomics. Never: a lock where the label's values
//! are a closed set.

use super::label::Label;
use prometheus_client::metrics::counter::Counter as RawCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge as RawGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Upper bounds of the histograms, from a push on the node to an outage.
const SECONDS_BUCKETS: [f64; 18] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0];

type Labels = Vec<(&'static str, String)>;

/// How a kind of metric is made.
pub trait Register {
    /// `counter`, `gauge` or `histogram`.
    const KIND: &'static str;
    /// Makes one and exports it. `name` is without prefix and, for a counter, without `_total`.
    fn register(registry: &mut Registry, name: &str, help: &str, labels: &'static [&'static str]) -> Self;
}

/// A sum.
#[derive(Clone, Debug)]
pub struct Counter(RawCounter);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.inc_by(n);
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Register for Counter {
    const KIND: &'static str = "counter";
    fn register(registry: &mut Registry, name: &str, help: &str, _: &'static [&'static str]) -> Self {
        let counter = RawCounter::default();
        registry.register(name, help, counter.clone());
        Self(counter)
    }
}

/// A level.
#[derive(Clone, Debug)]
pub struct Gauge(RawGauge<u64, AtomicU64>);

impl Gauge {
    /// Is `n` now.
    pub fn set(&self, n: u64) {
        self.0.set(n);
    }

    /// One of several shares of the level was `from`, and is `to` now.
    pub fn change(&self, from: u64, to: u64) {
        change(&self.0, from, to);
    }

    /// The level.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

fn change(gauge: &RawGauge<u64, AtomicU64>, from: u64, to: u64) {
    if to >= from {
        gauge.inc_by(to - from);
    } else {
        gauge.dec_by(from - to);
    }
}

impl Register for Gauge {
    const KIND: &'static str = "gauge";
    fn register(registry: &mut Registry, name: &str, help: &str, _: &'static [&'static str]) -> Self {
        let gauge = RawGauge::default();
        registry.register(name, help, gauge.clone());
        Self(gauge)
    }
}

/// Sums by a label with a closed set of values.
#[derive(Clone, Debug)]
pub struct Counters<L>(Vec<RawCounter>, PhantomData<L>);

impl<L: Label> Counters<L> {
    /// Adds `n` to that of `label`.
    pub fn add(&self, label: L, n: u64) {
        if let Some(counter) = self.0.get(label.index()) {
            counter.inc_by(n);
        }
    }

    /// The sum of `label` so far.
    #[must_use]
    pub fn get(&self, label: L) -> u64 {
        self.0.get(label.index()).map_or(0, RawCounter::get)
    }
}

impl<L: Label> Register for Counters<L> {
    const KIND: &'static str = "counter";
    fn register(registry: &mut Registry, name: &str, help: &str, labels: &'static [&'static str]) -> Self {
        let family = Family::<Labels, RawCounter>::default();
        let each = L::ALL.iter().map(|label| family.get_or_create_owned(&pairs(labels, &[label.value()]))).collect();
        registry.register(name, help, family);
        Self(each, PhantomData)
    }
}

/// Levels by a label with a closed set of values.
#[derive(Clone, Debug)]
pub struct Gauges<L>(Vec<RawGauge<u64, AtomicU64>>, PhantomData<L>);

impl<L: Label> Gauges<L> {
    /// One of several shares of that of `label` was `from`, and is `to` now.
    pub fn change(&self, label: L, from: u64, to: u64) {
        if let Some(gauge) = self.0.get(label.index()) {
            change(gauge, from, to);
        }
    }

    /// That of `label` is `n` now.
    pub fn set(&self, label: L, n: u64) {
        if let Some(gauge) = self.0.get(label.index()) {
            gauge.set(n);
        }
    }
}

impl<L: Label> Register for Gauges<L> {
    const KIND: &'static str = "gauge";
    fn register(registry: &mut Registry, name: &str, help: &str, labels: &'static [&'static str]) -> Self {
        let family = Family::<Labels, RawGauge<u64, AtomicU64>>::default();
        let each = L::ALL.iter().map(|label| family.get_or_create_owned(&pairs(labels, &[label.value()]))).collect();
        registry.register(name, help, family);
        Self(each, PhantomData)
    }
}

/// Sums by labels whose values are known only as they come. For rare events: an addition takes a lock.
#[derive(Clone, Debug)]
pub struct OpenCounters {
    family: Family<Labels, RawCounter>,
    labels: &'static [&'static str],
}

impl OpenCounters {
    /// Adds `n` to that of `values`, one for each label in the order of the table. Values must come from a
    /// small set: words of the program, HTTP statuses.
    pub fn add(&self, values: &[&str], n: u64) {
        self.family.get_or_create(&pairs(self.labels, values)).inc_by(n);
    }

    /// The sum of `values` so far.
    #[must_use]
    pub fn get(&self, values: &[&str]) -> u64 {
        self.family.get(&pairs(self.labels, values)).map_or(0, |counter| counter.get())
    }
}

impl Register for OpenCounters {
    const KIND: &'static str = "counter";
    fn register(registry: &mut Registry, name: &str, help: &str, labels: &'static [&'static str]) -> Self {
        let family = Family::<Labels, RawCounter>::default();
        registry.register(name, help, family.clone());
        Self { family, labels }
    }
}

/// Durations, in [`SECONDS_BUCKETS`].
#[derive(Clone, Debug)]
pub struct Seconds(Histogram);

impl Seconds {
    /// One more.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

impl Register for Seconds {
    const KIND: &'static str = "histogram";
    fn register(registry: &mut Registry, name: &str, help: &str, _: &'static [&'static str]) -> Self {
        let histogram = Histogram::new(SECONDS_BUCKETS);
        registry.register(name, help, histogram.clone());
        Self(histogram)
    }
}

fn pairs(labels: &[&'static str], values: &[&str]) -> Labels {
    labels.iter().copied().zip(values.iter().map(|&value| value.to_owned())).collect()
}

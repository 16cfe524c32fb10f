//! What all connections share: the state behind one lock, the fault, the gate of the listener.
//!
//! In: pushes and reads from the HTTP side. Out: answers. The lock is never held over an await.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::ReceiverConfig;
use super::distributor::Distributor;
use super::fault::{Fault, FaultSwitch, Times};
use super::ingester::{Ingester, PushContext};
use super::refusal::Answer;
use super::stats::Stats;
use super::wire::PushRequest;

/// Whether connections are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Yes.
    Open,
    /// No: the listener is closed, connections are dropped.
    Refused,
    /// Never again.
    Stopped,
}

#[derive(Debug)]
struct State {
    distributor: Distributor,
    ingester: Ingester,
    stats: Stats,
    fault: FaultSwitch,
}

/// The receiver behind its listener.
#[derive(Debug)]
pub(crate) struct Shared {
    /// As given at the start.
    pub(crate) config: ReceiverConfig,
    /// What the listener obeys.
    pub(crate) gate: watch::Sender<Gate>,
    state: Mutex<State>,
}

impl Shared {
    /// An empty store with an open gate.
    pub(crate) fn new(config: ReceiverConfig) -> Self {
        let state = State {
            distributor: Distributor::new(&config.limits, config.keep_entries, config.clock.now_ns()),
            ingester: Ingester::new(config.keep_entries, config.seen_entries),
            stats: Stats::default(),
            fault: FaultSwitch::default(),
        };
        Self { config, gate: watch::Sender::new(Gate::Open), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock left whole counters behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets or clears the fault; a listener that was closed by one opens again.
    pub(crate) fn set_fault(&self, fault: Option<(Fault, Times)>) {
        let gate = if matches!(fault, Some((Fault::Refuse, _))) { Gate::Refused } else { Gate::Open };
        self.state().fault.set(fault.filter(|(fault, _)| *fault != Fault::Refuse));
        self.gate.send_if_modified(|now| {
            let change = *now != gate && *now != Gate::Stopped;
            if change {
                *now = gate;
            }
            change
        });
    }

    /// A push begins: the fault that it meets, and its number.
    pub(crate) fn begin(&self) -> (Option<Fault>, u64) {
        let mut state = self.state();
        state.stats.requests += 1;
        let fault = state.fault.draw();
        state.stats.faults += u64::from(fault.is_some());
        (fault, state.stats.requests)
    }

    /// A push's body is here.
    pub(crate) fn received(&self, body_bytes: usize) {
        self.state().stats.body_bytes += body_bytes as u64;
    }

    /// A push is answered with this status, 0: not at all.
    pub(crate) fn answered(&self, status: u16) {
        *self.state().stats.requests_by_status.entry(status).or_default() += 1;
    }

    /// Handles a decoded push.
    pub(crate) fn push(
        &self,
        tenant: &str,
        fault: Option<Fault>,
        request_no: u64,
        request: PushRequest,
        decoded_bytes: usize,
    ) -> Answer {
        let context = PushContext {
            now_ns: self.config.clock.now_ns(),
            request_no,
            tenant,
            sharding: self.config.sharding,
            stream_rate_exceeded: fault == Some(Fault::StreamRate),
            blocked: fault == Some(Fault::Blocked260),
            tenant_rate_exceeded: fault == Some(Fault::TooMany),
        };
        let mut state = self.state();
        let State { distributor, ingester, stats, .. } = &mut *state;
        stats.decoded_bytes += decoded_bytes as u64;
        distributor.push(&self.config.limits, context, ingester, stats, request, decoded_bytes)
    }

    /// Reads the store.
    pub(crate) fn read<T>(&self, f: impl FnOnce(&Ingester) -> T) -> T {
        f(&self.state().ingester)
    }

    /// A snapshot of the counters.
    pub(crate) fn stats(&self) -> Stats {
        self.state().stats.clone()
    }
}

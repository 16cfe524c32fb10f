//! Load generators, a container runtime's logger, real containers, a Loki-compatible receiver, and the tally
//! that compares what was written with what was stored. In the order in which data flows.

pub mod clock;
pub mod producer;
pub mod ledger;
pub mod pods;
pub mod runtime;
pub mod sample;
pub mod cri;
pub mod agent;
pub mod store;
pub mod tally;
pub mod demo;

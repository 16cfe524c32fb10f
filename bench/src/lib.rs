//! Load generators, a container runtime's logger, real containers, a Loki-compatible receiver, and the tally
//! that compares what was written with what was stored. In the order in which data flows.

pub mod agent;
pub mod ci;
pub mod clock;
pub mod cri;
pub mod demo;
pub mod e2e;
pub mod expect;
pub mod ledger;
pub mod logfiles;
pub mod pods;
pub mod producer;
pub mod receiver;
pub mod runtime;
pub mod sample;
pub mod setup;
pub mod store;
pub mod tally;

//! Load generators, a container runtime's logger, real containers, a Loki-compatible receiver, and the tally
//! that compares what was written with what was stored. In the order in which data flows.

pub mod clock;

pub mod ledger;
pub mod measure;
pub mod pods;
pub mod producer;

pub mod cri;
pub mod runtime;
pub mod sample;

pub mod agent;
pub mod arm64;
pub mod receiver;
pub mod rival;
pub mod store;

pub mod expect;
pub mod logfiles;
pub mod tally;

pub mod charts;
pub mod ci;
pub mod demo;
pub mod e2e;
pub mod ebpf;
pub mod image;
pub mod scenarios;
pub mod setup;
pub mod simulation;
pub mod stop;
pub mod tools;
pub mod vm;

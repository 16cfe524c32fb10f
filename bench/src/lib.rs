//! Load generators, a Loki-compatible receiver, scenarios.

pub mod receiver;

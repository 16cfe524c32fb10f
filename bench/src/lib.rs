//! Load generators, a container runtime's logger, real containers, a Loki-compatible receiver, and the tally
//! that compares what was written with what was stored. In the order in which data flows.

pub mod clock;
pub mod runtime;

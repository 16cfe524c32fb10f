//! Penstock ships the logs of one Kubernetes node to Grafana Loki.
//!
//! The rooms, in the order in which data flows; no room imports another, `pipeline` alone joins them.

pub mod types;

pub mod clock;
pub mod config;
pub mod limits;

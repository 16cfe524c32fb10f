//! Penstock ships the logs of one Kubernetes node to Grafana Loki.
//!
//! The rooms, in the order in which data flows; no room imports another, `pipeline` alone joins them.

pub mod types;

pub mod batch;
pub mod checkpoint;
pub mod discovery;
pub mod encode;
pub mod framing;
pub mod handover;
pub mod label;
pub mod parse;
pub mod send;
pub mod sources;

pub mod pipeline;
pub mod run;

pub mod admin;
pub mod health;
pub mod metrics;

pub mod cli;
pub mod doctor;

pub mod clock;
pub mod config;
pub mod json_string;
pub mod limits;
pub mod repeat;
pub mod rfc3339;

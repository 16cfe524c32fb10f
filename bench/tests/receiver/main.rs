//! The receiver from outside, over HTTP: does it answer as the real Loki 3.5.1 did?

mod client;
mod deduplication;
mod faults;
mod limits;
mod queries;
mod read_back;
mod refusals;

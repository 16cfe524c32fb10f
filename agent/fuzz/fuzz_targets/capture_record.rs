//! A capture record, on any bytes. What must hold is said in `agent/tests/outside_bytes/bodies.rs`.

#![no_main]

// Each target calls one of them.
#[allow(dead_code)]
#[path = "../../tests/outside_bytes/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::capture_record(bytes));

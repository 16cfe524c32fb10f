//! How far everything is answered for, and what is kept of that over a restart.
//!
//! `tracker` is pure; `store` and `journal` write files in `data_dir`. Never: a saved position beyond a byte that
//! Loki has not answered for.

mod data_file;
pub mod journal;
pub mod layout;
pub mod lock;
pub mod store;
pub mod tracker;

//! The types that cross a door between rooms. Constructors check; there is no other behaviour.

pub mod capture;
pub mod entry;
pub mod part;
pub mod pod;
pub mod position;
pub mod request;
pub mod saved;
pub mod shard;
pub mod time;
pub mod view;

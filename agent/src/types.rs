//! The types that cross a door between rooms. Constructors check; there is no other behaviour.

pub mod entry;
pub mod pod;
pub mod position;
pub mod request;
pub mod time;

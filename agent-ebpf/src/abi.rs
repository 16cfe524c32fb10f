//! The layouts that both sides share, one a file.

pub(crate) mod counts;
pub(crate) mod offsets;
pub(crate) mod pipe;
pub(crate) mod record;

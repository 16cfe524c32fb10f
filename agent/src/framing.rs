//! From blocks of a log file to records: physical lines are split, their prefix is read, parts are joined. And from the
//! fragments of a pipe to lines (`fragments`).
//!
//! In: bytes of a file with their position, fragments with theirs. Out: pieces of lines (`split`), records (`join`). Never: a file, a clock,
//! or a copy of a line that came whole.

pub mod cri;
pub mod docker;
pub mod fragments;
pub mod join;
pub mod lift;
pub mod split;

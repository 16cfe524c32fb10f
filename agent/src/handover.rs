//! Which of two witnesses ships a line: the kernel, which sees it first, or the log file, which proves that nothing
//! was missed.
//!
//! In: lines of a pipe and lines of a log file, each as length and hash, with their times. Out: for each line whether
//! it is to be shipped, and by whom. Never: a clock, a file, a line's bytes but for those that wait in a window.
//!
//! What always holds, whatever the two witnesses say:
//! 1. A file line that is not shipped was paired with a captured line of the same length and hash that was.
//! 2. A captured line is paired once at most.
//!
//! So a wrong guess about which line is which can double a line, and cannot lose one.

pub mod align;
pub mod fingerprint;
pub mod forgotten;
pub mod pending;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod why;
pub mod window;

//! The pipe finder on the real procfs with real processes, and on made-up trees.

mod logger;
mod made_up;
mod real;
mod runtimes;
mod thread;

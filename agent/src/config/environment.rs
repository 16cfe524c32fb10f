//! The one place that reads the process environment.
//!
//! In: the name of a variable. Out: its value. Never: a change to the environment.

/// The value of an environment variable; `None` where it is not set or is not UTF-8.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

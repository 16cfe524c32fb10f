//! The one place that reads the process environment.
//!
//! In: the name of a variable. Out: its value. Never: a change to the environment.

use std::env::VarError;
use std::ffi::OsString;

/// The value of an environment variable; `None` where it is not set or is not UTF-8.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    raw(name)?.into_string().ok()
}

/// The value of an environment variable, whatever its bytes.
#[expect(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
pub(super) fn raw(name: &str) -> Option<OsString> {
    match std::env::var(name) {
        Ok(value) => Some(value.into()),
        Err(VarError::NotUnicode(value)) => Some(value),
        Err(VarError::NotPresent) => None,
    }
}

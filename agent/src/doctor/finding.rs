//! One finding, and how findings are printed.
//!
//! In: what was looked at and what was found. Out: lines for people, or JSON. Never: more than one line a finding.

use serde::Serialize;
use std::fmt::Write as _;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// `run` works, but not as well as it could.
    Warn,
    /// `run` could not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub what: &'static str,
    /// What was found, on one line.
    pub detail: String,
    /// What to do about it; `None` where there is nothing to do.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(what: &'static str, detail: String) -> Self {
        Self { level: Level::Ok, what, detail: one_line(&detail), remedy: None }
    }

    pub(super) fn warn(what: &'static str, detail: String, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warn, what, detail: one_line(&detail), remedy: Some(one_line(&remedy.into())) }
    }

    pub(super) fn fail(what: &'static str, detail: String, remedy: impl Into<String>) -> Self {
        Self { level: Level::Fail, ..Self::warn(what, detail, remedy) }
    }
}

/// `ok|warn|fail  WHAT  DETAIL  (remedy)`, a line each.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let mut out = String::new();
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        let _ = write!(out, "{level:<4}  {:<width$}  {}", finding.what, finding.detail);
        if let Some(remedy) = &finding.remedy {
            let _ = write!(out, "  ({remedy})");
        }
        out.push('\n');
    }
    out
}

/// A JSON array of objects with `level`, `what`, `detail`, `remedy` (null where there is none).
///
/// # Errors
/// None that can be met: the findings are plain text.
pub fn json(findings: &[Finding]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(findings)
}

/// What others say (the kernel's verifier, an API, Loki) may have several lines, and many.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).collect();
    match line.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// An error with everything below it, `a: b: c`, where the upper one does not already say it.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let below = error.to_string();
        if !text.contains(&below) {
            let _ = write!(text, ": {below}");
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_has_its_remedy_in_brackets() {
        let findings = [
            Finding::ok("loki", "fine".to_owned()),
            Finding::fail("data_dir", "bad\n  \u{1b}[31mthing".to_owned(), "mend\nit"),
        ];
        assert_eq!(text(&findings), "ok    loki      fine\nfail  data_dir  bad [31mthing  (mend it)\n");
        let parsed: serde_json::Value = serde_json::from_str(&json(&findings).unwrap()).unwrap();
        assert_eq!(parsed[0], serde_json::json!({"level": "ok", "what": "loki", "detail": "fine", "remedy": null}));
        assert_eq!(parsed[1]["level"], "fail");
        assert!(Finding::ok("x", "é".repeat(500)).detail.ends_with("é…"));
    }
}

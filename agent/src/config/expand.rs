//! `${VAR}`, `${VAR:-DEFAULT}` and `$$` in a value.
//!
//! In: the text of one scalar, after the YAML was parsed, so that a variable can never bring structure with it.
//! Out: the text with the values put in, once: a value's own `$` is left alone. Never: keys, or the process
//! environment itself.

use super::Env;
use super::error::Problem;

/// Puts the variables' values in. As in a shell, `:-` also counts for a variable that is set but empty.
///
/// # Errors
/// [`Problem::Unset`] for a variable without value and default, [`Problem::VariableNotUtf8`], [`Problem::Nested`] for a
/// variable in a default, [`Problem::Dollar`] for any other use of `$`.
pub(super) fn expand(text: &str, env: Env<'_>) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
            continue;
        }
        let Some((inner, after)) = rest.strip_prefix("${").and_then(|inner| inner.split_once('}')) else {
            return Err(Problem::Dollar(rest.chars().take(24).collect()));
        };
        let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
        if !is_variable_name(name) {
            return Err(Problem::Dollar(format!("${{{inner}}}")));
        }
        let default = default.map(plain).transpose()?;
        let value = env(name).map(|value| value.into_string().map_err(|_| Problem::VariableNotUtf8(name.to_owned())));
        match (value.transpose()?, default) {
            (Some(value), None) => out.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => out.push_str(&value),
            (_, Some(default)) => out.push_str(&default),
            (None, None) => return Err(Problem::Unset(name.to_owned())),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// A default: text in which `$$` is a dollar sign and no other `$` may stand.
fn plain(default: &str) -> Result<String, Problem> {
    let mut out = String::new();
    let mut rest = default;
    while let Some((before, after)) = rest.split_once('$') {
        let Some(after_both) = after.strip_prefix('$') else {
            let found = rest.get(before.len()..).unwrap_or_default().chars().take(24).collect();
            return Err(if after.starts_with('{') { Problem::Nested(found) } else { Problem::Dollar(found) });
        };
        out.push_str(before);
        out.push('$');
        rest = after_both;
    }
    out.push_str(rest);
    Ok(out)
}

fn is_variable_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    fn with(text: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "A" => Some("a$${B}: [x]".into()),
            "EMPTY" => Some(OsString::new()),
            "LATIN" => Some(OsString::from_vec(b"caf\xe9".to_vec())),
            _ => None,
        };
        expand(text, &env).map_err(|problem| problem.to_string())
    }

    #[test]
    fn values_defaults_and_dollars() {
        assert_eq!(with("plain").unwrap(), "plain");
        assert_eq!(with("<${A}>").unwrap(), "<a$${B}: [x]>", "a value is not expanded again");
        assert_eq!(with("${EMPTY}|${EMPTY:-d}|${NONE:-}|${NONE:-a b}").unwrap(), "|d||a b");
        assert_eq!(with("$$5 and $${A}").unwrap(), "$5 and ${A}");
    }

    #[test]
    fn a_default_is_text_and_holds_no_variable() {
        assert_eq!(with("${NONE:-a$$b}").unwrap(), "a$b");
        for nested in ["${NONE:-${A}/x}", "${A:-${NONE}}", "${NONE:-x${A:-y}}", "${NONE:-$$${A}}"] {
            assert!(with(nested).unwrap_err().contains("a variable within a default is not supported"), "{nested}");
        }
        for bad in ["${NONE:-$A}", "${A:-5$}"] {
            assert!(with(bad).unwrap_err().contains("$$ for a dollar sign"), "{bad}");
        }
    }

    #[test]
    fn a_value_that_is_not_utf_8_is_said_to_be_so() {
        for text in ["${LATIN}", "${LATIN:-x}"] {
            assert!(with(text).unwrap_err().contains("LATIN is not UTF-8"), "{text}");
        }
    }

    #[test]
    fn other_dollars_are_errors_that_name_the_remedy() {
        assert!(with("x${NONE}").unwrap_err().contains("environment variable NONE is not set"));
        for bad in ["$A", "${}", "${A", "${1A}", "${A-b}", "5$", "${A B}"] {
            assert!(with(bad).unwrap_err().contains("write ${VAR}"), "{bad}");
        }
    }
}

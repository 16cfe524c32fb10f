//! What can be wrong with a configuration, in words that name the remedy.
//!
//! In: the place and the key path of a mistake, and its kind. Out: one printed line each. Never: the text of a
//! secret (values of the configuration are not secrets; those are in files that it names).

use std::fmt;

/// A place in the configuration file, as an editor counts: both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where; `None` where the file as a whole cannot be read.
    pub place: Option<Place>,
    /// Dotted path of the key, such as `loki.rate` or `select[2]`; empty for the document itself.
    pub key: String,
    /// What is wrong, and the remedy.
    pub problem: Problem,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.problem)
    }
}

/// Every mistake that was found, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

/// The kinds of mistakes. All of them are the user's to mend; trying again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file could not be read.
    #[error("the configuration cannot be read: {0}; check the path given to --config and the file's rights")]
    Unreadable(String),
    /// Bytes that are not UTF-8.
    #[error("the configuration is not UTF-8 here; save the file as UTF-8")]
    NotUtf8,
    /// The YAML parser's own complaint.
    #[error("not valid YAML: {0}")]
    Yaml(String),
    /// YAML that this configuration has no use for.
    #[error("{0}")]
    YamlFeature(&'static str),
    /// A key that does not exist.
    #[error("unknown key{}", .nearest.as_ref().map_or_else(
        || format!("; known here: {}", .known.join(", ")), |near| format!("; did you mean `{near}`?")))]
    UnknownKey {
        /// The known key that looks most like it.
        nearest: Option<String>,
        /// All keys that may stand here.
        known: &'static [&'static str],
    },
    /// A key that is there twice.
    #[error("the key is already set in line {0}; keep one of the two")]
    DoubledKey(usize),
    /// A value of another shape than needed.
    #[error("{expected} is needed here, this is {found}")]
    Shape {
        /// What the key takes.
        expected: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// A key without a value.
    #[error("no value is given; write one, or leave the key out for its default")]
    NoValue,
    /// A variable without value and default.
    #[error("the environment variable {0} is not set; set it, or write ${{{0}:-DEFAULT}}")]
    Unset(String),
    /// A variable whose value is no text.
    #[error("the value of the environment variable {0} is not UTF-8; set it to one that is")]
    VariableNotUtf8(String),
    /// `${A:-${B}}`
    #[error("`{0}`: a variable within a default is not supported; write the default out, or set the outer variable")]
    Nested(String),
    /// No name for the node, from nowhere.
    #[error(
        "neither this key nor the environment variable NODE_NAME is set; set NODE_NAME (in Kubernetes by a fieldRef \
         to spec.nodeName), or write the key"
    )]
    NoNodeName,
    /// A `$` that starts nothing known.
    #[error("`{0}` is not understood; write ${{VAR}} or ${{VAR:-DEFAULT}}, and $$ for a dollar sign")]
    Dollar(String),
    /// A size that cannot be read.
    #[error(
        "`{0}` is not a size; write a whole number with B, KiB, MiB, GiB, TiB (powers of 1,024) or \
         KB, MB, GB, TB (powers of 1,000), such as 64MiB; a number alone is bytes"
    )]
    Size(String),
    /// A duration that cannot be read.
    #[error("`{0}` is not a duration; write a number with ns, us, ms, s, m or h, such as 500ms")]
    Duration(String),
    /// A word outside a fixed set.
    #[error("`{found}` is not known here; write one of {known}")]
    Word {
        /// What was found.
        found: String,
        /// What would be right, joined.
        known: String,
    },
    /// A number that is too small or too large, or a list of the wrong length.
    #[error("{0}")]
    Range(String),
    /// A folder that depends on where the agent was started.
    #[error("`{0}` is not an absolute path; begin it with /")]
    RelativePath(String),
    /// Not an address.
    #[error("`{0}` is not a listen address; write an IP address and a port, such as 0.0.0.0:9598 or [::]:9598")]
    Address(String),
    /// Not a base URL of Loki.
    #[error("`{found}` is not a usable URL: {why}")]
    Url {
        /// What was found.
        found: String,
        /// What is wrong and the remedy.
        why: &'static str,
    },
    /// Not a selector.
    #[error("`{found}` is not a label selector: {why}")]
    Selector {
        /// What was found.
        found: String,
        /// The selector parser's words.
        why: String,
    },
    /// Not a source.
    #[error(
        "`{0}` is not a source; write one of pod.namespace, pod.name, pod.uid, pod.label/KEY, \
         container.name, node.name, json.level, json.trace_id, value/CONSTANT"
    )]
    Source(String),
    /// `pod.label/` with something that no label can be called.
    #[error(
        "`{0}` is not a Kubernetes label key; write [PREFIX/]NAME, NAME of at most 63 letters, digits, `-`, `_`, `.`"
    )]
    LabelKey(String),
    /// A source in the wrong half.
    #[error("{source_name} may only stand in `{section}`; move it there")]
    Misplaced {
        /// `json.level` or `json.trace_id`.
        source_name: &'static str,
        /// Where it belongs.
        section: &'static str,
    },
    /// A name that Loki would refuse or keeps for itself.
    #[error(
        "not a name that Loki takes; use letters, digits and `_`, not a digit first, not `__` first, at most {} bytes",
        crate::limits::LABEL_NAME_BYTES_MAX
    )]
    Name,
    /// Two settings that exclude each other.
    #[error("{0} cannot both be set; remove one")]
    Both(&'static str),
    /// A setting that needs another.
    #[error("`{0}` is missing beside it; add it")]
    Missing(&'static str),
    /// Anything else about one value.
    #[error("`{found}` cannot be used: {why}")]
    Unusable {
        /// What was found.
        found: String,
        /// What is wrong and the remedy.
        why: &'static str,
    },
}

//! Reading a tree of YAML nodes key by key, collecting every mistake on the way.
//!
//! In: nodes and the environment. Out: typed values, and the list of mistakes; a value that is wrong is replaced
//! by its default so that reading can go on. Never: a stop at the first mistake, or a key passed over in silence.

use super::Env;
use super::error::{ConfigError, Place, Problem};
use super::expand::expand;
use super::yaml::{Kind, Node};

/// Collects the mistakes of one configuration.
pub(super) struct Form<'e> {
    env: Env<'e>,
    pub(super) errors: Vec<ConfigError>,
}

/// A mapping whose keys have been checked: each is known and there once.
pub(super) struct Section<'n> {
    path: String,
    /// Where the mapping begins; the place of what is missing from it.
    pub(super) place: Place,
    entries: Vec<(&'n str, Place, &'n Node)>,
}

impl<'e> Form<'e> {
    pub(super) fn new(env: Env<'e>) -> Self {
        Self { env, errors: Vec::new() }
    }

    pub(super) fn report(&mut self, place: Place, key: &str, problem: Problem) {
        self.errors.push(ConfigError { place: Some(place), key: key.to_owned(), problem });
    }

    /// A mapping with a fixed set of keys.
    pub(super) fn section<'n>(&mut self, node: &'n Node, path: &str, known: &'static [&'static str]) -> Section<'n> {
        let mut section = self.free_section(node, path);
        section.entries.retain(|(key, place, _)| {
            let is_known = known.contains(key);
            if !is_known {
                let problem = Problem::UnknownKey { nearest: nearest(key, known), known };
                self.report(*place, &join(path, key), problem);
            }
            is_known
        });
        section
    }

    /// A mapping whose keys are the user's own.
    pub(super) fn free_section<'n>(&mut self, node: &'n Node, path: &str) -> Section<'n> {
        let mut section = Section { path: path.to_owned(), place: node.place, entries: Vec::new() };
        let pairs = match &node.kind {
            Kind::Map(pairs) => pairs,
            Kind::Null => {
                self.report(node.place, path, Problem::NoValue);
                return section;
            }
            other => {
                self.report(node.place, path, Problem::Shape { expected: "a mapping", found: other.name() });
                return section;
            }
        };
        for (key, value) in pairs {
            let Kind::Scalar(name) = &key.kind else {
                self.report(key.place, path, Problem::Shape { expected: "a word as key", found: key.kind.name() });
                continue;
            };
            match section.entries.iter().find(|(known, ..)| known == name) {
                Some((_, first, _)) => {
                    let first = first.line;
                    self.report(key.place, &join(path, name), Problem::DoubledKey(first));
                }
                None => section.entries.push((name, key.place, value)),
            }
        }
        section
    }

    /// The text of a scalar with the environment put in; `None` when a mistake was noted.
    pub(super) fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        let problem = match &node.kind {
            Kind::Scalar(text) => match expand(text, self.env) {
                Ok(text) => return Some(text),
                Err(problem) => problem,
            },
            Kind::Null => Problem::NoValue,
            other => Problem::Shape { expected: "a single value", found: other.name() },
        };
        self.report(node.place, path, problem);
        None
    }

    /// The value of a scalar; `None` when a mistake was noted.
    pub(super) fn typed<T>(
        &mut self,
        node: &Node,
        path: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let text = self.text(node, path)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.report(node.place, path, problem);
                None
            }
        }
    }

    /// The value of a key, or `default` where the key is absent or wrong.
    pub(super) fn value<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        default: T,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> T {
        self.optional(section, key, parse).unwrap_or(default)
    }

    /// The value of a key that has no default.
    pub(super) fn optional<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let node = section.get(key)?;
        self.typed(node, &section.path(key), parse)
    }

    /// The items of a list with their places, or `default` where the key is absent or not a list. Wrong items are
    /// noted and left out.
    pub(super) fn list<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        default: Vec<T>,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Vec<T> {
        let Some(node) = section.get(key) else { return default };
        let path = section.path(key);
        let items = match &node.kind {
            Kind::List(items) => items,
            Kind::Null => {
                self.report(node.place, &path, Problem::NoValue);
                return default;
            }
            other => {
                self.report(node.place, &path, Problem::Shape { expected: "a list", found: other.name() });
                return default;
            }
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            values.extend(self.typed(item, &format!("{path}[{index}]"), &parse));
        }
        values
    }
}

impl<'n> Section<'n> {
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(known, ..)| *known == key).map(|(_, _, node)| *node)
    }

    /// Dotted path of a key of this section.
    pub(super) fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Where the value of a key is; the section's own place where it is absent.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or(self.place, |node| node.place)
    }

    /// Keys with their places and values, in the order of the file.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'n str, Place, &'n Node)> + '_ {
        self.entries.iter().copied()
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The known key that looks most like `key`, if any does.
fn nearest(key: &str, known: &[&str]) -> Option<String> {
    if key.len() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|candidate| (distance(&plain(key), candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| (*candidate).to_owned())
}

/// Edits (insert, remove, replace) from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != *b)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named_only_where_one_is_near() {
        let known = ["data_dir", "log_dir", "line", "loki"];
        assert_eq!(nearest("datadir", &known).as_deref(), Some("data_dir"));
        assert_eq!(nearest("Log-Dir", &known).as_deref(), Some("log_dir"));
        assert_eq!(nearest("lin", &known).as_deref(), Some("line"));
        assert_eq!(nearest("transforms", &known), None);
    }
}

//! YAML text as a tree in which every key and value knows its place.
//!
//! In: the text. Out: [`Node`]s, scalars still as text. Never: a doubled key thrown away, tags, deep nesting, or an
//! alias that blows up: what a configuration has no use for is refused by name.

use super::error::{ConfigError, Place, Problem};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use std::collections::HashMap;

/// Levels of nesting. The configuration has three.
const DEPTH_MAX: usize = 16;
/// Nodes of the tree, aliases counted as what they stand for.
const NODES_MAX: usize = 20_000;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file; keys may be doubled.
    Map(Vec<(Node, Node)>),
}

impl Kind {
    /// For messages.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// The document's root; `None` where there is only white space and comments.
pub(super) fn parse(text: &str) -> Result<Option<Node>, ConfigError> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let why = Problem::Yaml(error.info().to_owned());
            ConfigError { place: Some(place(*error.marker())), key: String::new(), problem: why }
        })?;
        let at = place(span.start);
        tree.take(event, at).map_err(|why| ConfigError {
            place: Some(at),
            key: String::new(),
            problem: Problem::YamlFeature(why),
        })?;
    }
    Ok(tree.root)
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

/// A list or mapping that is not closed yet.
struct Open {
    place: Place,
    anchor: usize,
    is_map: bool,
    children: Vec<Node>,
}

#[derive(Default)]
struct Tree {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    documents: usize,
    nodes: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), &'static str> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second YAML document begins here; keep one (remove `---`)");
                }
            }
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return Err("`!` begins a YAML tag here, which is not used; put the whole value in quotes");
            }
            Event::Scalar(text, style, anchor, None) => {
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let kind = if is_null { Kind::Null } else { Kind::Scalar(text.into_owned()) };
                self.close(Node { place, kind }, anchor, 1)?;
            }
            Event::SequenceStart(anchor, None) => self.begin(place, anchor, false)?,
            Event::MappingStart(anchor, None) => self.begin(place, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let anchor = open.anchor;
                    let node = open.into_node();
                    let size = if anchor > 0 { count(&node) } else { 1 };
                    self.close(node, anchor, size)?;
                }
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err("this alias stands inside the value that it names; write the value out");
                };
                let (node, size) = (Node { place, kind: node.kind.clone() }, *size);
                self.close(node, 0, size)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, place: Place, anchor: usize, is_map: bool) -> Result<(), &'static str> {
        if self.open.len() >= DEPTH_MAX {
            return Err("nested too deep; the configuration has three levels");
        }
        self.open.push(Open { place, anchor, is_map, children: Vec::new() });
        Ok(())
    }

    fn close(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), &'static str> {
        self.nodes = self.nodes.saturating_add(size);
        if self.nodes > NODES_MAX {
            return Err("too many values, aliases counted as what they stand for; write a smaller configuration");
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }
}

impl Open {
    fn into_node(self) -> Node {
        let kind = if self.is_map {
            let mut pairs = Vec::with_capacity(self.children.len() / 2);
            let mut children = self.children.into_iter();
            while let (Some(key), Some(value)) = (children.next(), children.next()) {
                pairs.push((key, value));
            }
            Kind::Map(pairs)
        } else {
            Kind::List(self.children)
        };
        Node { place: self.place, kind }
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Null | Kind::Scalar(_) => 0,
        Kind::List(items) => items.iter().map(count).sum::<usize>(),
        Kind::Map(pairs) => pairs.iter().map(|(key, value)| count(key) + count(value)).sum(),
    }
}

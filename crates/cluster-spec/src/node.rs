//! YAML text as a tree of nodes that know their place.

use std::collections::HashMap;

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::problem::Problem;
use crate::scalar;

/// Deepest nesting that is read.
const DEPTH: usize = 64;
/// Most nodes of a file, aliases counted as often as they are used.
const NODES: usize = 100_000;

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// Characters on that line.
    pub(crate) width: usize,
}

impl Place {
    fn of(span: &Span) -> Self {
        let width = if span.end.line() == span.start.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            1
        };
        Self {
            line: span.start.line(),
            column: span.start.col() + 1,
            width: width.max(1),
        }
    }
}

/// A node and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    /// A scalar; `plain` when it stands without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping with the places of its keys.
    Map(Vec<(String, Place, Node)>),
}

impl Node {
    /// The value of a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            NodeKind::Map(entries) => entries
                .iter()
                .find(|(name, _, _)| name == key)
                .map(|(_, _, node)| node),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether it is an absent value: nothing, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, plain: true } if scalar::resolve(text).is_null())
    }

    /// The node as JSON by YAML's core schema.
    pub(crate) fn json(&self) -> Value {
        match &self.kind {
            NodeKind::Scalar { text, plain: true } => scalar::resolve(text),
            NodeKind::Scalar { text, plain: false } => Value::String(text.clone()),
            NodeKind::List(items) => Value::Array(items.iter().map(Node::json).collect()),
            NodeKind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, _, node)| (key.clone(), node.json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Reads all documents; empty ones are left out. Problems of single keys do not end the reading, broken syntax does.
pub(crate) fn documents(text: &str) -> (Vec<Node>, Vec<Problem>) {
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        problems: Vec::new(),
    };
    let mut documents = Vec::new();
    loop {
        match builder.event() {
            Err(Stopped) | Ok((Event::StreamEnd, _)) => break,
            Ok((Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _)) => {}
            Ok((event, span)) => match builder.node(event, &span, 0) {
                Ok(node) if node.is_null() => {}
                Ok(node) => documents.push(node),
                Err(Stopped) => break,
            },
        }
    }
    (documents, builder.problems)
}

/// Reading cannot go on; the problem is recorded.
struct Stopped;

struct Builder<'a, T: serde_saphyr::granit_parser::BorrowedInput<'a>> {
    events: Parser<'a, T>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    problems: Vec<Problem>,
}

impl<'a, T: serde_saphyr::granit_parser::BorrowedInput<'a>> Builder<'a, T> {
    fn event(&mut self) -> Result<(Event<'a>, Span), Stopped> {
        loop {
            match self.events.next_event() {
                None => return Ok((Event::StreamEnd, Span::default())),
                Some(Ok((Event::Comment(..) | Event::Anchor(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => {
                    let marker = error.marker();
                    let place = Place {
                        line: marker.line(),
                        column: marker.col() + 1,
                        width: 1,
                    };
                    return Err(self.stop(
                        place,
                        format!("this is not YAML: {}", error.info()),
                        "fix the line",
                    ));
                }
            }
        }
    }

    fn stop(&mut self, place: Place, message: String, next_step: &str) -> Stopped {
        self.problem(place, message, next_step);
        Stopped
    }

    fn problem(&mut self, place: Place, message: String, next_step: &str) {
        self.problems.push(Problem {
            line: place.line,
            column: place.column,
            width: place.width,
            place: String::new(),
            message,
            next_step: next_step.to_owned(),
        });
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Stopped> {
        let place = Place::of(span);
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            return Err(self.stop(
                place,
                "the file is nested too deeply or too large".to_owned(),
                "split it",
            ));
        }
        let (anchor, kind) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                (
                    anchor,
                    NodeKind::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                )
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.map(depth)?),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.stop(
                        place,
                        "the alias names no anchor".to_owned(),
                        "write the value out",
                    ));
                };
                self.nodes += size(&node);
                return Ok(Node {
                    place,
                    kind: node.kind,
                });
            }
            _ => return Err(self.stop(place, "a value is missing here".to_owned(), "write one")),
        };
        let node = Node { place, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<NodeKind, Stopped> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd, _) => return Ok(NodeKind::List(items)),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<NodeKind, Stopped> {
        let mut entries: Vec<(String, Place, Node)> = Vec::new();
        loop {
            let key = match self.event()? {
                (Event::MappingEnd, _) => return Ok(NodeKind::Map(entries)),
                (event, span) => self.node(event, &span, depth + 1)?,
            };
            let (event, span) = self.event()?;
            let value = self.node(event, &span, depth + 1)?;
            let Some(name) = key.text() else {
                self.problem(
                    key.place,
                    "a key must be a string".to_owned(),
                    "write a name before the colon",
                );
                continue;
            };
            if let Some((_, first, _)) = entries.iter().find(|(known, _, _)| known == name) {
                let message = format!("{name} stands twice, first in line {}", first.line);
                self.problem(key.place, message, "keep one of the two");
                continue;
            }
            entries.push((name.to_owned(), key.place, value));
        }
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        NodeKind::Scalar { .. } => 0,
        NodeKind::List(items) => items.iter().map(size).sum(),
        NodeKind::Map(entries) => entries.iter().map(|(_, _, node)| size(node)).sum(),
    }
}

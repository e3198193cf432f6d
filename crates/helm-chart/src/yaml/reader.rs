//! Reading: documents with their anchors and merge keys, under limits.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};
use serde_saphyr::granit_parser::{BorrowedInput, Event, Parser, ScalarStyle};

use super::scalars::resolve;

/// How deep values nest.
const DEPTH: usize = 64;
/// Values in one text, those that aliases repeat included.
const NODES: usize = 500_000;

/// A text that is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Line, from 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// The documents of a text; an empty one is null.
pub(crate) fn documents(text: &str) -> Result<Vec<Json>, Fault> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        line: 1,
    };
    let mut found = Vec::new();
    loop {
        match reader.event()? {
            Event::StreamEnd => return Ok(found),
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event => found.push(reader.node(event, 0)?),
        }
    }
}

/// The first document of a text; null without one.
pub(crate) fn read(text: &str) -> Result<Json, Fault> {
    Ok(documents(text)?.into_iter().next().unwrap_or(Json::Null))
}

struct Reader<'a, T: BorrowedInput<'a>> {
    events: Parser<'a, T>,
    anchors: HashMap<usize, Json>,
    nodes: usize,
    line: usize,
}

impl<'a, T: BorrowedInput<'a>> Reader<'a, T> {
    fn event(&mut self) -> Result<Event<'a>, Fault> {
        loop {
            match self.events.next_event() {
                None => return Ok(Event::StreamEnd),
                Some(Ok((Event::Comment(..) | Event::Anchor(..), _))) => {}
                Some(Ok((event, span))) => {
                    self.line = span.start.line();
                    return Ok(event);
                }
                Some(Err(error)) => {
                    self.line = error.marker().line();
                    return Err(self.fault(error.info()));
                }
            }
        }
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            line: self.line,
            message: message.into(),
        }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Json, Fault> {
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            return Err(self.fault("the text is nested too deeply or has too many values"));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, ScalarStyle::Plain, anchor, tag) => {
                let value = match tag.map(|tag| tag.suffix().to_string()) {
                    Some(tag) if tag == "str" => Json::String(text.into_owned()),
                    _ => resolve(&text),
                };
                (anchor, value)
            }
            Event::Scalar(text, _, anchor, _) => (anchor, Json::String(text.into_owned())),
            Event::SequenceStart(_, anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.map(depth)?),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let value = known.ok_or_else(|| self.fault("the alias names no anchor"))?;
                self.nodes += size(&value);
                return Ok(value);
            }
            _ => return Err(self.fault("a value is missing here")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Json, Fault> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                Event::SequenceEnd => return Ok(Json::Array(items)),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Json, Fault> {
        let mut entries = Map::new();
        let mut merged = Map::new();
        loop {
            let (key, plain) = match self.event()? {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (text.into_owned(), style == ScalarStyle::Plain),
                _ => return Err(self.fault("a key must be a string")),
            };
            let line = self.line;
            let event = self.event()?;
            let value = self.node(event, depth + 1)?;
            if plain && key == "<<" {
                merge(&mut merged, value).ok_or_else(|| self.fault("<< takes a dict or a list of dicts"))?;
                continue;
            }
            if entries.insert(key.clone(), value).is_some() {
                self.line = line;
                return Err(self.fault(format!("key {key:?} stands twice in one dict")));
            }
        }
        for (key, value) in merged {
            entries.entry(key).or_insert(value);
        }
        Ok(Json::Object(entries))
    }
}

fn merge(into: &mut Map<String, Json>, value: Json) -> Option<()> {
    match value {
        Json::Object(entries) => {
            for (key, value) in entries {
                into.entry(key).or_insert(value);
            }
        }
        Json::Array(items) => {
            for item in items {
                merge(into, item)?;
            }
        }
        _ => return None,
    }
    Some(())
}

fn size(value: &Json) -> usize {
    1 + match value {
        Json::Array(items) => items.iter().map(size).sum(),
        Json::Object(entries) => entries.values().map(size).sum(),
        _ => 0,
    }
}

//! Printer columns and the JSONPath subset that they use.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::meta::{Meta, time};

/// A column of a kind's table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) cell: Cell,
}

/// How a cell is made.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// `metadata.name`.
    Name,
    /// A JSONPath.
    Path(Vec<Step>),
    /// Number of entries of a map.
    Count(&'static str),
    /// Kind and name of the object that an Event is about.
    Regarding,
    /// When an Event was last seen.
    LastSeen,
}

/// One step of a JSONPath.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Field(String),
    Index(i64),
    All,
    Where(Vec<Step>, Value, bool),
}

impl Column {
    /// A column with a JSONPath such as `.spec.powerState`; a bad path gives an always empty column.
    pub(crate) fn path(name: &str, kind: &str, path: &str) -> Column {
        Column::new(name, kind, Cell::Path(parse_path(path).unwrap_or_default()))
    }

    /// A column of another sort.
    pub(crate) fn new(name: &str, kind: &str, cell: Cell) -> Column {
        let format = if matches!(cell, Cell::Name) { "name" } else { "" };
        Column {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: format.to_owned(),
            description: String::new(),
            priority: 0,
            cell,
        }
    }

    /// The column shows only with `-o wide`.
    pub(crate) fn wide(mut self) -> Column {
        self.priority = 1;
        self
    }

    /// The age column.
    pub(crate) fn age() -> Column {
        Column::path("Age", "date", ".metadata.creationTimestamp")
    }

    /// The definition for a `Table`.
    pub(crate) fn definition(&self) -> Value {
        // Dates are sent as text already, as the real server does.
        let kind = if self.kind == "date" {
            "date"
        } else {
            self.kind.as_str()
        };
        json!({"name": self.name, "type": kind, "format": self.format, "description": self.description,
            "priority": self.priority})
    }
}

/// The value of a column for an object.
pub(crate) fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    match &column.cell {
        Cell::Name => object.name().into(),
        Cell::Count(field) => object
            .get(*field)
            .and_then(Value::as_object)
            .map_or(0, serde_json::Map::len)
            .into(),
        Cell::Regarding => {
            let of = &object["involvedObject"];
            let kind = of["kind"].as_str().unwrap_or("").to_lowercase();
            format!("{kind}/{}", of["name"].as_str().unwrap_or("")).into()
        }
        Cell::LastSeen => {
            let times = [
                &object["series"]["lastObservedTime"],
                &object["lastTimestamp"],
                &object["eventTime"],
            ];
            let seen = times.into_iter().find_map(Value::as_str);
            seen.or(Some(object.meta_str("creationTimestamp")))
                .map_or(Value::Null, |t| time::age(t, now).into())
        }
        Cell::Path(steps) => {
            let found = find(object, steps);
            typed(&column.kind, &found, now)
        }
    }
}

fn typed(kind: &str, found: &[&Value], now: Timestamp) -> Value {
    match (found, kind) {
        ([], "date") => "<unknown>".into(),
        ([], _) => Value::Null,
        ([one], "date") => one.as_str().map_or(Value::Null, |t| time::age(t, now).into()),
        ([Value::Number(n)], "integer" | "number") => n.clone().into(),
        ([Value::Bool(b)], "boolean") => (*b).into(),
        (all, _) => {
            let texts: Vec<String> = all.iter().map(|v| text(v)).collect();
            texts.join(",").into()
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            format!(
                "[{}]",
                texts
                    .iter()
                    .map(|t| format!("{t:?}"))
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Parses `.a.b['c'].d[0].e[?(@.type=="Ready")].status`, with or without braces.
pub(crate) fn parse_path(path: &str) -> Option<Vec<Step>> {
    let path = path.trim();
    let path = path
        .strip_prefix('{')
        .and_then(|p| p.strip_suffix('}'))
        .unwrap_or(path);
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let (name, tail) = field(after);
            match name.as_str() {
                "" if tail.starts_with('[') => {}
                "" => return None,
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Field(name)),
            }
            rest = tail;
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            steps.push(bracket(&after[..end])?);
            rest = &after[end + 1..];
        } else if steps.is_empty() {
            let (name, tail) = field(rest);
            steps.push(Step::Field(name));
            rest = tail;
        } else {
            return None;
        }
    }
    Some(steps)
}

/// A field name up to the next `.` or `[`; a backslash escapes.
fn field(text: &str) -> (String, &str) {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                name.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' | '[' => return (name, &text[at..]),
            _ => name.push(c),
        }
    }
    (name, "")
}

fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0_u32);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), _) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Option<Step> {
    let inside = inside.trim();
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        let (left, right, equal) = match filter.split_once("==") {
            Some((left, right)) => (left, right, true),
            None => filter
                .split_once("!=")
                .map(|(left, right)| (left, right, false))?,
        };
        let path = parse_path(left.trim().strip_prefix('@')?)?;
        return Some(Step::Where(path, literal(right.trim())?, equal));
    }
    match literal(inside)? {
        Value::String(name) => Some(Step::Field(name)),
        Value::Number(n) => n.as_i64().map(Step::Index),
        _ => None,
    }
}

fn literal(text: &str) -> Option<Value> {
    let unquoted = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\''));
    match unquoted {
        Some(text) => Some(text.into()),
        None => serde_json::from_str(text).ok(),
    }
}

fn find<'v>(value: &'v Value, steps: &[Step]) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in steps {
        found = found.into_iter().flat_map(|value| advance(value, step)).collect();
    }
    found
}

fn advance<'v>(value: &'v Value, step: &Step) -> Vec<&'v Value> {
    let children = || match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    };
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::All => children(),
        Step::Index(i) => {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let at = if *i < 0 { list.len() as i64 + i } else { *i };
            usize::try_from(at)
                .ok()
                .and_then(|at| list.get(at))
                .into_iter()
                .collect()
        }
        Step::Where(path, wanted, equal) => {
            let holds = |v: &&Value| find(v, path).contains(&wanted) == *equal;
            children().into_iter().filter(holds).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_what_printer_columns_name() {
        let object = json!({"metadata": {"name": "n", "labels": {"a.b/c": "l"}, "creationTimestamp": "1970-01-01T00:00:00Z"},
            "spec": {"n": 3, "yes": true, "list": [{"t": "A", "v": 1}, {"t": "B", "v": "two"}], "names": ["x", "y"]}});
        let now = Timestamp::from_second(300).unwrap();
        for (kind, path, expected) in [
            ("string", ".metadata.name", json!("n")),
            ("string", "{.metadata.name}", json!("n")),
            ("string", ".metadata.labels.a\\.b/c", json!("l")),
            ("string", ".metadata.labels['a.b/c']", json!("l")),
            ("integer", ".spec.n", json!(3)),
            ("string", ".spec.n", json!("3")),
            ("boolean", ".spec.yes", json!(true)),
            ("string", ".spec.list[?(@.t==\"B\")].v", json!("two")),
            ("string", ".spec.list[?(@.t!='B')].v", json!("1")),
            ("string", ".spec.list[-1].t", json!("B")),
            ("string", ".spec.list[*].t", json!("A,B")),
            ("string", ".spec.names", json!("[\"x\",\"y\"]")),
            ("string", ".spec.absent", Value::Null),
            ("date", ".metadata.creationTimestamp", json!("5m")),
            ("date", ".spec.absent", json!("<unknown>")),
        ] {
            assert_eq!(
                cell(&Column::path("c", kind, path), &object, now),
                expected,
                "{path}"
            );
        }
        assert_eq!(parse_path(".a[?(@.b)]"), None);
    }
}

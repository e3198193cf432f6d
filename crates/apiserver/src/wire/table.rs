//! `meta.k8s.io/v1 Table`: what `kubectl get` prints. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::negotiate::partial;
use crate::kinds::{Column, cell};

/// What a row carries beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    Metadata,
    Object,
    None,
}

impl Include {
    /// From the query parameter.
    pub(crate) fn parse(text: &str) -> Include {
        match text {
            "Object" => Include::Object,
            "None" => Include::None,
            _ => Include::Metadata,
        }
    }
}

/// How rows are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) include: Include,
    pub(crate) now: Timestamp,
}

impl Rows {
    /// The row of an object.
    pub(crate) fn row(self, columns: &[Column], object: &Value) -> Value {
        let cells: Vec<Value> = columns
            .iter()
            .map(|column| cell(column, object, self.now))
            .collect();
        match self.include {
            Include::Metadata => json!({"cells": cells, "object": partial(object)}),
            Include::Object => json!({"cells": cells, "object": object}),
            Include::None => json!({"cells": cells, "object": null}),
        }
    }
}

/// A table of objects. `with_columns` is false for all but the first event of a watch.
pub(crate) fn table(
    columns: &[Column],
    objects: &[&Value],
    metadata: Value,
    include: Include,
    with_columns: bool,
    now: Timestamp,
) -> Value {
    let rows = Rows { include, now };
    let rows: Vec<Value> = objects.iter().map(|object| rows.row(columns, object)).collect();
    let definitions: Vec<Value> = if with_columns {
        columns.iter().map(Column::definition).collect()
    } else {
        Vec::new()
    };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows})
}

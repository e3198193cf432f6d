//! The verbs on objects. Each takes a `Call` and gives an `Outcome`.

pub(crate) mod builtin;
pub(crate) mod delete;
pub(crate) mod options;
pub(crate) mod prepare;
pub(crate) mod read;
pub(crate) mod records;
pub(crate) mod reviews;
pub(crate) mod watch;
pub(crate) mod write;

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::service::Call;
use crate::storage::Stored;
use crate::wire::body::Body;
use crate::wire::negotiate::{self, View, partial};
use crate::wire::table::{Include, table};

/// A successful answer before it has a form.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A stored object.
    Stored(StatusCode, Arc<Stored>),
    /// An object in the version of the request: a dry run or a review.
    Object(StatusCode, Value),
    /// A list with its `metadata`.
    List {
        metadata: Value,
        objects: Vec<Arc<Stored>>,
    },
    /// A `Status`.
    Status(Value),
}

impl Outcome {
    /// The response in the form that the client asked for.
    pub(crate) fn render(self, call: &Call) -> Response<Body> {
        let (kind, version) = (&call.found.kind, call.found.version());
        match self {
            Outcome::Status(status) => negotiate::json(StatusCode::OK, status.to_string()),
            Outcome::Stored(code, stored)
                if call.view == View::Full
                    && kind.is_stored_in(&call.found.api_version(), stored.api_version()) =>
            {
                negotiate::json(code, stored.json())
            }
            Outcome::Stored(code, stored) => one(call, code, &kind.view_of(&version.name, &stored.value())),
            Outcome::Object(code, object) => one(call, code, &object),
            Outcome::List { metadata, objects } => many(call, metadata, &objects),
        }
    }
}

fn one(call: &Call, code: StatusCode, object: &Value) -> Response<Body> {
    let body = match call.view {
        View::Table => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let include = Include::parse(&call.query.include_object);
            table(
                &call.found.version().columns,
                &[object],
                metadata,
                include,
                true,
                call.now,
            )
            .to_string()
        }
        View::Metadata => partial(object).to_string(),
        View::Full | View::Discovery => object.to_string(),
    };
    negotiate::json(code, body)
}

fn many(call: &Call, metadata: Value, objects: &[Arc<Stored>]) -> Response<Body> {
    let (kind, version) = (&call.found.kind, call.found.version());
    if call.view == View::Table {
        let values: Vec<Value> = objects.iter().map(|object| object.value()).collect();
        let values: Vec<&Value> = values.iter().collect();
        let include = Include::parse(&call.query.include_object);
        let body = table(&version.columns, &values, metadata, include, true, call.now);
        return negotiate::json(StatusCode::OK, body.to_string());
    }
    let (api_version, list_kind) = match call.view {
        View::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList"),
        _ => (call.found.api_version(), kind.list_kind.as_str()),
    };
    let shown = call.found.api_version();
    let mut body = Vec::with_capacity(256 + objects.iter().map(|o| o.json().len() + 1).sum::<usize>());
    let head = json!({"apiVersion": api_version, "kind": list_kind, "metadata": metadata}).to_string();
    body.extend_from_slice(&head.as_bytes()[..head.len() - 1]);
    body.extend_from_slice(b",\"items\":[");
    for (i, object) in objects.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        match call.view {
            View::Metadata => body.extend_from_slice(partial(&object.value()).to_string().as_bytes()),
            _ if kind.is_stored_in(&shown, object.api_version()) => body.extend_from_slice(&object.json()),
            _ => {
                let text = kind.view_of(&version.name, &object.value()).to_string();
                body.extend_from_slice(text.as_bytes());
            }
        }
    }
    body.extend_from_slice(b"]}");
    negotiate::json(StatusCode::OK, body)
}

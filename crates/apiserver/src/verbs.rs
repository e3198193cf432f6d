//! The verbs on objects. Each takes a `Call` and gives an `Outcome`.

pub(crate) mod apply_list;
pub(crate) mod builtin;
pub(crate) mod delete;
pub(crate) mod form;
mod listing;
pub(crate) mod options;
pub(crate) mod prepare;
pub(crate) mod read;
pub(crate) mod records;
pub(crate) mod reviews;
pub(crate) mod scale;
pub(crate) mod watch;
pub(crate) mod write;

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::call::Call;
use crate::storage::Stored;
use crate::wire::body::Body;
use crate::wire::negotiate::{self, View};
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
        match self {
            Outcome::Status(status) => negotiate::json(StatusCode::OK, status.to_string()),
            Outcome::Stored(code, stored) if call.view == View::Table => {
                let (kind, version) = (&call.found.kind, call.found.version());
                one(call, code, kind.view_of(&version.name, &stored.value()))
            }
            Outcome::Stored(code, stored) => negotiate::json(code, call.form().bytes(&stored)),
            Outcome::Object(code, object) => one(call, code, object),
            Outcome::List { metadata, objects } => {
                let body = listing::body(call, metadata, objects);
                negotiate::with_type(StatusCode::OK, "application/json", body)
            }
        }
    }
}

fn one(call: &Call, code: StatusCode, object: Value) -> Response<Body> {
    if call.view != View::Table {
        return negotiate::json(code, call.form().text(object));
    }
    let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
    let include = Include::parse(&call.query.include_object);
    let columns = &call.found.version().columns;
    let body = table(columns, &[&object], metadata, include, true, call.now);
    negotiate::json(code, body.to_string())
}

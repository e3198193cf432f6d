//! The body of a list: written piece by piece as the client takes them, so that a list of any length takes the memory of
//! a piece.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};

use super::form::Form;
use crate::call::Call;
use crate::kinds::Found;
use crate::storage::Stored;
use crate::wire::body::Body;
use crate::wire::negotiate::View;
use crate::wire::table::{Include, Rows, table};

/// About so many bytes are one piece; a list that is no longer has a length that is known beforehand.
const PIECE: usize = 64 * 1024;

/// A list of these objects in the form that the client asked for.
pub(crate) fn body(call: &Call, metadata: Value, objects: Vec<Arc<Stored>>) -> Body {
    let (head, item) = if call.view == View::Table {
        let include = Include::parse(&call.query.include_object);
        let columns = &call.found.version().columns;
        let empty = table(columns, &[], metadata, include, true, call.now).to_string();
        // The rows come last.
        let head = empty.strip_suffix(END).unwrap_or_default().to_owned();
        let rows = Rows {
            include,
            now: call.now,
        };
        (head, Item::Row(call.found.clone(), rows))
    } else {
        let (api_version, kind) = match call.view {
            View::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList"),
            _ => (call.found.api_version(), call.found.kind.list_kind.as_str()),
        };
        let empty = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}).to_string();
        let head = empty.strip_suffix('}').unwrap_or_default();
        (format!("{head},\"items\":["), Item::Object(call.form()))
    };
    let mut pieces = Pieces {
        item,
        objects: objects.into_iter(),
        ready: head.into_bytes(),
        is_first: true,
        ended: false,
    };
    let first = pieces.next().unwrap_or_default();
    if pieces.ended {
        return Body::full(first);
    }
    Body::stream(stream::iter(std::iter::once(first).chain(pieces)))
}

/// What stands behind the last item.
const END: &str = "]}";

/// How an object becomes an item.
enum Item {
    Object(Form),
    Row(Found, Rows),
}

impl Item {
    fn write(&self, object: &Stored, to: &mut Vec<u8>) {
        match self {
            Item::Object(form) => form.write(object, to),
            Item::Row(found, rows) => {
                let row = rows.row(&found.version().columns, &object.value());
                to.extend_from_slice(row.to_string().as_bytes());
            }
        }
    }
}

struct Pieces {
    item: Item,
    objects: std::vec::IntoIter<Arc<Stored>>,
    ready: Vec<u8>,
    is_first: bool,
    ended: bool,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while !self.ended && self.ready.len() < PIECE {
            let Some(object) = self.objects.next() else {
                self.ready.extend_from_slice(END.as_bytes());
                self.ended = true;
                break;
            };
            if !std::mem::take(&mut self.is_first) {
                self.ready.push(b',');
            }
            self.item.write(&object, &mut self.ready);
        }
        let piece = std::mem::take(&mut self.ready);
        (!piece.is_empty()).then(|| piece.into())
    }
}

//! get, list and watch of records, from the records file.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use store::records::{Query, Record, Records};
use tokio::sync::broadcast;

use super::read::Selection;
use crate::call::Call;
use crate::endpoint::Verb;
use crate::records::{MACHINE_LABEL, record_id, record_object};
use crate::status::ApiError;
use crate::wire::body::Body;
use crate::wire::negotiate::{self, View, partial};
use crate::wire::table::{Include, table};

/// Records in an answer when the client names no limit.
const PAGE: usize = 500;

/// Answers a read of a record kind.
pub(crate) async fn answer(call: Call, verb: Verb) -> Result<Response<Body>, ApiError> {
    let Some(records) = call.core.records.clone() else {
        return Err(ApiError::no_such_path());
    };
    match verb {
        Verb::Get => get(&call, &records).await,
        Verb::List => list(&call, &records).await,
        Verb::Watch => watch(call, records).await,
        _ => Err(ApiError::method_not_allowed("GET")),
    }
}

async fn get(call: &Call, records: &Records) -> Result<Response<Body>, ApiError> {
    let id = record_id(call.name()).ok_or_else(|| call.not_found())?;
    let found = records.get(id).await?.filter(|r| r.kind == call.found.kind.kind);
    let object = record_object(&found.ok_or_else(|| call.not_found())?);
    Ok(negotiate::json(
        StatusCode::OK,
        shown(call, &[&object], json!({}), true).to_string(),
    ))
}

/// One object or a table of it.
fn shown(call: &Call, objects: &[&Value], metadata: Value, first: bool) -> Value {
    match (call.view, objects) {
        (View::Table, _) => {
            let include = Include::parse(&call.query.include_object);
            table(
                &call.found.version().columns,
                objects,
                metadata,
                include,
                first,
                call.now,
            )
        }
        (View::Metadata, [object]) => partial(object),
        (_, [object]) => (*object).clone(),
        _ => json!(objects),
    }
}

/// The page of records that the request names, oldest first as in a log, and the token of the page before it.
async fn select(
    call: &Call,
    records: &Records,
    selection: &Selection,
) -> Result<(Vec<Value>, Option<i64>), ApiError> {
    let limit = if call.query.limit == 0 {
        PAGE
    } else {
        call.query.limit.min(PAGE)
    };
    let before = match call.query.continue_token.as_str() {
        "" => None,
        token => Some(
            token
                .parse()
                .map_err(|_| ApiError::bad_request("continue key is not valid"))?,
        ),
    };
    let label = format!("{MACHINE_LABEL}=");
    let by_label = call
        .query
        .label_selector
        .strip_prefix(&label)
        .filter(|m| !m.contains(','));
    let machine = selection.exact("machine").or(by_label).map(str::to_owned);
    let query = Query {
        kind: Some(call.found.kind.kind.clone()),
        machine,
        before,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let found = records.list(&query).await?;
    let next = (found.len() == limit)
        .then(|| found.last().map(|r| r.id))
        .flatten();
    let objects = found
        .iter()
        .rev()
        .map(record_object)
        .filter(|o| selection.matches(o))
        .collect();
    Ok((objects, next))
}

async fn list(call: &Call, records: &Records) -> Result<Response<Body>, ApiError> {
    let selection = Selection::parse(call)?;
    let newest = records.newest().await?;
    let (objects, next) = select(call, records, &selection).await?;
    let mut metadata = json!({"resourceVersion": newest.to_string()});
    // Only a client that pages wants older pages; a plain list is the newest page.
    if let Some(next) = next.filter(|_| call.query.limit > 0) {
        metadata["continue"] = next.to_string().into();
    }
    let body = match call.view {
        View::Table => shown(call, &objects.iter().collect::<Vec<_>>(), metadata, true),
        view => {
            let items: Vec<Value> = match view {
                View::Metadata => objects.iter().map(partial).collect(),
                _ => objects,
            };
            json!({"apiVersion": call.found.api_version(), "kind": call.found.kind.list_kind,
                "metadata": metadata, "items": items})
        }
    };
    Ok(negotiate::json(StatusCode::OK, body.to_string()))
}

/// Follows new records. A follower that falls too far behind is told that its version is gone.
async fn watch(call: Call, records: Records) -> Result<Response<Body>, ApiError> {
    let selection = Selection::parse(&call)?;
    let follower = records.follow();
    let since: i64 = call.query.resource_version.parse().unwrap_or(0);
    let (objects, _) = select(&call, &records, &selection).await?;
    let mut initial: Vec<Bytes> = Vec::new();
    let mut last = since;
    for object in objects {
        let id = object["metadata"]["name"]
            .as_str()
            .and_then(record_id)
            .unwrap_or(0);
        if id > since {
            last = last.max(id);
            let first = initial.is_empty();
            initial.push(line("ADDED", &shown(&call, &[&object], json!({}), first)));
        }
    }
    let (shutdown, connection) = (call.core.shutdown.clone(), call.connection.clone());
    let end = async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = connection.cancelled() => {}
        }
    };
    let live = stream::unfold(
        (follower, call, selection, last),
        |(mut follower, call, selection, last)| async move {
            loop {
                let object = match follower.recv().await {
                    Ok(record) => wanted(&call, &selection, &record, last),
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        let status = ApiError::expired("the watch fell behind the records").to_status();
                        Some(line("ERROR", &status))
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                };
                if let Some(bytes) = object {
                    return Some((bytes, (follower, call, selection, last)));
                }
            }
        },
    );
    let all = stream::iter(initial).chain(live).take_until(end);
    Ok(negotiate::with_type(
        StatusCode::OK,
        "application/json",
        Body::stream(all),
    ))
}

fn wanted(call: &Call, selection: &Selection, record: &Arc<Record>, last: i64) -> Option<Bytes> {
    if record.id <= last || record.kind != call.found.kind.kind {
        return None;
    }
    let object = record_object(record);
    selection
        .matches(&object)
        .then(|| line("ADDED", &shown(call, &[&object], json!({}), false)))
}

fn line(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({"type": kind, "object": object})).into()
}

//! The HTTP API of the provider. Every request but the login needs a session.

use axum::extract::{Path, Query, Request, State as Held};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::object::{Marks, NewObject, Object, ObjectPower};
use super::state::{IMAGES, NETWORK, PASSWORD, Shared, Trouble};

/// Header that carries the session.
pub(crate) const SESSION: &str = "x-session";

pub(super) fn router(state: Shared) -> Router {
    Router::new()
        .route("/networks/{name}", get(network))
        .route("/images/{name}", get(image))
        .route("/objects", post(create).get(list))
        .route("/objects/{id}", get(read).delete(remove))
        .route("/objects/{id}/power/{power}", post(power))
        .route("/objects/{id}/marks", patch(mark))
        .route("/session", delete(logout))
        .layer(from_fn_with_state(state.clone(), authenticate))
        .route("/session", post(login))
        .layer(from_fn_with_state(state.clone(), trouble))
        .with_state(state)
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": message}))).into_response()
}

async fn login(Held(state): Held<Shared>, Json(body): Json<Value>) -> Response {
    let mut state = state.lock();
    state.logins += 1;
    if body.get("password").and_then(Value::as_str) != Some(PASSWORD) {
        return refuse(StatusCode::UNAUTHORIZED, "wrong password");
    }
    state.last_session += 1;
    let session = format!("session-{}", state.last_session);
    state.sessions.insert(session.clone());
    Json(json!({"session": session})).into_response()
}

async fn authenticate(
    Held(state): Held<Shared>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let session = headers.get(SESSION).and_then(|value| value.to_str().ok());
    let known = session.is_some_and(|session| state.lock().sessions.contains(session));
    if known {
        next.run(request).await
    } else {
        refuse(StatusCode::UNAUTHORIZED, "no such session")
    }
}

async fn trouble(Held(state): Held<Shared>, request: Request, next: Next) -> Response {
    let trouble = state.lock().trouble;
    match trouble {
        None => next.run(request).await,
        Some(Trouble::Unavailable) => refuse(StatusCode::SERVICE_UNAVAILABLE, "maintenance"),
        Some(Trouble::Slow(time)) => {
            let answer = next.run(request).await;
            tokio::time::sleep(time).await;
            answer
        }
    }
}

async fn logout(Held(state): Held<Shared>, headers: HeaderMap) -> StatusCode {
    if let Some(session) = headers.get(SESSION).and_then(|value| value.to_str().ok()) {
        state.lock().sessions.remove(session);
    }
    StatusCode::NO_CONTENT
}

async fn network(Path(name): Path<String>) -> StatusCode {
    if name == NETWORK {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    }
}

async fn image(Path(name): Path<String>) -> StatusCode {
    if IMAGES.contains(&name.as_str()) {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    }
}

async fn create(Held(state): Held<Shared>, Json(wanted): Json<NewObject>) -> Response {
    let mut state = state.lock();
    if wanted.network != NETWORK {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "no such network");
    }
    if !IMAGES.contains(&wanted.image.as_str()) {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "no such image");
    }
    if state
        .objects
        .values()
        .any(|object| object.made.name == wanted.name)
    {
        return refuse(StatusCode::CONFLICT, "the name is taken");
    }
    state.last_id += 1;
    let object = Object::new(state.last_id, wanted);
    state.objects.insert(object.id, object.clone());
    (StatusCode::CREATED, Json(object)).into_response()
}

#[derive(Deserialize)]
struct ListQuery {
    name: Option<String>,
    machine: Option<String>,
    #[serde(default)]
    after: u64,
}

/// By name or by mark all that fit; else a page.
async fn list(Held(state): Held<Shared>, Query(query): Query<ListQuery>) -> Json<Vec<Object>> {
    let mut state = state.lock();
    if query.name.is_none() && query.machine.is_none() {
        return Json(state.page(query.after));
    }
    let fits = |object: &Object| {
        query.name.as_ref().is_none_or(|name| object.made.name == *name)
            && query
                .machine
                .as_ref()
                .is_none_or(|machine| object.made.marks.machine == *machine)
    };
    let found = state.objects.values_mut().filter(|object| fits(object));
    Json(found.map(Object::look).collect())
}

async fn read(Held(state): Held<Shared>, Path(id): Path<u64>) -> Response {
    match state.lock().objects.get_mut(&id) {
        Some(object) => Json(object.look()).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "no such object"),
    }
}

async fn power(Held(state): Held<Shared>, Path((id, power)): Path<(u64, String)>) -> Response {
    let power = match power.as_str() {
        "on" => ObjectPower::On,
        "off" => ObjectPower::Off,
        _ => return refuse(StatusCode::BAD_REQUEST, "power is on or off"),
    };
    match state.lock().objects.get_mut(&id) {
        Some(object) if object.power == power => refuse(StatusCode::CONFLICT, "it is so already"),
        Some(object) => {
            object.power = power;
            object.looked_at = 0;
            StatusCode::NO_CONTENT.into_response()
        }
        None => refuse(StatusCode::NOT_FOUND, "no such object"),
    }
}

async fn mark(Held(state): Held<Shared>, Path(id): Path<u64>, Json(marks): Json<Marks>) -> Response {
    match state.lock().objects.get_mut(&id) {
        Some(object) => {
            object.made.marks = marks;
            StatusCode::NO_CONTENT.into_response()
        }
        None => refuse(StatusCode::NOT_FOUND, "no such object"),
    }
}

async fn remove(Held(state): Held<Shared>, Path(id): Path<u64>) -> Response {
    let mut state = state.lock();
    match state.objects.get(&id).map(|object| object.power) {
        Some(ObjectPower::On) => refuse(StatusCode::CONFLICT, "it is on"),
        Some(ObjectPower::Off) => {
            state.objects.remove(&id);
            StatusCode::NO_CONTENT.into_response()
        }
        None => refuse(StatusCode::NOT_FOUND, "no such object"),
    }
}

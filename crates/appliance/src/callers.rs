//! Who calls the agent endpoint: graded anew for each call, by address and certificate together, before any service
//! sees it. A certificate from an address that its machine does not have counts for nothing. What a caller is refused
//! becomes a record, under the name of the machine that it is about.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use boot_script::{EventSender, Misfit, ViewHandle};
use http::{StatusCode, header};
use jiff::Timestamp;
use pki::Identity;
use resources::{BootEvent, BootEventKind};
use tonic::{Code, Status};

/// Longest text of a refusal that is looked at.
const TEXT: usize = 4096;

/// What grades and records callers.
#[derive(Debug, Clone)]
pub(crate) struct Callers {
    pub(crate) view: Arc<ViewHandle>,
    pub(crate) events: EventSender,
}

/// The layer around the endpoint's services: puts the [`boot_script::Peer`] into a call's extensions, or refuses the call.
pub(crate) async fn grade(State(callers): State<Callers>, mut request: Request, next: Next) -> Response {
    let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let path = request.uri().path().to_owned();
    let is_grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let view = callers.view.load();
    let peer = view.peer(address.ip());
    let graded = match request.extensions().get::<Identity>() {
        None => Ok(peer),
        Some(identity) => peer.clone().certified(&view, identity.machine_id()),
    };
    drop(view);
    let peer = match graded {
        Ok(peer) => peer,
        Err(misfit) => {
            let about = misfit.target().map(|target| target.name());
            callers.record_about(about, address.ip(), format!("{path} refused: {misfit}"));
            return refusal(&misfit, is_grpc);
        }
    };
    request.extensions_mut().insert(peer.clone());
    let response = next.run(request).await;
    let (response, refused) = reason(response).await;
    if let Some(refused) = refused {
        let text = format!("{path} refused: {refused}");
        let event = event_of(peer.address(), text);
        let now = Timestamp::now();
        match peer.target() {
            Some(target) => callers.events.send_for(target.name(), now, event),
            None => callers.events.send(None, now, event),
        }
    }
    response
}

impl Callers {
    /// Leaves a record of a caller whose certificate does not count, under the name of the certificate's machine or
    /// under the caller's address.
    pub(crate) fn record_about(&self, machine: Option<&str>, caller: IpAddr, text: String) {
        let event = event_of(caller, text);
        let now = Timestamp::now();
        match machine {
            Some(machine) => self.events.send_about(machine, now, event),
            None => self.events.send(None, now, event),
        }
    }
}

fn event_of(caller: IpAddr, text: String) -> BootEvent {
    let caller = caller.to_canonical().to_string();
    tracing::warn!(peer = caller, reason = text, "call refused");
    BootEvent {
        kind: BootEventKind::Session,
        mac: None,
        peer: Some(caller),
        text,
    }
}

/// The answer to a certificate that does not fit; it says nothing that the caller does not know.
fn refusal(misfit: &Misfit, is_grpc: bool) -> Response {
    let (code, status, text) = match misfit {
        Misfit::NotLoaded => (
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            misfit.to_string(),
        ),
        Misfit::Gone(_) => (Code::PermissionDenied, StatusCode::FORBIDDEN, misfit.to_string()),
        Misfit::Address { peer, .. } => (
            Code::PermissionDenied,
            StatusCode::FORBIDDEN,
            format!("this certificate is of a machine that does not have the address {peer}"),
        ),
    };
    match is_grpc {
        true => Status::new(code, text).into_http::<Body>(),
        false => (status, text + "\n").into_response(),
    }
}

/// Why a caller was refused, if it was.
async fn reason(response: Response) -> (Response, Option<String>) {
    if let Some(status) = Status::from_header_map(response.headers()) {
        let refused = matches!(
            status.code(),
            Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument
        );
        return (response, refused.then(|| status.message().to_owned()));
    }
    if !matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) {
        return (response, None);
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, TEXT).await.unwrap_or_default();
    let reason = String::from_utf8_lossy(&text).trim().to_owned();
    (Response::from_parts(parts, Body::from(text)), Some(reason))
}

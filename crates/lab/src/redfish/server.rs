//! HTTPS of one virtual BMC: login, routing, command log.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use listeners::{Gate, Limits, Peer, RequestBody, Shares};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::documents::{self, SystemChange};
use super::login::Login;
use crate::Error;
use crate::command_log::{CommandLog, CommandRecord};
use crate::machine::{MachineHandle, Refusal};
use crate::plan::MachinePlan;

const MAX_BODY: usize = 64 * 1024;
/// A BMC knows nobody before the login; the appliance and what a user runs beside it share an address.
const SHARES: Shares = Shares {
    total: 32,
    strangers: 32,
    per_stranger: 32,
    per_known: 32,
    quiet: Duration::from_secs(2),
};
const LIMITS: Limits = Limits {
    // The machines of the rack keep the processors busy.
    first_request: Duration::from_secs(30),
    idle: Duration::from_secs(30),
    stall: Duration::from_secs(30),
    stall_known: Duration::from_secs(30),
    body: Duration::from_secs(30),
    lifetime: Duration::from_secs(60 * 60),
    ping: Duration::from_secs(20),
    streams: 1,
    head: 16 << 10,
};
const TOKEN: &str = "x-auth-token";

/// One BMC.
pub(crate) struct VirtualBmc {
    machine: MachinePlan,
    handle: MachineHandle,
    login: Login,
    log: Arc<CommandLog>,
    tls: Arc<ServerConfig>,
}

impl VirtualBmc {
    /// Makes the BMC and its certificate, which is new at each start of a rack.
    pub(crate) fn new(
        machine: MachinePlan,
        handle: MachineHandle,
        log: Arc<CommandLog>,
    ) -> Result<Self, Error> {
        let tls = certificate(&machine.bmc_ip.to_string()).map_err(|source| Error::Certificate {
            host: machine.bmc_ip.to_string(),
            source,
        })?;
        let login = Login::new(machine.bmc_user.clone(), machine.bmc_password.clone());
        Ok(Self {
            machine,
            handle,
            login,
            log,
            tls: Arc::new(tls),
        })
    }
}

fn certificate(address: &str) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let own = rcgen::generate_simple_self_signed([address.to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until cancelled.
pub(crate) async fn run(bmc: VirtualBmc, listener: TcpListener, cancel: CancellationToken) {
    let machine = bmc.machine.name.clone();
    let listener = match listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpListener::from_std(listener))
    {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(machine, error = %error, "virtual BMC cannot listen");
            return;
        }
    };
    let gate = Gate::new("lab-redfish", SHARES, |_| false, |_| {});
    let tls = Arc::clone(&bmc.tls);
    let bmc = Arc::new(bmc);
    let service = move |peer: Peer<'_>| {
        let (bmc, address) = (Arc::clone(&bmc), peer.address);
        Some(service_fn(move |request| {
            let bmc = Arc::clone(&bmc);
            async move { Ok::<_, Infallible>(answer(&bmc, request, address).await) }
        }))
    };
    listeners::run_tls(listener, tls, gate, LIMITS, service, cancel).await;
}

/// What a handler decided.
struct Reply {
    status: StatusCode,
    body: Option<Value>,
    headers: Vec<(&'static str, String)>,
    effect: Option<String>,
}

impl Reply {
    fn of(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body: Some(body),
            headers: Vec::new(),
            effect: None,
        }
    }

    fn error(status: StatusCode, message: &str) -> Self {
        Self::of(status, documents::error(message))
    }

    fn done(effect: String) -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: None,
            headers: Vec::new(),
            effect: Some(effect),
        }
    }
}

/// A request, read whole.
struct Call {
    method: Method,
    path: String,
    if_match: Option<String>,
    body: Value,
}

async fn answer(bmc: &VirtualBmc, request: Request<RequestBody>, peer: SocketAddr) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let user = bmc.login.user(header("authorization"), header(TOKEN));
    let path = head.uri.path().to_owned();
    let is_login = path.trim_end_matches('/') == documents::SESSIONS;
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => {
            return respond(&Reply::error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request is too long",
            ));
        }
    };
    let call = Call {
        method: head.method.clone(),
        path,
        if_match: header("if-match").map(str::to_owned),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let reply = route(bmc, &call, user.as_deref()).await;
    bmc.log.write(&CommandRecord {
        time: Timestamp::now().to_string(),
        machine: bmc.machine.name.clone(),
        peer: peer.to_string(),
        user,
        method: call.method.to_string(),
        path: call.path,
        body: (!is_login && !call.body.is_null()).then_some(call.body),
        status: reply.status.as_u16(),
        effect: reply.effect.clone(),
    });
    respond(&reply)
}

async fn route(bmc: &VirtualBmc, call: &Call, user: Option<&str>) -> Reply {
    let path = call.path.trim_end_matches('/');
    if call.method == Method::POST && path == documents::SESSIONS {
        return open_session(bmc, &call.body);
    }
    if user.is_none() && !documents::is_public(path) {
        let mut reply = Reply::error(StatusCode::UNAUTHORIZED, "log in first");
        reply
            .headers
            .push(("www-authenticate", "Basic realm=\"BMC\"".to_owned()));
        return reply;
    }
    let state = bmc.handle.state();
    match (&call.method, path) {
        (&Method::GET | &Method::HEAD, _) => match documents::get(path, &bmc.machine, &state) {
            Some(document) => {
                let mut reply = Reply::of(StatusCode::OK, document);
                if path == documents::SYSTEM {
                    reply.headers.push(("etag", documents::etag(&state)));
                }
                reply
            }
            None => Reply::error(StatusCode::NOT_FOUND, "there is no such resource"),
        },
        (&Method::PATCH, documents::SYSTEM) => {
            if call
                .if_match
                .as_ref()
                .is_some_and(|tag| tag != "*" && *tag != documents::etag(&state))
            {
                return Reply::error(
                    StatusCode::PRECONDITION_FAILED,
                    "the system has changed since it was read",
                );
            }
            match documents::system_patch(&call.body, bmc.machine.firmware, state.boot) {
                Ok(change) => outcome(apply(bmc, change).await),
                Err(problem) => Reply::error(StatusCode::BAD_REQUEST, &problem),
            }
        }
        (&Method::POST, documents::RESET) => match documents::reset_kind(&call.body) {
            Ok(kind) => outcome(bmc.handle.reset(kind).await),
            Err(problem) => Reply::error(StatusCode::BAD_REQUEST, &problem),
        },
        (&Method::DELETE, _) => {
            let number = path
                .strip_prefix(documents::SESSIONS)
                .and_then(|rest| rest.strip_prefix('/')?.parse().ok());
            match number.is_some_and(|number| bmc.login.close(number)) {
                true => Reply {
                    status: StatusCode::NO_CONTENT,
                    body: None,
                    headers: Vec::new(),
                    effect: None,
                },
                false => Reply::error(StatusCode::NOT_FOUND, "there is no such session"),
            }
        }
        _ => Reply::error(
            StatusCode::METHOD_NOT_ALLOWED,
            "that cannot be done with this resource",
        ),
    }
}

async fn apply(bmc: &VirtualBmc, change: SystemChange) -> Result<String, Refusal> {
    let mut effects = Vec::new();
    if let Some(boot) = change.boot {
        effects.push(bmc.handle.set_boot(boot).await?);
    }
    if let Some(light) = change.light {
        effects.push(bmc.handle.identify(light).await?);
    }
    Ok(effects.join(", "))
}

fn open_session(bmc: &VirtualBmc, body: &Value) -> Reply {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let user = text("UserName");
    if !bmc.login.accepts(user, text("Password")) {
        return Reply::error(StatusCode::UNAUTHORIZED, "user name or password is wrong");
    }
    let (number, token) = bmc.login.open();
    let mut reply = Reply::of(StatusCode::CREATED, documents::session(number, user));
    reply.headers.push((TOKEN, token));
    reply
        .headers
        .push(("location", format!("{}/{number}", documents::SESSIONS)));
    reply
}

fn outcome(outcome: Result<String, Refusal>) -> Reply {
    match outcome {
        Ok(effect) => Reply::done(effect),
        Err(Refusal::Conflict(problem)) => Reply::error(StatusCode::CONFLICT, &problem),
        Err(Refusal::Failed(problem)) => {
            let mut reply = Reply::error(StatusCode::INTERNAL_SERVER_ERROR, &problem);
            reply.effect = Some(format!("failed: {problem}"));
            reply
        }
    }
}

fn respond(reply: &Reply) -> Response<Full<Bytes>> {
    let body = reply
        .body
        .as_ref()
        .map(|value| Bytes::from(value.to_string()))
        .unwrap_or_default();
    let mut builder = Response::builder()
        .status(reply.status)
        .header("odata-version", "4.0");
    if !body.is_empty() {
        builder = builder.header("content-type", "application/json");
    }
    for (name, value) in &reply.headers {
        builder = builder.header(*name, value);
    }
    builder
        .body(Full::new(body))
        .unwrap_or_else(|_| Response::new(Full::default()))
}

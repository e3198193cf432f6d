//! A Redfish BMC over TLS on loopback: one system, basic authentication and sessions, and the faults that tests ask for.

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(crate) const PASSWORD: &str = "fake-bmc-password";
/// Identity of the system.
pub(crate) const UUID: &str = "22988ada-3f61-4c68-932c-a630b89284e0";
pub(crate) const SERIAL: &str = "GL9Y642MEHNB";
pub(crate) const MAC: &str = "52:54:00:00:00:01";
/// `ops:fake-bmc-password`.
const BASIC: &str = "Basic b3BzOmZha2UtYm1jLXBhc3N3b3Jk";
/// Sessions at a time; one more is refused.
const SESSIONS: usize = 4;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered with this status and not done.
    Status(u16),
    /// It is done, unless it is about sessions, and answered with this status.
    DoneBut(u16),
    /// It is done, and the answer is no JSON.
    Garbage,
    /// The connection is closed before it is done.
    Reset,
}

#[derive(Default)]
struct State {
    on: bool,
    boot: Value,
    changes: Vec<String>,
    delay: Duration,
    forget: u32,
    faults: VecDeque<Fault>,
    lag: u32,
    /// What is still shown, and how often, of the state before a change.
    stale: Option<(bool, u32)>,
    sessions: BTreeSet<u64>,
    opened: u64,
    most: usize,
}

pub(crate) struct FakeBmc {
    port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for FakeBmc {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeBmc {
    pub(crate) async fn start() -> Self {
        let own = rcgen::generate_simple_self_signed(["bmc.test".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![own.cert.der().clone()], key)
                .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            boot: override_of("Disabled", "None"),
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(|request| {
                        let state = Arc::clone(&state);
                        async move { answer(request, &state).await }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, state, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set_power(&self, power: &str) {
        self.state.lock().unwrap().on = power == "On";
    }

    /// Each change takes so long before it is answered.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// So many boot overrides are accepted and dropped.
    pub(crate) fn forget_overrides(&self, count: u32) {
        self.state.lock().unwrap().forget = count;
    }

    /// What happens to the next requests, one after the other.
    pub(crate) fn inject(&self, fault: Fault, count: usize) {
        self.state
            .lock()
            .unwrap()
            .faults
            .extend(std::iter::repeat_n(fault, count));
    }

    /// After each power change from now on the state before it is shown so many times.
    pub(crate) fn lag(&self, reads: u32) {
        let mut state = self.state.lock().unwrap();
        state.stale = None;
        state.lag = reads;
    }

    pub(crate) fn is_on(&self) -> bool {
        self.state.lock().unwrap().on
    }

    /// Sessions that are open now, and the most that were open at once.
    pub(crate) fn sessions(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.sessions.len(), state.most)
    }

    /// Every change that was accepted.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.state.lock().unwrap().changes.clone()
    }
}

fn override_of(enabled: &str, target: &str) -> Value {
    json!({"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": target, "BootSourceOverrideMode": "UEFI"})
}

async fn answer(
    request: Request<Incoming>,
    state: &Mutex<State>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
    let line = format!("{} {}", head.method, head.uri.path());
    let delay = state.lock().unwrap().delay;
    if head.method != "GET" && !line.contains("/Sessions") {
        tokio::time::sleep(delay).await;
    }
    let mut state = state.lock().unwrap();
    let fault = state.faults.pop_front();
    let (status, reply, token) = match fault {
        Some(Fault::Reset) => return Err(std::io::Error::other("closed by the test")),
        Some(Fault::Status(status)) => (status, Value::Null, None),
        Some(Fault::DoneBut(status)) if line.contains("/Sessions") => (status, Value::Null, None),
        _ => {
            let header = |name: &str| head.headers.get(name).and_then(|held| held.to_str().ok());
            let number = header("x-auth-token").and_then(|token| token.parse().ok());
            let known = header("authorization") == Some(BASIC)
                || number.is_some_and(|number| state.sessions.contains(&number));
            route(&line, &body, known, &mut state)
        }
    };
    let status = match fault {
        Some(Fault::DoneBut(other)) => other,
        _ => status,
    };
    let mut response = Response::builder().status(status);
    if let Some(number) = token {
        response = response.header("x-auth-token", number.to_string()).header(
            "location",
            format!("/redfish/v1/SessionService/Sessions/{number}"),
        );
    }
    let text = match fault {
        Some(Fault::Garbage) => "{\"PowerState\": <html>".to_owned(),
        _ => reply.to_string(),
    };
    Ok(response.body(Full::new(Bytes::from(text))).unwrap())
}

/// Status, document and the number of a new session.
fn route(line: &str, body: &Value, known: bool, state: &mut State) -> (u16, Value, Option<u64>) {
    if line == "POST /redfish/v1/SessionService/Sessions" {
        if body["Password"] != PASSWORD {
            return (401, Value::Null, None);
        }
        if state.sessions.len() >= SESSIONS {
            return (503, Value::Null, None);
        }
        state.opened += 1;
        let number = state.opened;
        state.sessions.insert(number);
        state.most = state.most.max(state.sessions.len());
        return (201, Value::Null, Some(number));
    }
    if !known {
        return (401, Value::Null, None);
    }
    match read(line, state) {
        Some(document) => (200, document, None),
        None => (change(line, body, state), Value::Null, None),
    }
}

fn read(line: &str, state: &mut State) -> Option<Value> {
    Some(match line {
        "GET /redfish/v1/" => json!({"Systems": {"@odata.id": "/redfish/v1/Systems"}}),
        "GET /redfish/v1/Systems" => json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}),
        "GET /redfish/v1/Systems/1" => json!({
            "UUID": UUID.to_uppercase(), "SerialNumber": SERIAL,
            "EthernetInterfaces": {"@odata.id": "/redfish/v1/Systems/1/EthernetInterfaces"},
            "PowerState": if shown(state) { "On" } else { "Off" }, "Boot": state.boot,
            "Actions": {"#ComputerSystem.Reset": {"target": "/reset",
                "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "ForceRestart"]}},
        }),
        "GET /redfish/v1/Systems/1/EthernetInterfaces" => {
            json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1/EthernetInterfaces/1"}]})
        }
        "GET /redfish/v1/Systems/1/EthernetInterfaces/1" => json!({"Id": "1", "MACAddress": MAC}),
        _ => return None,
    })
}

/// The power state that is told.
fn shown(state: &mut State) -> bool {
    match state.stale.take() {
        Some((shown, left)) if left > 0 => {
            state.stale = Some((shown, left - 1));
            shown
        }
        _ => state.on,
    }
}

fn change(line: &str, body: &Value, state: &mut State) -> u16 {
    match line {
        "POST /reset" => {
            let kind = body["ResetType"].as_str().unwrap_or_default();
            state.changes.push(kind.to_owned());
            state.stale = (state.lag > 0).then_some((state.on, state.lag));
            state.on = kind != "ForceOff";
            204
        }
        "PATCH /redfish/v1/Systems/1" => {
            let text = |key: &str| body["Boot"][key].as_str().unwrap_or_default().to_owned();
            let (enabled, target) = (
                text("BootSourceOverrideEnabled"),
                text("BootSourceOverrideTarget"),
            );
            state
                .changes
                .push(format!("{enabled} {target} {}", text("BootSourceOverrideMode")));
            if state.forget > 0 {
                state.forget -= 1;
            } else {
                state.boot = override_of(&enabled, &target);
            }
            204
        }
        line if line.starts_with("DELETE /redfish/v1/SessionService/Sessions/") => {
            let number = line.rsplit('/').next().and_then(|number| number.parse().ok());
            match number.is_some_and(|number| state.sessions.remove(&number)) {
                true => 204,
                false => 404,
            }
        }
        _ => 404,
    }
}

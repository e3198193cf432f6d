//! A Redfish BMC over TLS on loopback: one system, basic authentication and sessions, and the faults that tests ask for.

use std::convert::Infallible;
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
const TOKEN: &str = "fake-token";

#[derive(Default)]
struct State {
    on: bool,
    boot: Value,
    changes: Vec<String>,
    delay: Duration,
    forget: u32,
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
                        async move { Ok::<_, Infallible>(answer(request, &state).await) }
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

    /// Every change that was accepted.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.state.lock().unwrap().changes.clone()
    }
}

fn override_of(enabled: &str, target: &str) -> Value {
    json!({"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": target, "BootSourceOverrideMode": "UEFI"})
}

async fn answer(request: Request<Incoming>, state: &Mutex<State>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
    let line = format!("{} {}", head.method, head.uri.path());
    let (mut status, mut reply, mut token) = (200, Value::Null, None);
    if line == "POST /redfish/v1/SessionService/Sessions" {
        (status, token) = if body["Password"] == PASSWORD {
            (201, Some(TOKEN))
        } else {
            (401, None)
        };
    } else if head.headers.get("x-auth-token").is_none_or(|held| held != TOKEN) {
        status = 401;
    } else if let Some(document) = read(&line, &state.lock().unwrap()) {
        reply = document;
    } else {
        let delay = state.lock().unwrap().delay;
        tokio::time::sleep(delay).await;
        status = change(&line, &body, &mut state.lock().unwrap());
    }
    let mut response = Response::builder().status(status);
    if let Some(token) = token {
        response = response
            .header("x-auth-token", token)
            .header("location", "/redfish/v1/SessionService/Sessions/1");
    }
    response.body(Full::new(Bytes::from(reply.to_string()))).unwrap()
}

fn read(line: &str, state: &State) -> Option<Value> {
    Some(match line {
        "GET /redfish/v1/" => json!({"Systems": {"@odata.id": "/redfish/v1/Systems"}}),
        "GET /redfish/v1/Systems" => json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}),
        "GET /redfish/v1/Systems/1" => json!({
            "UUID": UUID.to_uppercase(), "SerialNumber": SERIAL,
            "EthernetInterfaces": {"@odata.id": "/redfish/v1/Systems/1/EthernetInterfaces"},
            "PowerState": if state.on { "On" } else { "Off" }, "Boot": state.boot,
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

fn change(line: &str, body: &Value, state: &mut State) -> u16 {
    match line {
        "POST /reset" => {
            let kind = body["ResetType"].as_str().unwrap_or_default();
            state.changes.push(kind.to_owned());
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
        line if line.starts_with("DELETE /redfish/v1/SessionService/Sessions/") => 204,
        _ => 404,
    }
}

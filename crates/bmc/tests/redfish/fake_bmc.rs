//! A BMC that answers as each test says, over real TLS on loopback.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bmc::{Connection, Redfish};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use resources::Secret;
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(crate) const PASSWORD: &str = "fake-bmc-password";

#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) body: Value,
    pub(crate) token: Option<String>,
    pub(crate) basic: bool,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}

pub(crate) fn status(status: u16) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

pub(crate) struct FakeBmc {
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for FakeBmc {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeBmc {
    /// `answer` gets `METHOD /path` and what was seen before; `None` never answers.
    pub(crate) async fn start(
        answer: impl Fn(&str, &[Seen]) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let own = rcgen::generate_simple_self_signed(["bmc.test".to_owned()]).unwrap();
        let der = own.cert.der().clone();
        let fingerprint = Sha256::digest(der.as_ref()).into();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der], key)
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, all, acceptor) = (
            Arc::new(answer),
            Arc::clone(&seen),
            TlsAcceptor::from(Arc::new(config)),
        );
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, all, acceptor) = (Arc::clone(&answer), Arc::clone(&all), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(|request: Request<Incoming>| {
                        let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
                        async move { Ok::<_, Infallible>(reply(request, &*answer, &all).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            fingerprint,
            seen,
            task,
        }
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection {
            port: self.address.port(),
            timeout: Duration::from_secs(10),
            ..Connection::insecure("127.0.0.1", "ops", Secret::new(PASSWORD.to_owned()))
        }
    }

    pub(crate) fn client(&self) -> Redfish {
        Redfish::new(self.connection()).unwrap()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|seen| seen.line.clone())
            .collect()
    }
}

async fn reply(
    request: Request<Incoming>,
    answer: &(impl Fn(&str, &[Seen]) -> Option<Answer> + Send + Sync),
    all: &Mutex<Vec<Seen>>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let line = format!("{} {}", head.method, head.uri.path());
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| {
        head.headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let seen = Seen {
        line: line.clone(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        token: header("x-auth-token"),
        basic: header("authorization").is_some_and(|value| value.starts_with("Basic ")),
    };
    let decided = {
        let mut all = all.lock().unwrap();
        all.push(seen);
        answer(&line, &all)
    };
    let Some(answer) = decided else {
        return std::future::pending().await;
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(answer.body))).unwrap()
}

//! HTTPS towards one BMC: origin, login, limits, and the errors of each of them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use http::{HeaderValue, Method, StatusCode, header};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::body::{self, MAX_BODY};
use super::tls::Verifier;
use crate::{Connection, Error, Login};

const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
const TOKEN: &str = "x-auth-token";
/// A session that is not closed takes a place on the BMC for half an hour.
const CLOSE_TRIES: u32 = 3;

/// One BMC's origin. Every request that leaves goes to it.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    verifier: Arc<Verifier>,
    connection: Connection,
    origin: String,
    session: Mutex<Held>,
}

/// What requests are authenticated by where sessions are wanted.
#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Session(Session),
    /// The BMC opens no session, with this HTTP status: user and password take its place.
    Refused(u16),
}

#[derive(Clone)]
struct Session {
    token: HeaderValue,
    path: Option<String>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(super) fn new(connection: Connection) -> Result<Self, Error> {
        let origin = connection.origin()?;
        let verifier = Verifier::new(connection.trust.clone());
        let setup = |source: Box<dyn std::error::Error + Send + Sync>| Error::Setup {
            host: connection.host.clone(),
            source,
        };
        let tls = verifier.client_config().map_err(|error| setup(error.into()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .no_proxy()
            .https_only(true)
            .connect_timeout(connection.timeout)
            .timeout(connection.timeout)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(15))
            .build()
            .map_err(|error| setup(error.into()))?;
        Ok(Self {
            client,
            verifier,
            connection,
            origin,
            session: Mutex::default(),
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.connection.host
    }

    pub(super) fn seen_fingerprint(&self) -> Option<[u8; 32]> {
        self.verifier.seen()
    }

    /// Accepts a reference that the BMC gave only if it is an absolute path on the BMC itself.
    pub(super) fn local(&self, reference: &str) -> Result<String, Error> {
        let plain = reference
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#');
        if reference.starts_with('/') && !reference.starts_with("//") && plain && reference.len() <= 512 {
            return Ok(reference.to_owned());
        }
        let reference: String = reference.chars().filter(|c| !c.is_control()).take(100).collect();
        Err(Error::ForeignReference {
            host: self.host().to_owned(),
            reference,
        })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let (_, bytes) = self.exchange(Method::GET, path, None, None).await?;
        self.read(path, &bytes)
    }

    /// Reads without user and password.
    pub(super) async fn greet<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let request = self
            .client
            .get(format!("{}{path}", self.origin))
            .header(header::ACCEPT, "application/json");
        let answer = self.receive(request, &Method::GET, path).await?;
        let (_, bytes) = self.accept(answer, &Method::GET, path)?;
        self.read(path, &bytes)
    }

    /// A document that was read already, as one of a schema.
    pub(super) fn read_value<T: DeserializeOwned>(&self, path: &str, document: &Value) -> Result<T, Error> {
        T::deserialize(document).map_err(|_| Error::Malformed {
            host: self.host().to_owned(),
            path: path.to_owned(),
            problem: "a field is missing or of another type than the schema's".to_owned(),
        })
    }

    fn read<T: DeserializeOwned>(&self, path: &str, bytes: &[u8]) -> Result<T, Error> {
        body::parse(bytes).map_err(|problem| Error::Malformed {
            host: self.host().to_owned(),
            path: path.to_owned(),
            problem,
        })
    }

    /// Sends a change. `if_match` is the ETag that some BMCs insist on.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        content: &Value,
        if_match: Option<&str>,
    ) -> Result<(), Error> {
        self.exchange(method, path, Some(content), if_match)
            .await
            .map(drop)
    }

    pub(super) async fn close_session(&self) {
        let Held::Session(Session {
            token,
            path: Some(path),
        }) = std::mem::take(&mut *self.session.lock().await)
        else {
            return;
        };
        for _ in 0..CLOSE_TRIES {
            let url = format!("{}{path}", self.origin);
            let request = self.client.delete(url).header(TOKEN, token.clone());
            match request.send().await {
                Ok(answer) if !answer.status().is_server_error() => return,
                Err(error) if error.is_timeout() => break,
                Ok(_) | Err(_) => {}
            }
        }
        tracing::debug!(bmc = %self.connection.host, "session left to expire");
    }

    /// One request, with one new login if a session has expired.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        content: Option<&Value>,
        if_match: Option<&str>,
    ) -> Result<(Head, Vec<u8>), Error> {
        let mut may_login_again = self.connection.login == Login::Session;
        loop {
            let auth = self.authorization().await?;
            let mut request = self
                .client
                .request(method.clone(), format!("{}{path}", self.origin));
            request = request
                .header(auth.0, auth.1)
                .header(header::ACCEPT, "application/json");
            if let Some(content) = content {
                request = request.json(content);
            }
            if let Some(tag) = if_match.and_then(|tag| HeaderValue::from_str(tag).ok()) {
                request = request.header(header::IF_MATCH, tag);
            }
            let answer = self.receive(request, &method, path).await?;
            let status = answer.0.status;
            if status == StatusCode::UNAUTHORIZED && std::mem::take(&mut may_login_again) {
                let held = std::mem::take(&mut *self.session.lock().await);
                if let Held::Refused(refused) = held {
                    return Err(Error::NoSession {
                        host: self.host().to_owned(),
                        reason: format!("HTTP {refused}, and it takes no basic authentication"),
                    });
                }
                continue;
            }
            return self.accept(answer, &method, path);
        }
    }

    /// Sorts an answer by its status into data or an error.
    fn accept(&self, answer: (Head, Vec<u8>), method: &Method, path: &str) -> Result<(Head, Vec<u8>), Error> {
        let host = || self.host().to_owned();
        let status = answer.0.status;
        match status {
            s if s.is_success() => Ok(answer),
            s if s.is_redirection() => Err(Error::Redirect {
                host: host(),
                path: path.to_owned(),
            }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Login {
                host: host(),
                reason: format!("HTTP {}", status.as_u16()),
            }),
            _ => Err(Error::Status {
                host: host(),
                method: method.to_string(),
                path: path.to_owned(),
                status: status.as_u16(),
                message: body::error_message(&answer.1),
            }),
        }
    }

    async fn authorization(&self) -> Result<(&'static str, HeaderValue), Error> {
        match self.connection.login {
            Login::Basic => Ok(("authorization", self.basic()?)),
            Login::Session => self.session().await,
        }
    }

    fn basic(&self) -> Result<HeaderValue, Error> {
        let pair = format!(
            "{}:{}",
            self.connection.username,
            self.connection.password.reveal()
        );
        let mut value =
            HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).map_err(|error| {
                Error::Setup {
                    host: self.host().to_owned(),
                    source: error.into(),
                }
            })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The token of the session, which is opened where there is none. A BMC that opens none, as those do whose sessions are
    /// all taken, gets user and password with each request.
    async fn session(&self) -> Result<(&'static str, HeaderValue), Error> {
        let mut held = self.session.lock().await;
        match &*held {
            Held::Session(session) => return Ok((TOKEN, session.token.clone())),
            Held::Refused(_) => return Ok(("authorization", self.basic()?)),
            Held::Nothing => {}
        }
        match self.open_session().await {
            Ok(session) => {
                let token = session.token.clone();
                *held = Held::Session(session);
                Ok((TOKEN, token))
            }
            Err(Error::Status { status, .. }) => {
                tracing::debug!(bmc = %self.host(), status, "no session is opened: basic authentication instead");
                *held = Held::Refused(status);
                Ok(("authorization", self.basic()?))
            }
            Err(error) => Err(error),
        }
    }

    async fn open_session(&self) -> Result<Session, Error> {
        let login = json!({
            "UserName": self.connection.username,
            "Password": self.connection.password.reveal(),
        });
        let request = self
            .client
            .post(format!("{}{SESSIONS}", self.origin))
            .json(&login);
        let answer = self.receive(request, &Method::POST, SESSIONS).await?;
        let (response, _) = self.accept(answer, &Method::POST, SESSIONS)?;
        let mut token = response.token.ok_or_else(|| Error::Malformed {
            host: self.host().to_owned(),
            path: SESSIONS.to_owned(),
            problem: "no X-Auth-Token in the answer to the login".to_owned(),
        })?;
        token.set_sensitive(true);
        // A location elsewhere is not followed; that session then ends by the BMC's own timeout.
        let path = response.location.and_then(|location| self.local(&location).ok());
        Ok(Session { token, path })
    }

    async fn receive(
        &self,
        request: reqwest::RequestBuilder,
        method: &Method,
        path: &str,
    ) -> Result<(Head, Vec<u8>), Error> {
        let failed = |error: reqwest::Error| self.classify(error, method, path);
        let response = request.send().await.map_err(failed)?;
        let head = Head::of(&response);
        let mut bytes = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(failed)?;
            if bytes.len().saturating_add(chunk.len()) > MAX_BODY {
                return Err(Error::TooLong {
                    host: self.host().to_owned(),
                    path: path.to_owned(),
                    limit: MAX_BODY,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((head, bytes))
    }

    fn classify(&self, error: reqwest::Error, method: &Method, path: &str) -> Error {
        let host = self.host().to_owned();
        if error.is_timeout() {
            let seconds = self.connection.timeout.as_secs();
            return Error::Timeout {
                host,
                method: method.to_string(),
                path: path.to_owned(),
                seconds,
            };
        }
        if refused_certificate(&error) {
            return Error::Certificate { host };
        }
        // The URL in reqwest's own text repeats what the error already says.
        let source = Box::new(error.without_url());
        Error::Unreachable {
            host,
            method: method.to_string(),
            path: path.to_owned(),
            source,
        }
    }
}

/// What is kept of an answer's head.
#[derive(Debug)]
pub(super) struct Head {
    status: StatusCode,
    token: Option<HeaderValue>,
    location: Option<String>,
}

impl Head {
    fn of(response: &Response) -> Self {
        let headers = response.headers();
        let location = headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        Self {
            status: response.status(),
            token: headers.get(TOKEN).cloned(),
            location,
        }
    }
}

/// Whether our own certificate check is somewhere among the causes. An I/O error hides what it carries from
/// `source`, and such errors come nested.
fn refused_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref::<rustls::Error>() {
        return true;
    }
    let carried = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    carried.is_some_and(|inner| refused_certificate(inner)) || error.source().is_some_and(refused_certificate)
}

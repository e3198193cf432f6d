//! Requests for objects, and the session that they need.

use driver::Fault;
use driver::json;
use driver::sdk::Redaction;
use driver::v1::{Reason, Scope};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client::{Answer, send};
use crate::memory::{NewObject, Object};

/// The one session of a process.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Option<Session>>);

#[derive(Debug, Clone)]
struct Session {
    url: String,
    /// Generation of the secrets and the password itself: another one needs another session.
    secret: (u64, Vec<u8>),
    id: String,
}

impl Sessions {
    pub(super) async fn close(&self) {
        if let Some(session) = self.0.lock().await.take() {
            // It ends by itself if the provider can't be reached.
            let _ = send(&session.url, Method::DELETE, "/session", &session.id, None).await;
        }
    }
}

/// The provider, with a session.
pub(super) struct Api<'a> {
    sessions: &'a Sessions,
    url: String,
    pub(super) network: String,
    secret: (u64, Vec<u8>),
    redaction: Redaction,
}

impl<'a> Api<'a> {
    /// Logs in, unless there is a session.
    pub(super) async fn open(scope: &Scope, sessions: &'a Sessions) -> Result<Self, Fault> {
        let config = scope.config.as_ref().map(json::from_struct).unwrap_or_default();
        let text = |name: &str| {
            config
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let password = scope.secrets.get("password").cloned().unwrap_or_default();
        let api = Self {
            sessions,
            url: text("url"),
            network: text("network"),
            redaction: Redaction::new([password.as_slice()]),
            secret: (scope.secrets_generation, password),
        };
        api.session().await?;
        Ok(api)
    }

    async fn session(&self) -> Result<String, Fault> {
        let mut held = self.sessions.0.lock().await;
        let fits = |session: &&Session| session.secret == self.secret && session.url == self.url;
        if let Some(session) = held.as_ref().filter(fits) {
            return Ok(session.id.clone());
        }
        if let Some(old) = held.take() {
            // It ends by itself if the provider can't be reached.
            let _ = send(&old.url, Method::DELETE, "/session", &old.id, None).await;
        }
        let body = json!({"password": String::from_utf8_lossy(&self.secret.1)});
        let answer = send(&self.url, Method::POST, "/session", "", Some(body)).await;
        // A login has no effect on machines.
        let answer = answer.map_err(Fault::without_effect)?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(Fault::new(Reason::Auth, "the provider refuses the password").without_effect());
        }
        let id = answer
            .field("session")
            .ok_or_else(|| self.unexpected(&answer).without_effect())?;
        *held = Some(Session {
            url: self.url.clone(),
            secret: self.secret.clone(),
            id: id.clone(),
        });
        Ok(id)
    }

    /// Sends a request; a session that has ended is opened once more.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, Fault> {
        let session = self.session().await?;
        let answer = send(&self.url, method.clone(), path, &session, body.clone()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.sessions.0.lock().await.take_if(|held| held.id == session);
        let session = self.session().await?;
        send(&self.url, method, path, &session, body).await
    }

    fn unexpected(&self, answer: &Answer) -> Fault {
        let text = self.redaction.apply(&answer.error());
        Fault::new(Reason::TaskFailed, format!("the provider says {text}"))
            .with_provider_code(answer.status.as_str().to_owned())
    }

    pub(super) async fn exists(&self, kind: &str, name: &str) -> Result<bool, Fault> {
        let answer = self.ask(Method::GET, &format!("/{kind}/{name}"), None).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.unexpected(&answer)),
        }
    }

    pub(super) async fn objects(&self, query: &str) -> Result<Vec<Object>, Fault> {
        let answer = self.ask(Method::GET, &format!("/objects?{query}"), None).await?;
        if answer.status == StatusCode::OK {
            return answer.read();
        }
        Err(self.unexpected(&answer))
    }

    pub(super) async fn object(&self, id: u64) -> Result<Option<Object>, Fault> {
        let answer = self.ask(Method::GET, &format!("/objects/{id}"), None).await?;
        match answer.status {
            StatusCode::OK => answer.read().map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.unexpected(&answer)),
        }
    }

    /// None when the name is taken.
    pub(super) async fn create(&self, wanted: &NewObject) -> Result<Option<Object>, Fault> {
        let answer = self.ask(Method::POST, "/objects", Some(json!(wanted))).await?;
        match answer.status {
            StatusCode::CREATED => answer.read().map(Some),
            StatusCode::CONFLICT => Ok(None),
            StatusCode::UNPROCESSABLE_ENTITY => {
                let text = self.redaction.apply(&answer.error());
                Err(Fault::new(Reason::ImageMissing, text).without_effect())
            }
            _ => Err(self.unexpected(&answer)),
        }
    }

    /// Power that is so already is fine, and so is a machine that has gone: whoever looks next sees that.
    pub(super) async fn power(&self, id: u64, power: &str) -> Result<(), Fault> {
        let answer = self
            .ask(Method::POST, &format!("/objects/{id}/power/{power}"), None)
            .await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(self.unexpected(&answer)),
        }
    }

    pub(super) async fn remove(&self, id: u64) -> Result<(), Fault> {
        let answer = self.ask(Method::DELETE, &format!("/objects/{id}"), None).await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            StatusCode::CONFLICT => Err(Fault::new(Reason::Busy, "the machine was switched on meanwhile")),
            _ => Err(self.unexpected(&answer)),
        }
    }
}

//! A daemon that speaks, and how it is asked.

use std::path::{Path, PathBuf};

use driver::Fault;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::model::Info;
use super::transport::{Answer, request, send};
use super::versions::{ApiVersion, Versions};

/// A daemon that has answered, and the version of the API that both speak.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    pub(super) socket: PathBuf,
    api: ApiVersion,
}

impl Daemon {
    /// Asks the daemon at a socket for its version, unless it has told it lately.
    pub(crate) async fn open(socket: &Path, versions: &Versions) -> Result<Self, Fault> {
        Ok(Self {
            api: versions.negotiated(socket).await?,
            socket: socket.to_owned(),
        })
    }

    pub(crate) const fn api(&self) -> ApiVersion {
        self.api
    }

    /// What names a thing of this daemon among those of others.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{} {name}", self.socket.display())
    }

    /// `GET /info`.
    pub(crate) async fn info(&self) -> Result<Info, Fault> {
        self.list(&self.path("/info", &[])).await
    }

    /// A path in the version that both speak.
    pub(super) fn path(&self, path: &str, query: &[(&str, &str)]) -> String {
        if query.is_empty() {
            return format!("/v{}{path}", self.api);
        }
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        format!("/v{}{path}?{query}", self.api)
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Fault> {
        send(&self.socket, request(method, path, body)?).await
    }

    /// A question whose only answer is 200.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        let answer = self.ask(Method::GET, path, None).await?;
        if answer.status == StatusCode::OK {
            answer.read()
        } else {
            Err(answer.unexpected())
        }
    }
}

/// The query `filters` of lists: values of one kind, of which all must hold for labels and one for names.
pub(super) fn filter(kind: &str, values: &[String]) -> String {
    json!({kind: values}).to_string()
}

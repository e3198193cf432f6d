//! Requests for containers.

use bytes::Bytes;
use driver::Fault;
use driver::v1::Reason;
use http::{Method, StatusCode};
use serde_json::Value;

use super::connection::{Daemon, filter};
use super::model::Container;
use super::transport::{send, whole, with_body};

/// How long a system may take to shut down, in seconds, before it is killed.
const GRACE: &str = "10";

/// What became of a container that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Done,
    NameTaken,
}

/// What became of a request for a container that may have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// It is as was asked for.
    Done,
    /// There is none, or what it needs has gone.
    Missing,
    /// The daemon works on it.
    Busy,
}

impl Daemon {
    /// Containers in every state that bear all of the labels, each `NAME=VALUE` or `NAME`.
    pub(crate) async fn labelled(&self, labels: &[String]) -> Result<Vec<Container>, Fault> {
        self.containers(&filter("label", labels)).await
    }

    /// Every container there is.
    pub(crate) async fn all(&self) -> Result<Vec<Container>, Fault> {
        self.containers("{}").await
    }

    /// The container of a name. Not by `GET /containers/NAME/json`, which takes the beginning of an id for a name.
    pub(crate) async fn named(&self, name: &str) -> Result<Option<Container>, Fault> {
        let found = self.containers(&filter("name", &[format!("^/{name}$")])).await?;
        Ok(found.into_iter().find(|container| container.name() == name))
    }

    async fn containers(&self, filters: &str) -> Result<Vec<Container>, Fault> {
        let path = self.path("/containers/json", &[("all", "1"), ("filters", filters)]);
        // A question has no effect, however it ends.
        self.list(&path).await.map_err(Fault::without_effect)
    }

    /// Makes a container. Its labels are on it from the moment it can be seen.
    pub(crate) async fn create(&self, name: &str, body: &Value) -> Result<Made, Fault> {
        let path = self.path("/containers/create", &[("name", name)]);
        let answer = self.ask(Method::POST, &path, Some(body)).await?;
        match answer.status {
            StatusCode::CREATED => Ok(Made::Done),
            StatusCode::CONFLICT => Ok(Made::NameTaken),
            StatusCode::NOT_FOUND => {
                let mut fault = answer.fault(Reason::ImageMissing).without_effect();
                "/spec/image_ref".clone_into(&mut fault.detail.field);
                Err(fault)
            }
            StatusCode::BAD_REQUEST => {
                let mut fault = answer.fault(Reason::InvalidSpec).without_effect();
                "/spec".clone_into(&mut fault.detail.field);
                Err(fault)
            }
            _ => Err(answer.unexpected()),
        }
    }

    /// Unpacks an archive at `/` of a container.
    pub(crate) async fn unpack(&self, id: &str, archive: Bytes) -> Result<Reached, Fault> {
        let path = self.path(&format!("/containers/{id}/archive"), &[("path", "/")]);
        let request = with_body(Method::PUT, &path, "application/x-tar", whole(archive))?;
        let answer = send(&self.socket, request).await?;
        match answer.status {
            StatusCode::OK if answer.is_empty() => Ok(Reached::Done),
            StatusCode::NOT_FOUND => Ok(Reached::Missing),
            _ => Err(answer.unexpected()),
        }
    }

    /// Starts a container; one that runs is fine.
    pub(crate) async fn start(&self, id: &str) -> Result<Reached, Fault> {
        let path = self.path(&format!("/containers/{id}/start"), &[]);
        let answer = self.ask(Method::POST, &path, None).await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Ok(Reached::Done),
            StatusCode::NOT_FOUND => Ok(Reached::Missing),
            StatusCode::CONFLICT => Ok(Reached::Busy),
            // What the container is to run does not exist, or can't be run.
            StatusCode::BAD_REQUEST => Err(answer.fault(Reason::InvalidSpec)),
            _ => Err(answer.unexpected()),
        }
    }

    /// Goes on with a container that was paused.
    pub(crate) async fn unpause(&self, id: &str) -> Result<Reached, Fault> {
        self.act(id, "unpause", &[]).await
    }

    /// Asks the system to shut down, and kills it when that takes too long.
    pub(crate) async fn stop(&self, id: &str) -> Result<Reached, Fault> {
        self.act(id, "stop", &[("t", GRACE)]).await
    }

    /// Switches off.
    pub(crate) async fn kill(&self, id: &str) -> Result<Reached, Fault> {
        self.act(id, "kill", &[]).await
    }

    /// Off and on again.
    pub(crate) async fn restart(&self, id: &str, graceful: bool) -> Result<Reached, Fault> {
        let grace = if graceful { GRACE } else { "0" };
        self.act(id, "restart", &[("t", grace)]).await
    }

    async fn act(&self, id: &str, action: &str, query: &[(&str, &str)]) -> Result<Reached, Fault> {
        let path = self.path(&format!("/containers/{id}/{action}"), query);
        let answer = self.ask(Method::POST, &path, None).await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Ok(Reached::Done),
            StatusCode::NOT_FOUND => Ok(Reached::Missing),
            StatusCode::CONFLICT => Ok(Reached::Busy),
            _ => Err(answer.unexpected()),
        }
    }

    /// Removes a container, whatever it does, and the volumes that were made with it.
    pub(crate) async fn remove(&self, id: &str) -> Result<Reached, Fault> {
        let path = self.path(&format!("/containers/{id}"), &[("force", "1"), ("v", "1")]);
        let answer = self.ask(Method::DELETE, &path, None).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(Reached::Done),
            StatusCode::NOT_FOUND => Ok(Reached::Missing),
            StatusCode::CONFLICT => Ok(Reached::Busy),
            _ => Err(answer.unexpected()),
        }
    }
}

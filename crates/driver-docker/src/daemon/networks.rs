//! Requests for networks.

use driver::Fault;
use http::{Method, StatusCode};
use serde_json::Value;

use super::connection::{Daemon, filter};
use super::model::Network;
use super::transport::Answer;

impl Daemon {
    /// The networks of a name: Docker lets several have the same.
    pub(crate) async fn networks_named(&self, name: &str) -> Result<Vec<Network>, Fault> {
        let mut networks = self.networks(&filter("name", &[name.to_owned()])).await?;
        // The filter takes each name that the text is a part of.
        networks.retain(|network| network.name == name);
        Ok(networks)
    }

    /// The networks that bear all of the labels.
    pub(crate) async fn networks_labelled(&self, labels: &[String]) -> Result<Vec<Network>, Fault> {
        self.networks(&filter("label", labels)).await
    }

    async fn networks(&self, filters: &str) -> Result<Vec<Network>, Fault> {
        let path = self.path("/networks", &[("filters", filters)]);
        // A question has no effect, however it ends.
        self.list(&path).await.map_err(Fault::without_effect)
    }

    /// Makes a network; false when its name is taken. A refusal is handed on to the caller.
    pub(crate) async fn create_network(&self, body: &Value) -> Result<Result<bool, Answer>, Fault> {
        let path = self.path("/networks/create", &[]);
        let answer = self.ask(Method::POST, &path, Some(body)).await?;
        Ok(match answer.status {
            StatusCode::CREATED => Ok(true),
            StatusCode::CONFLICT => Ok(false),
            _ => Err(answer),
        })
    }

    /// Removes a network; false while containers are in it.
    pub(crate) async fn remove_network(&self, id: &str) -> Result<bool, Fault> {
        let path = self.path(&format!("/networks/{id}"), &[]);
        let answer = self.ask(Method::DELETE, &path, None).await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(true),
            StatusCode::FORBIDDEN => Ok(false),
            _ => Err(answer.unexpected()),
        }
    }
}

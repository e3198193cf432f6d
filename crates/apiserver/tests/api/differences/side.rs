//! One of the two servers, as a case uses it.

use std::time::{Duration, Instant};

use http::{Method, Request};
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value, json};

use super::transcript;

/// How long a case waits for something that both servers should do.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: Value,
}

impl Answer {
    /// In the form that can be compared.
    pub(super) fn seen(&self) -> Value {
        transcript::answer(self.code, &self.body)
    }

    /// Code and reason only.
    pub(super) fn verdict(&self) -> Value {
        json!({"code": self.code, "reason": self.body["reason"]})
    }

    pub(super) fn uid(&self) -> String {
        self.body["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub(super) fn is_terminating(&self) -> bool {
        self.body["metadata"]["deletionTimestamp"].is_string()
    }
}

/// A server.
#[derive(Clone)]
pub(super) struct Side {
    client: Client,
}

impl Side {
    pub(super) fn new(client: Client) -> Side {
        Side { client }
    }

    /// Sends a request with a body of a media type; without a body there is none.
    pub(super) async fn ask(&self, method: Method, path: &str, media: &str, body: Option<&Value>) -> Answer {
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .header("user-agent", "differences/1")
            .body(kube::client::Body::from(bytes.into_bytes()))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer {
            code,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "application/json", None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, "application/json", Some(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PUT, path, "application/json", Some(body)).await
    }

    pub(super) async fn merge(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PATCH, path, "application/merge-patch+json", Some(body))
            .await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, "application/json", None).await
    }

    /// Reads a watch to its end; false when it goes on.
    pub(super) async fn watch_ends(&self, path: &str) -> bool {
        let request = Request::get(path).body(kube::client::Body::empty()).unwrap();
        let response = self.client.send(request).await.unwrap();
        let read = response.into_body().collect();
        tokio::time::timeout(PATIENCE, read).await.is_ok()
    }

    /// Asks again until the answer is as wanted; false when that does not happen.
    pub(super) async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if wanted(&self.get(path).await) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        false
    }

    pub(super) async fn gone(&self, path: &str) -> bool {
        self.until(path, |answer| answer.code == 404).await
    }

    pub(super) async fn terminating(&self, path: &str) -> bool {
        self.until(path, Answer::is_terminating).await
    }

    /// Makes a namespace; gives the path of its ConfigMaps.
    pub(super) async fn namespace(&self, name: &str) -> String {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let made = self.post("/api/v1/namespaces", &body).await;
        assert_eq!(made.code, 201, "{made:?}");
        format!("/api/v1/namespaces/{name}/configmaps")
    }

    /// Makes a ConfigMap with this metadata beside the name.
    pub(super) async fn config_map(&self, maps: &str, name: &str, metadata: Value) -> Answer {
        let mut body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        body["metadata"]["name"] = name.into();
        let made = self.post(maps, &body).await;
        assert_eq!(made.code, 201, "{made:?}");
        made
    }

    /// Waits until the collector has looked at everything that was written before: it collects an object whose owner
    /// never existed.
    pub(super) async fn collector_has_looked(&self, maps: &str) -> bool {
        let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "none"});
        self.config_map(maps, "canary", json!({"ownerReferences": [owner]}))
            .await;
        self.gone(&format!("{maps}/canary")).await
    }
}

/// A reference to an owner.
pub(super) fn owner(owner: &Answer, block: bool) -> Value {
    json!([{"apiVersion": owner.body["apiVersion"], "kind": owner.body["kind"], "name": owner.body["metadata"]["name"],
        "uid": owner.uid(), "blockOwnerDeletion": block}])
}

//! Members of etcd as users of etcd call them.

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::EtcdMembers;

/// Calls one member by its JSON gateway.
#[derive(Debug, Clone)]
pub struct EtcdGateway {
    at: SocketAddr,
    own: PathBuf,
    ca: PathBuf,
}

impl EtcdGateway {
    /// To the member of a number.
    #[must_use]
    pub fn new(members: &EtcdMembers, number: u8) -> Self {
        let client = members.client();
        let file = |name: &str| members.folder().join(format!("{name}-{number}.pem"));
        let (own, ca) = (file("client"), file("client-ca"));
        std::fs::write(&own, format!("{}{}", client.certificate, client.key.reveal())).unwrap();
        std::fs::write(&ca, members.ca()).unwrap();
        let at = members.endpoint(number);
        Self { at, own, ca }
    }

    /// An error is what etcd refuses with.
    pub async fn call(&self, what: &str, body: &Value) -> Result<Value, String> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--max-time", "20"])
            .arg("--data")
            .arg(body.to_string())
            .arg("--cacert")
            .arg(&self.ca)
            .arg("--cert")
            .arg(&self.own)
            .arg(format!("https://{}/v3/{what}", self.at))
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_str(&text).unwrap()),
            false => Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Gives a key a value.
    pub async fn put(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), String> {
        let body = json!({"key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(value)});
        self.call("kv/put", &body).await.map(drop)
    }

    /// The same, with a new lease that ends after so many seconds, as kube-apiserver has keys.
    pub async fn put_with_lease(
        &self,
        key: &str,
        value: impl AsRef<[u8]>,
        seconds: u32,
    ) -> Result<(), String> {
        let granted = self
            .call("lease/grant", &json!({"TTL": seconds.to_string()}))
            .await?;
        let body = json!({"key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(value), "lease": granted["ID"]});
        self.call("kv/put", &body).await.map(drop)
    }

    /// The value of a key, a text.
    pub async fn get(&self, key: &str) -> Option<String> {
        let body = json!({"key": BASE64_STANDARD.encode(key)});
        let answer = self.call("kv/range", &body).await.unwrap();
        let value = answer["kvs"][0]["value"].as_str()?;
        Some(String::from_utf8(BASE64_STANDARD.decode(value).unwrap()).unwrap())
    }
}

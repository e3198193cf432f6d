//! Secrets that stand in a cluster's file, such as the credentials of a registry mirror. They are no part of the cluster's
//! documents: nobody records them with these.

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::node::{self, Node};
use crate::schema::Walk;

/// The Secrets of a file that [`crate::parse`] takes, in the order in which they stand there.
#[must_use]
pub fn secrets(text: &str) -> Vec<Secret> {
    let (nodes, _) = node::documents(text.strip_prefix('\u{feff}').unwrap_or(text));
    let secrets = nodes.iter().filter(|node| is_secret(node));
    secrets.filter_map(|node| read(node).0).collect()
}

/// Whether a document is a Secret.
pub(crate) fn is_secret(node: &Node) -> bool {
    let text = |name: &str| node.get(name).and_then(Node::text);
    (text("apiVersion"), text("kind")) == (Some("v1"), Some("Secret"))
}

/// A Secret, and what is wrong with it.
pub(crate) fn read(node: &Node) -> (Option<Secret>, Walk) {
    let mut walk = Walk::default();
    let value = walk.node(node, &schema(), "");
    let secret = value.filter(|_| walk.faults.is_empty());
    (secret.and_then(|value| serde_json::from_value(value).ok()), walk)
}

fn schema() -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "object", "additionalProperties": text });
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "properties": {
            "apiVersion": text, "kind": text, "type": text, "data": texts, "stringData": texts,
            "immutable": { "type": "boolean" },
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": { "name": text, "namespace": text, "labels": texts, "annotations": texts },
            },
        },
    })
}

//! Objects of Kubernetes as kube-apiserver writes them into etcd. Pure.
//!
//! Protobuf of `k8s.io/apimachinery/pkg/runtime` behind four bytes, JSON (custom resources), or what a provider of
//! encryption at rest makes of either.

use std::collections::BTreeMap;

use prost::Message as _;
use serde_json::Value;

/// What all keys of kube-apiserver begin with.
pub(crate) const ROOT: &str = "/registry/";

const PROTOBUF: &[u8] = b"k8s\0";
const ENCRYPTED: &[u8] = b"k8s:enc:";

/// `runtime.Unknown`.
#[derive(Clone, PartialEq, prost::Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

/// `runtime.TypeMeta`.
#[derive(Clone, PartialEq, prost::Message)]
struct TypeMeta {
    #[prost(string, tag = "2")]
    kind: String,
}

/// `core/v1.ConfigMap`.
#[derive(Clone, PartialEq, prost::Message)]
struct ConfigMap {
    #[prost(btree_map = "string, string", tag = "2")]
    data: BTreeMap<String, String>,
}

/// An object as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stored {
    /// In the clear.
    Object {
        /// Its kind.
        kind: String,
        content: Content,
    },
    /// Encrypted by kube-apiserver: `k8s:enc:<provider>:<version>:<key>`.
    Encrypted(String),
    /// Nothing that kube-apiserver writes.
    Unreadable,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Protobuf(Vec<u8>),
    Json(Box<Value>),
}

impl Stored {
    pub(crate) fn read(value: &[u8]) -> Self {
        if let Some(message) = value.strip_prefix(PROTOBUF) {
            let Ok(unknown) = Unknown::decode(message) else {
                return Self::Unreadable;
            };
            return Self::Object {
                kind: unknown.type_meta.unwrap_or_default().kind,
                content: Content::Protobuf(unknown.raw),
            };
        }
        if value.starts_with(ENCRYPTED) {
            let header: Vec<&[u8]> = value.splitn(6, |byte| *byte == b':').take(5).collect();
            return Self::Encrypted(String::from_utf8_lossy(&header.join(&b':')).into_owned());
        }
        match serde_json::from_slice::<Value>(value) {
            Ok(json) => Self::Object {
                kind: json["kind"].as_str().unwrap_or_default().to_owned(),
                content: Content::Json(Box::new(json)),
            },
            Err(_) => Self::Unreadable,
        }
    }

    /// Whether it is an object of a kind, and a text in its `data` where it is a ConfigMap.
    pub(crate) fn config_map(&self) -> Option<BTreeMap<String, String>> {
        match self {
            Self::Object { kind, content } if kind == "ConfigMap" => match content {
                Content::Protobuf(raw) => Some(ConfigMap::decode(raw.as_slice()).ok()?.data),
                Content::Json(json) => serde_json::from_value(json["data"].clone()).ok(),
            },
            _ => None,
        }
    }
}

//! A server on a fresh database with one custom kind, `Widget`.

use std::sync::Arc;

use apiserver::{AesGcmSealer, ApiServer, Config};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) fn widget_definition() -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "metadata": {"name": "widgets.example.dev"},
        "spec": {
            "group": "example.dev", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
                    {"name": "Colour", "type": "string", "jsonPath": ".spec.colour", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
                "schema": {"openAPIV3Schema": {"type": "object", "description": "A thing for tests.", "required": ["spec"],
                    "properties": {
                        "spec": {"type": "object", "description": "What is wanted.", "properties": {
                            "size": {"type": "integer", "minimum": 1, "description": "How large it is."},
                            "colour": {"type": "string", "default": "red", "enum": ["red", "green", "blue"]},
                            "parts": {"type": "array", "x-kubernetes-list-type": "map",
                                "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object", "required": ["name"],
                                    "properties": {"name": {"type": "string"}, "count": {"type": "integer"}}}}}},
                        "status": {"type": "object", "properties": {
                            "phase": {"type": "string"},
                            "conditions": {"type": "array", "x-kubernetes-list-type": "map",
                                "x-kubernetes-list-map-keys": ["type"], "items": {"type": "object",
                                    "required": ["type", "status"],
                                    "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}}}}}}}
            }]
        }
    }))
    .unwrap()
}

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) server: ApiServer,
    pub(crate) client: Client,
}

pub(crate) fn config(dir: &std::path::Path) -> Config {
    let mut config = Config::new(dir.join("state.db"), Arc::new(AesGcmSealer::new(&[7; 32])));
    config.definitions = vec![widget_definition()];
    config.definitions.extend(resources::crds());
    config.conversions = vec![resources::cluster_api::v1beta1::conversion().into()];
    config.tokens = vec![
        ("fake-admin-token".into(), apiserver::Identity::admin("admin")),
        (
            "fake-guest-token".into(),
            apiserver::Identity {
                name: "guest".into(),
                groups: vec![],
            },
        ),
    ];
    config
}

impl Fixture {
    pub(crate) async fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::open(config(dir.path())).await.unwrap();
        let client = server.client();
        Fixture { dir, server, client }
    }

    pub(crate) async fn reopen(self) -> Fixture {
        let Fixture { dir, server, client } = self;
        drop(client);
        server.close().await;
        let server = ApiServer::open(config(dir.path())).await.unwrap();
        let client = server.client();
        Fixture { dir, server, client }
    }

    pub(crate) fn widgets(&self) -> Api<DynamicObject> {
        widgets(&self.client)
    }

    pub(crate) async fn create(&self, object: Value) -> kube::Result<DynamicObject> {
        self.widgets()
            .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
    }
}

pub(crate) fn widget_resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.dev", "v1", "Widget"), "widgets")
}

pub(crate) fn widgets(client: &Client) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), "default", &widget_resource())
}

pub(crate) fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

/// Code of the `Status` in a failed answer.
pub(crate) fn code<T: std::fmt::Debug>(result: kube::Result<T>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("expected a failure, got {other:?}"),
    }
}

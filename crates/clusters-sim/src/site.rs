//! What the image store, the driver of bare metal and the installed systems do with the objects of a namespace.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt};
use resources::gantry::{Image, ImageState, ProviderCluster, ProviderMachine, Server};
use resources::tinkerbell::Hardware;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::driver::{Driver, mac_of};
use crate::played_clusters::PlayedClusters;

/// Network of servers that are given no address, and the first of them.
const NETWORK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 0);
const FIRST: u32 = 11;

/// Everything around the coordinator in one namespace. Clones are the same site.
#[derive(Clone)]
pub struct Site {
    pub(crate) client: Client,
    pub(crate) namespace: &'static str,
    driver: Arc<Mutex<Driver>>,
    clusters: PlayedClusters,
}

impl Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Site {
    /// One without servers and clusters.
    #[must_use]
    pub fn new(client: Client, namespace: &'static str) -> Self {
        Self {
            client,
            namespace,
            driver: Arc::default(),
            clusters: PlayedClusters::default(),
        }
    }

    /// Servers and their claims.
    pub fn driver(&self) -> MutexGuard<'_, Driver> {
        self.driver.lock().unwrap()
    }

    /// The clusters that are made.
    #[must_use]
    pub const fn clusters(&self) -> &PlayedClusters {
        &self.clusters
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// Adds a server of a type: its Hardware, its Server and what the driver knows of it. None: the next address of a small
    /// network without a mask, which no rule looks at.
    pub async fn add_server(&self, host: &str, kind: &str, address: Option<Ipv4Addr>) {
        let interfaces = address.map(|address| {
            json!([{ "dhcp": {
                "mac": mac_of(address), "ip": { "address": address, "netmask": "255.255.255.0" },
            } }])
        });
        let mut hardware = json!({ "spec": { "interfaces": interfaces.unwrap_or_else(|| json!([])) } });
        hardware["metadata"] = json!({ "name": host, "labels": { "type": kind } });
        self.create::<Hardware>(hardware).await;
        let spec = json!({ "machineId": format!("m-{host}"), "hardware": host });
        self.create::<Server>(json!({ "metadata": { "name": host }, "spec": spec }))
            .await;
        let mut driver = self.driver();
        let next = FIRST + u32::try_from(driver.servers()).unwrap();
        let address = address.unwrap_or_else(|| Ipv4Addr::from_bits(NETWORK.to_bits() + next));
        driver.add(host, kind, address);
    }

    async fn create<K>(&self, mut object: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        let object: K = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap();
    }

    /// Writes the status of an object, as its owner does: only when it changes.
    pub(crate) async fn write_status<K>(&self, object: &K, status: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let known = serde_json::to_value(object).unwrap();
        if known.get("status") == Some(&without_nulls(&status)) {
            return;
        }
        let name = object.name_any();
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": { "name": name }, "status": status,
        });
        let params = PatchParams::apply("test").force();
        // It may have gone in the meantime.
        let _ = self
            .api::<K>()
            .patch_status(&name, &params, &Patch::Apply(&object))
            .await;
    }

    /// Image store, driver and installed systems do once what they do.
    pub async fn react(&self) {
        let all = ListParams::default();
        for image in self.api::<Image>().list(&all).await.unwrap().items {
            self.react_image(&image).await;
        }
        for machine in self.api::<ProviderMachine>().list(&all).await.unwrap().items {
            self.react_machine(&machine).await;
        }
        for object in self.api::<ProviderCluster>().list(&all).await.unwrap().items {
            self.react_provider_cluster(&object).await;
        }
    }

    /// The image store fetches an image, or says why it can't. One that it has stays as it is.
    pub async fn react_image(&self, image: &Image) {
        if image
            .status
            .as_ref()
            .is_some_and(|status| status.state == ImageState::Ready)
        {
            return;
        }
        let digest = format!("sha256:{}", "00".repeat(32));
        let versions = [("1.36", "v1.36.0"), ("1.37", "v1.37.0")];
        let version = versions.iter().find(|(minor, _)| image.spec.url.contains(minor));
        let version = version.map_or("v1.35.4", |(_, version)| version);
        let manifest = json!({
            "name": "image", "compression": "zstd", "rawSize": 1, "rawDigest": digest, "size": 1, "digest": digest,
            "kubernetesVersion": version, "chunks": [],
        });
        let bad = self.driver().bad_image.clone();
        let status = match bad {
            Some(reason) => json!({ "state": "failed", "reason": reason }),
            None => json!({ "state": "ready", "manifest": manifest }),
        };
        self.write_status(image, status).await;
    }
}

/// A value as an object has it: a field that is null is absent.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let set = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                set.map(|(key, value)| (key.clone(), without_nulls(value)))
                    .collect(),
            )
        }
        Value::Array(values) => Value::Array(values.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

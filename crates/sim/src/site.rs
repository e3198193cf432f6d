//! The embedded API on scratch files.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apiserver::{AesGcmSealer, ApiServer, Config, Identity, RecordKind};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::records::Records;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tower::ServiceExt as _;

use crate::traffic::Traffic;

/// The file with the objects.
const DATABASE: &str = "state.db";
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// An API in process with every kind of this workspace; its methods work in one namespace.
pub struct Site {
    namespace: &'static str,
    client: Client,
    server: ApiServer,
    scratch: TempDir,
}

impl Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("namespace", &self.namespace)
            .field("scratch", &self.scratch)
            .finish_non_exhaustive()
    }
}

fn config(scratch: &Path) -> Config {
    let sealer = Arc::new(AesGcmSealer::new(&[7; 32]));
    let mut config = Config::new(scratch.join(DATABASE), sealer);
    config.conversions = vec![resources::cluster_api::v1beta1::conversion().into()];
    config
}

/// A new folder with a database that has every definition. Installing them takes most of a first start, so a program does it
/// once.
async fn scratch() -> TempDir {
    static INSTALLED: OnceCell<Vec<u8>> = OnceCell::const_new();
    let install = async || {
        let scratch = tempfile::tempdir().unwrap();
        let mut config = config(scratch.path());
        config.definitions = resources::crds();
        let server = ApiServer::open(config).await.unwrap();
        let copy = scratch.path().join("copy.db");
        server.database().file().backup(&copy).await.unwrap();
        server.close().await;
        std::fs::read(copy).unwrap()
    };
    let installed = INSTALLED.get_or_init(install).await;
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE), installed).unwrap();
    scratch
}

impl Site {
    /// A new one.
    pub async fn start(namespace: &'static str) -> Self {
        Self::open(scratch().await, namespace, None).await
    }

    /// On the files of one that has ended.
    pub async fn on(scratch: TempDir, namespace: &'static str) -> Self {
        Self::open(scratch, namespace, None).await
    }

    /// A new one that shows these kinds of records, with the file of the records.
    pub async fn with_records(namespace: &'static str, kinds: Vec<RecordKind>) -> (Self, Records) {
        let scratch = scratch().await;
        let records = Records::open(scratch.path().join("records.db")).await.unwrap();
        let shown = Some((records.clone(), kinds));
        (Self::open(scratch, namespace, shown).await, records)
    }

    async fn open(
        scratch: TempDir,
        namespace: &'static str,
        records: Option<(Records, Vec<RecordKind>)>,
    ) -> Self {
        let mut config = config(scratch.path());
        config.namespaces = vec![namespace.to_owned()];
        config.records = records;
        let server = ApiServer::open(config).await.unwrap();
        Self {
            namespace,
            client: server.controller_client(),
            server,
            scratch,
        }
    }

    /// Closes it; nobody else may hold a client any more.
    pub async fn end(self) -> TempDir {
        drop(self.client);
        self.server.close().await;
        self.scratch
    }

    /// Serves it without TLS on loopback to other programs, whoever they are with all rights, until the runtime ends. Returns
    /// the file with their kubeconfig.
    pub async fn serve(&self) -> PathBuf {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let service = self
            .server
            .router()
            .map_request(|mut request: axum::extract::Request| {
                request.extensions_mut().insert(Identity::admin("program"));
                request
            });
        let router = axum::Router::new().fallback_service(service);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let kubeconfig = serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": "site",
            "clusters": [{"name": "site", "cluster": {"server": server}}], "users": [{"name": "site", "user": {}}],
            "contexts": [{"name": "site", "context": {"cluster": "site", "user": "site", "namespace": self.namespace}}]});
        let file = self.scratch.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig.to_string()).unwrap();
        file
    }

    /// A client of it, as controllers have it: objects come without `metadata.managedFields`.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// As [`Site::client`], with what it asks for counted.
    #[must_use]
    pub fn counted_client(&self) -> (Client, Traffic) {
        let traffic = Traffic::default();
        (traffic.of(self.client()), traffic)
    }

    /// A client that sees objects as a person does.
    #[must_use]
    pub fn admin_client(&self) -> Client {
        self.server.client()
    }

    /// A folder for whatever the test needs.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The objects of a kind.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client(), self.namespace)
    }

    /// Makes an object.
    pub async fn make<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    /// Merges a change into an object.
    pub async fn merge<K>(&self, name: &str, change: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let patch = Patch::Merge(change);
        self.api::<K>()
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Merges a change into the status of an object, as its owner would.
    pub async fn merge_status<K>(&self, name: &str, change: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let patch = Patch::Merge(change);
        self.api::<K>()
            .patch_status(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// The object once it is there and `condition` holds.
    pub async fn when<K>(&self, name: &str, condition: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api = self.api::<K>();
        let mut last = None;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                last = api.get_opt(name).await.unwrap();
                if let Some(object) = last.clone().filter(&condition) {
                    return object;
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("condition never held for {name}; last: {last:#?}"))
    }

    /// The newest text of the Event with this reason on an object, once there is one.
    pub async fn event(&self, kind: &str, name: &str, reason: &str) -> String {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let mut events = self.events(kind, name).await;
                if let Some(at) = events.iter().position(|(known, _)| known == reason) {
                    return events.swap_remove(at).1;
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("no event {reason} on {kind} {name}"))
    }

    /// Reason and text of the Events on an object.
    pub async fn events(&self, kind: &str, name: &str) -> Vec<(String, String)> {
        let selector = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let found = self.api::<Event>();
        let found = found.list(&ListParams::default().fields(&selector)).await;
        let told = |event: Event| Some((event.reason?, event.message?));
        found.unwrap().items.into_iter().filter_map(told).collect()
    }

    /// Returns once there is no such object.
    pub async fn gone<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api = self.api::<K>();
        let wait = async {
            while api.get_opt(name).await.unwrap().is_some() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("{name} is still there");
        }
    }
}

//! An appliance of a test: the whole program with its API alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use appliance::{ADMIN_KUBECONFIG, Given, Settings};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use resources::gantry::{Release, ReleaseSpec};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Settings of an appliance whose data and keys are below `folder`.
pub(crate) fn settings(folder: &Path) -> Settings {
    settings_with(folder, [])
}

/// The same, with more.
pub(crate) fn settings_with(
    folder: &Path,
    more: impl IntoIterator<Item = (&'static str, Given)>,
) -> Settings {
    let given = |value: String| Given {
        value,
        place: "test".to_owned(),
    };
    let below = |name: &str| given(folder.join(name).display().to_string());
    let mut settings = BTreeMap::from([
        ("data", below("data")),
        ("keyDir", below("keys")),
        ("apiListen", given("127.0.0.1:0".to_owned())),
    ]);
    settings.extend(more);
    Settings::load(None, &settings).unwrap()
}

/// The Release that the appliance knows.
pub(crate) fn release() -> Release {
    Release::new(
        "v1.35.4",
        ReleaseSpec {
            kubernetes_version: "1.35".to_owned(),
            patch_version: "v1.35.4".to_owned(),
            components: Vec::new(),
            node_images: Vec::new(),
            charts: Vec::new(),
        },
    )
}

/// An appliance with its API alone, on loopback.
pub(crate) struct Running {
    /// Folder of its data and keys.
    pub(crate) folder: Arc<TempDir>,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), appliance::Error>>,
}

impl Running {
    /// A new one.
    pub(crate) async fn new() -> Self {
        Self::start(Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// The one whose data are in `folder`.
    pub(crate) async fn start(folder: Arc<TempDir>) -> Self {
        let settings = settings(folder.path());
        Self::start_with(folder, settings).await
    }

    /// One with these settings, whose data are in `folder`.
    pub(crate) async fn start_with(folder: Arc<TempDir>, settings: Settings) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (cancel, (said, ready)) = (CancellationToken::new(), oneshot::channel());
        let ended = cancel.clone();
        let task = tokio::spawn(async move {
            appliance::run(settings, vec![release()], ended, |_| said.send(()).unwrap()).await
        });
        ready.await.unwrap();
        Self { folder, cancel, task }
    }

    pub(crate) async fn end(self) {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// A token of the key directory.
    pub(crate) fn token(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("keys").join(file)).unwrap()
    }

    /// A client with these credentials.
    pub(crate) async fn client(&self, credentials: serde_json::Value) -> Client {
        let path = self.folder.path().join("data").join(ADMIN_KUBECONFIG);
        let file = Kubeconfig::read_from(Path::new(&path)).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .unwrap();
        config.auth_info = serde_json::from_value::<AuthInfo>(credentials).unwrap();
        Client::try_from(config).unwrap()
    }

    /// A client that may do everything.
    pub(crate) async fn admin(&self) -> Client {
        self.client(json!({ "token": self.token("admin.token") })).await
    }
}

//! The metrics of a running appliance, as Prometheus reads them. In a process of its own, because the recorder of metrics is
//! one for the process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exposition;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use appliance::{ADMIN_KUBECONFIG, Given, Settings};
use exposition::{Exposition, Kind};
use http::Request;
use kube::api::{Api, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use resources::gantry::{Release, ReleaseSpec};
use resources::tinkerbell::Hardware;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "eksa-system";
const TRANSITIONS: &str = "gantry_state_transitions_total";
const MACHINE: &str = "machine-1";
const MAC: &str = "52:54:00:00:00:01";
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// An appliance with its API alone, on loopback.
struct Running {
    folder: tempfile::TempDir,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), appliance::Error>>,
}

impl Running {
    async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let given = |value: String| Given {
            value,
            place: "test".to_owned(),
        };
        let below = |name: &str| given(folder.path().join(name).display().to_string());
        let settings = BTreeMap::from([
            ("data", below("data")),
            ("keyDir", below("keys")),
            ("apiListen", given("127.0.0.1:0".to_owned())),
        ]);
        let settings = Settings::load(None, &settings).unwrap();
        let release = Release::new(
            "v1.35.4",
            ReleaseSpec {
                kubernetes_version: "1.35".to_owned(),
                patch_version: "v1.35.4".to_owned(),
                components: Vec::new(),
                node_images: Vec::new(),
            },
        );
        let (cancel, (said, ready)) = (CancellationToken::new(), oneshot::channel());
        let ended = cancel.clone();
        let task = tokio::spawn(async move {
            appliance::run(settings, release, ended, |_| said.send(()).unwrap()).await
        });
        ready.await.unwrap();
        Self { folder, cancel, task }
    }

    async fn end(self) {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
    }

    fn token(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("keys").join(file)).unwrap()
    }

    /// A client with these credentials.
    async fn client(&self, credentials: serde_json::Value) -> Client {
        let path = self.folder.path().join("data").join(ADMIN_KUBECONFIG);
        let file = Kubeconfig::read_from(Path::new(&path)).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .unwrap();
        config.auth_info = serde_json::from_value::<AuthInfo>(credentials).unwrap();
        Client::try_from(config).unwrap()
    }

    /// Whoever collects metrics.
    async fn collector(&self) -> Client {
        self.client(json!({ "token": self.token("metrics.token") })).await
    }
}

async fn scrape(client: &Client) -> Exposition {
    let request = Request::get("/metrics").body(Vec::new()).unwrap();
    Exposition::parse(&client.request_text(request).await.unwrap())
}

/// Code of the answer to a request for a path.
async fn code(client: &Client, path: &str) -> u16 {
    let request = Request::get(path).body(Vec::new()).unwrap();
    match client.request_text(request).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transition_of_a_server_raises_its_counter() {
    let appliance = Running::start().await;
    let (admin, collector) = (
        appliance
            .client(json!({ "token": appliance.token("admin.token") }))
            .await,
        appliance.collector().await,
    );
    let before = scrape(&collector).await;
    let freed = [("kind", "server"), ("from", "discovered"), ("to", "available")];
    assert_eq!(before.sum(TRANSITIONS, &freed), None);
    let hardware = serde_json::from_value::<Hardware>(json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": { "name": MACHINE },
        "spec": { "interfaces": [{ "dhcp": { "mac": MAC } }] },
    }));
    let api: Api<Hardware> = Api::namespaced(admin, NAMESPACE);
    api.create(&PostParams::default(), &hardware.unwrap())
        .await
        .unwrap();

    let raised = async {
        loop {
            let now = scrape(&collector).await;
            if now.sum(TRANSITIONS, &freed).is_some() {
                return now;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let after = tokio::time::timeout(PATIENCE, raised)
        .await
        .expect("a Server that was derived from a Hardware with a NIC becomes available");
    assert_eq!(after.sum(TRANSITIONS, &freed), Some(1.0));

    // Every metric says what it is, and no label is anything that the site is full of.
    for (name, family) in after.families() {
        assert!(!family.help.is_empty() && family.kind != Kind::Untyped, "{name}");
        assert_ne!(family.kind, Kind::Summary, "{name} has no buckets");
        let ours = name.starts_with("gantry_");
        assert!(ours || name.starts_with("process_"), "{name}");
        let labels = family.samples.iter().flat_map(|sample| sample.labels.values());
        for value in labels {
            let names = value.contains(MACHINE) || value.contains(MAC);
            assert!(!names, "{name} has the label {value}");
        }
    }
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        assert!(after.sum(name, &[]).is_some_and(|value| value > 0.0), "{name}");
    }
    assert!(after.sum("process_cpu_seconds_total", &[]).is_some());
    appliance.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_for_those_who_may_read_them_and_their_token_opens_nothing_else() {
    let appliance = Running::start().await;
    let admin = appliance
        .client(json!({ "token": appliance.token("admin.token") }))
        .await;
    let nobody = appliance.client(json!({})).await;
    let stranger = appliance.client(json!({ "token": "0".repeat(64) })).await;
    let collector = appliance.collector().await;
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    for (who, client, path, expected) in [
        ("the admin", &admin, "/metrics", 200),
        ("the collector", &collector, "/metrics", 200),
        ("nobody", &nobody, "/metrics", 401),
        ("a stranger", &stranger, "/metrics", 401),
        ("the collector", &collector, secrets.as_str(), 403),
        (
            "the collector",
            &collector,
            "/apis/tinkerbell.org/v1alpha1/hardware",
            403,
        ),
    ] {
        assert_eq!(code(client, path).await, expected, "{who} {path}");
    }
    appliance.end().await;
}

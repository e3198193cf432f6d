//! A site in process: embedded API, boot view, and the parts of this crate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::Leases;
use apiserver::{AesGcmSealer, ApiServer, Config};
use boot_script::{EventSender, ViewHandle, follow};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use pki::{Identity, KeyDir, SiteCa};
use rcgen::{CertificateParams, KeyPair};
use resources::gantry::Server;
use resources::tinkerbell::{Hardware, Workflow};
use resources::{BootEvent, BootEventKind, Mac};
use serde_json::{Value, json};
use servers::{Context, SessionsService, build};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const NAMESPACE: &str = "eksa-system";
pub(crate) const SITE: &str = "site.gantry.internal";
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Site {
    pub(crate) sessions: SessionsService,
    pub(crate) first_boot: axum::Router,
    events: EventSender,
    view: Arc<ViewHandle>,
    client: Client,
    api: ApiServer,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
    scratch: TempDir,
}

pub(crate) fn key_and_request() -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (
        CertificateParams::default()
            .serialize_request(&key)
            .unwrap()
            .pem()
            .unwrap(),
        key,
    )
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::on(tempfile::tempdir().unwrap()).await
    }

    /// Ends everything and starts it again on the same files.
    pub(crate) async fn restart(self) -> Self {
        Self::on(self.end().await).await
    }

    async fn on(scratch: TempDir) -> Self {
        let sealer = Arc::new(AesGcmSealer::new(&[7; 32]));
        let mut config = Config::new(scratch.path().join("state.db"), sealer);
        config.definitions = resources::crds();
        config.namespaces = vec![NAMESPACE.to_owned()];
        let api = ApiServer::open(config).await.unwrap();
        let client = api.client();
        let keys = KeyDir::open(scratch.path().join("keys")).unwrap();
        let ca = Arc::new(SiteCa::load_or_create(&keys, SITE, Timestamp::now()).unwrap());
        let view = ViewHandle::new();
        let (events, mut records) = EventSender::channel(1024);
        let context = Context {
            client: client.clone().into(),
            ca,
            view: view.clone(),
            leases: Arc::new(Leases::default()),
            endpoints: vec!["https://192.0.2.1:7443".into()],
            events,
            post_minutes: 30,
        };
        let (heard, looked_at) = (context.events.clone(), view.clone());
        let parts = build(context);
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (follow_client, follow_cancel) = (client.clone(), cancel.clone());
        tasks.spawn(async move { follow(follow_client, view, follow_cancel).await.unwrap() });
        tasks.spawn(parts.controller.run(cancel.clone()));
        tasks.spawn(async move { while records.recv().await.is_some() {} });
        Self {
            sessions: parts.sessions,
            first_boot: parts.first_boot,
            events: heard,
            view: looked_at,
            client,
            api,
            tasks,
            cancel,
            scratch,
        }
    }

    pub(crate) async fn end(self) -> TempDir {
        let Self {
            sessions,
            first_boot,
            events,
            view: _,
            client,
            api,
            mut tasks,
            cancel,
            scratch,
        } = self;
        cancel.cancel();
        drop((sessions, first_boot, events, client));
        while tasks.join_next().await.is_some() {}
        api.close().await;
        scratch
    }

    /// A DHCP request, as the boot services tell it.
    pub(crate) fn hear(&self, mac: Mac) {
        let event = BootEvent {
            kind: BootEventKind::Dhcp,
            mac: Some(mac),
            peer: None,
            text: "DISCOVER".into(),
        };
        let view = self.view.load();
        let target = view.by_mac(mac).known().cloned();
        self.events.send(target.as_deref(), Timestamp::now(), event);
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(crate) async fn hardware(&self, name: &str) {
        let hardware: Hardware = serde_json::from_value(json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": name},
            "spec": {
                "bmcRef": {"kind": "Machine", "name": format!("bmc-{name}")},
                "disks": [{"device": "/dev/vda"}],
                "interfaces": [{"netboot": {"allowPXE": true}, "dhcp": {"mac": "52:54:00:00:00:01"}}]
            }
        }))
        .unwrap();
        self.api::<Hardware>()
            .create(&PostParams::default(), &hardware)
            .await
            .unwrap();
    }

    pub(crate) async fn merge_hardware(&self, name: &str, change: Value) {
        self.api::<Hardware>()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    pub(crate) async fn delete_hardware(&self, name: &str) {
        self.api::<Hardware>()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) async fn merge_server(&self, name: &str, change: Value) {
        self.api::<Server>()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    pub(crate) async fn workflow(&self, name: &str, hardware: &str, state: &str) {
        let workflow = json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": {"name": name},
            "spec": {"hardwareRef": hardware}
        });
        let workflow: Workflow = serde_json::from_value(workflow).unwrap();
        self.api::<Workflow>()
            .create(&PostParams::default(), &workflow)
            .await
            .unwrap();
        self.merge_workflow(name, json!({"status": {"state": state}}))
            .await;
    }

    pub(crate) async fn merge_workflow(&self, name: &str, change: Value) {
        let api = self.api::<Workflow>();
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    pub(crate) async fn secret(&self, name: &str, value: &str) {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"value": value}});
        let secret: Secret = serde_json::from_value(secret).unwrap();
        self.api::<Secret>()
            .create(&PostParams::default(), &secret)
            .await
            .unwrap();
    }

    pub(crate) async fn secret_value(&self, name: &str) -> Option<Vec<u8>> {
        let secret = self.api::<Secret>().get(name).await.unwrap();
        secret
            .data
            .and_then(|mut data| data.remove("value"))
            .map(|value| value.0)
    }

    /// The server once `condition` holds.
    pub(crate) async fn server(&self, name: &str, condition: impl Fn(&Server) -> bool) -> Server {
        let api = self.api::<Server>();
        let mut last = None;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                last = api.get_opt(name).await.unwrap();
                if let Some(server) = last.clone().filter(&condition) {
                    return server;
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("condition never held; last: {last:#?}"))
    }

    pub(crate) async fn gone(&self, name: &str) {
        let api = self.api::<Server>();
        let wait = async {
            while api.get_opt(name).await.unwrap().is_some() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    }

    pub(crate) async fn hardware_when(
        &self,
        name: &str,
        condition: impl Fn(&BTreeMap<String, String>) -> bool,
    ) {
        let api = self.api::<Hardware>();
        let wait = async {
            while !condition(api.get(name).await.unwrap().labels()) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    }

    /// The identity that TLS would make of this certificate.
    pub(crate) fn identity(&self, certificate_pem: &str) -> Identity {
        use rustls_pki_types::pem::PemObject as _;
        let der = rustls_pki_types::CertificateDer::from_pem_slice(certificate_pem.as_bytes()).unwrap();
        Identity::from_verified(&der, SITE).unwrap()
    }

    /// A request of this peer.
    pub(crate) fn request<T>(&self, message: T, identity: &Identity) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.extensions_mut().insert(identity.clone());
        request
    }
}

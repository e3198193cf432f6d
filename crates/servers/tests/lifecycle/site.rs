//! A site in process: embedded API, boot view, and the parts of this crate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent_protocol::Leases;
use boot_script::{EventSender, INITRAMFS_FILE, KERNEL_FILE, ViewHandle, follow};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use pki::{Identity, KeyDir, SiteCa};
use rcgen::{CertificateParams, KeyPair};
use resources::bmc::Machine;
use resources::gantry::Server;
use resources::keys::{self, BMC_INVENTORY};
use resources::tinkerbell::{Hardware, Workflow};
use resources::{BootEvent, BootEventKind, Mac};
use sealed_files::SealedFiles;
use serde_json::{Value, json};
use servers::{Allowances, Context, ControlPlaneProof, SessionsService, build};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const NAMESPACE: &str = "eksa-system";
/// MAC address and reserved address of every Hardware here.
pub(crate) const MAC: &str = "52:54:00:00:00:01";
pub(crate) const ADDRESS: &str = "192.0.2.11";
pub(crate) const SITE: &str = "site.gantry.internal";

pub(crate) struct Site {
    pub(crate) sessions: SessionsService,
    pub(crate) first_boot: axum::Router,
    leases: Arc<Leases>,
    /// Seconds that the leases' clock is ahead.
    ahead: Arc<AtomicU64>,
    events: EventSender,
    view: Arc<ViewHandle>,
    pub(crate) files: SealedFiles,
    api: sim::Site,
    /// What the controllers, the services and the boot view ask of the API.
    pub(crate) traffic: sim::Traffic,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
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
        Self::on(sim::Site::start(NAMESPACE).await).await
    }

    /// Ends everything and starts it again on the same files.
    pub(crate) async fn restart(self) -> Self {
        let scratch = self.end().await;
        Self::on(sim::Site::on(scratch, NAMESPACE).await).await
    }

    async fn on(api: sim::Site) -> Self {
        let (client, traffic) = api.counted_client();
        let keys = KeyDir::open(api.scratch().join("keys")).unwrap();
        let ca = Arc::new(SiteCa::load_or_create(&keys, SITE, Timestamp::now()).unwrap());
        let view = ViewHandle::new();
        let (events, mut records) = EventSender::channel(1024);
        let ahead = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&ahead);
        let leases =
            Leases::with_clock(move || Instant::now() + Duration::from_secs(clock.load(Ordering::SeqCst)));
        let leases = Arc::new(leases);
        let files = sim::sealed_files(api.scratch());
        let context = Context {
            client: client.clone().into(),
            ca,
            view: view.clone(),
            leases: leases.clone(),
            endpoints: vec!["https://192.0.2.1:7443".into()],
            events,
            files: files.clone(),
            allowances: Allowances {
                post_minutes: 30,
                manual_minutes: 1440,
            },
            control_plane_proof: ControlPlaneProof::Bmc,
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
            leases,
            ahead,
            events: heard,
            view: looked_at,
            files,
            api,
            traffic,
            tasks,
            cancel,
        }
    }

    pub(crate) async fn end(self) -> TempDir {
        let Self {
            sessions,
            first_boot,
            events,
            api,
            mut tasks,
            cancel,
            ..
        } = self;
        cancel.cancel();
        drop((sessions, first_boot, events));
        while tasks.join_next().await.is_some() {}
        api.end().await
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

    /// Waits until the boot services know this boot id.
    pub(crate) async fn knows(&self, boot_id: &str) {
        let known = self.view.wait(|view| view.by_boot_id(boot_id).is_some());
        let known = tokio::time::timeout(Duration::from_secs(30), known).await;
        known.unwrap_or_else(|_| panic!("no boot service ever knew {boot_id}"));
    }

    /// The machine with this boot id fetches kernel and initramfs.
    pub(crate) fn fetch_installer(&self, boot_id: &str) {
        let view = self.view.load();
        let target = view.by_boot_id(boot_id).unwrap();
        for file in [KERNEL_FILE, INITRAMFS_FILE] {
            self.events.sightings().fetched(target, file, Timestamp::now());
        }
    }

    /// A call from this address.
    pub(crate) fn call<T>(&self, message: T, address: &str) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        let peer = self.view.load().peer(address.parse().unwrap());
        request.extensions_mut().insert(peer);
        request
    }

    /// Lets time pass for the leases of agents.
    pub(crate) fn forward(&self, by: Duration) {
        self.ahead.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    /// The agent with this certificate is heard, as by any of its calls.
    pub(crate) fn hear_agent(&self, agent: &Identity) {
        let Identity::Attempt { serial, .. } = agent else {
            panic!("{agent:?}")
        };
        self.leases.hear(serial);
    }

    /// The text of the Event with this reason on a Hardware, once there is one.
    pub(crate) async fn event(&self, hardware: &str, reason: &str) -> String {
        self.api.event("Hardware", hardware, reason).await
    }

    /// Reason and text of the Events on a Hardware.
    pub(crate) async fn events(&self, hardware: &str) -> Vec<(String, String)> {
        self.api.events("Hardware", hardware).await
    }

    /// Reason and text of the Events on a Server.
    pub(crate) async fn server_event(&self, server: &str, reason: &str) -> String {
        self.api.event("Server", server, reason).await
    }

    pub(crate) async fn hardware(&self, name: &str) {
        self.hardware_at(name, MAC, ADDRESS).await;
    }

    pub(crate) async fn hardware_at(&self, name: &str, mac: &str, address: &str) {
        let hardware = json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": name},
            "spec": {
                "bmcRef": {"kind": "Machine", "name": format!("bmc-{name}")},
                "disks": [{"device": "/dev/vda"}],
                "interfaces": [{"netboot": {"allowPXE": true}, "dhcp": {"mac": mac, "ip": {"address": address}}}]
            }
        });
        self.api.make::<Hardware>(hardware).await;
    }

    /// The BMC of `hardware`, which says this of the machine's power.
    pub(crate) async fn bmc(&self, name: &str, power: &str) {
        let bmc = json!({
            "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": name},
            "spec": {"connection": {"host": "192.0.2.9", "port": 443, "insecureTLS": true,
                "authSecretRef": {"name": "x", "namespace": NAMESPACE}}}
        });
        self.api.make::<Machine>(bmc).await;
        self.power(name, power).await;
    }

    /// What a BMC says of the machine's power.
    pub(crate) async fn power(&self, name: &str, power: &str) {
        let status = json!({"status": {"powerState": power}});
        self.api.merge_status::<Machine>(name, status).await;
    }

    /// What a BMC said of its machine's identity, as `power` keeps it.
    pub(crate) async fn annotate_bmc(&self, name: &str, inventory: &str) {
        let annotations = json!({"metadata": {"annotations": {BMC_INVENTORY: inventory}}});
        self.api.merge::<Machine>(name, annotations).await;
    }

    pub(crate) async fn merge_hardware(&self, name: &str, change: Value) {
        self.api.merge::<Hardware>(name, change).await;
    }

    pub(crate) async fn delete_hardware(&self, name: &str) {
        self.api
            .api::<Hardware>()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) async fn merge_server(&self, name: &str, change: Value) {
        self.api.merge::<Server>(name, change).await;
    }

    pub(crate) async fn merge_server_status(&self, name: &str, change: Value) {
        self.api.merge_status::<Server>(name, change).await;
    }

    pub(crate) async fn workflow(&self, name: &str, hardware: &str, state: &str) {
        self.workflow_of_mode(name, hardware, state, json!({})).await;
    }

    pub(crate) async fn workflow_of_mode(&self, name: &str, hardware: &str, state: &str, options: Value) {
        let workflow = json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": {"name": name},
            "spec": {"hardwareRef": hardware, "bootOptions": options}
        });
        self.api.make::<Workflow>(workflow).await;
        self.merge_workflow(name, json!({"status": {"state": state}}))
            .await;
    }

    pub(crate) async fn merge_workflow(&self, name: &str, change: Value) {
        self.api.merge_status::<Workflow>(name, change).await;
    }

    pub(crate) async fn secret(&self, name: &str, value: &str) {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"value": value}});
        self.api.make::<Secret>(secret).await;
    }

    /// Names a file in the Secret.
    pub(crate) async fn name_file(&self, secret: &str, file: &str) {
        let named = json!({"metadata": {"annotations": {keys::FIRST_BOOT_FILE: file}}});
        self.api.merge::<Secret>(secret, named).await;
    }

    /// Changes the last byte of a sealed file.
    pub(crate) fn damage_file(&self, file: &str) {
        let path = self.api.scratch().join("sealed-files").join(file);
        let mut raw = std::fs::read(&path).unwrap();
        *raw.last_mut().unwrap() ^= 1;
        std::fs::write(path, raw).unwrap();
    }

    pub(crate) async fn secret_value(&self, name: &str) -> Option<Vec<u8>> {
        let secret = self.api.api::<Secret>().get(name).await.unwrap();
        secret
            .data
            .and_then(|mut data| data.remove("value"))
            .map(|value| value.0)
    }

    /// The server once `condition` holds.
    pub(crate) async fn server(&self, name: &str, condition: impl Fn(&Server) -> bool) -> Server {
        self.api.when(name, condition).await
    }

    pub(crate) async fn gone(&self, name: &str) {
        self.api.gone::<Server>(name).await;
    }

    pub(crate) async fn hardware_when(
        &self,
        name: &str,
        condition: impl Fn(&BTreeMap<String, String>) -> bool,
    ) {
        self.api
            .when::<Hardware>(name, |hardware| condition(hardware.labels()))
            .await;
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

//! A site in process: embedded API, records, the parts of this crate, and an agent's identity.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::Leases;
use apiserver::{AesGcmSealer, ApiServer, Config};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use pki::{Identity, KeyDir, SiteCa, Validity};
use rcgen::{CertificateParams, KeyPair};
use resources::bmc::Job;
use resources::gantry::{Server, SessionPhase};
use resources::tinkerbell::{Hardware, Template, Workflow};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use store::records::{Query, Records};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use workflow::{Context, WorkflowsService, build};

pub(crate) const NAMESPACE: &str = "eksa-system";
const SITE: &str = "site.gantry.internal";
const MACHINE: &str = "7b1c6f0e-52a5-4a4e-9d0b-5b6f3f1c9a10";
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Site {
    pub(crate) workflows: WorkflowsService,
    agent: Identity,
    client: Client,
    records: Records,
    api: ApiServer,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
    _scratch: TempDir,
}

fn agent(scratch: &TempDir) -> Identity {
    let keys = KeyDir::open(scratch.path().join("keys")).unwrap();
    let ca = SiteCa::load_or_create(&keys, SITE, Timestamp::now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .pem()
        .unwrap();
    let validity = Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1));
    let issued = ca.issue_attempt(&csr, MACHINE, 1, validity).unwrap();
    let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
    Identity::from_verified(&der, SITE).unwrap()
}

impl Site {
    pub(crate) async fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let sealer = Arc::new(AesGcmSealer::new(&[7; 32]));
        let mut config = Config::new(scratch.path().join("state.db"), sealer);
        config.definitions = resources::crds();
        config.namespaces = vec![NAMESPACE.to_owned()];
        let api = ApiServer::open(config).await.unwrap();
        let client = api.client();
        let records = Records::open(scratch.path().join("records.db")).await.unwrap();
        let leases = Arc::new(Leases::default());
        let parts = build(Context {
            client: client.clone(),
            leases,
            records: records.clone(),
        });
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(parts.controller.run(cancel.clone()));
        let agent = agent(&scratch);
        Self {
            workflows: parts.workflows,
            agent,
            client,
            records,
            api,
            tasks,
            cancel,
            _scratch: scratch,
        }
    }

    pub(crate) async fn end(self) {
        let Self {
            workflows,
            client,
            records,
            api,
            mut tasks,
            cancel,
            ..
        } = self;
        cancel.cancel();
        drop((workflows, client, records));
        while tasks.join_next().await.is_some() {}
        api.close().await;
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn make<K>(&self, object: Value)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + std::fmt::Debug,
        K: serde::Serialize + serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>()
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    /// A Hardware and its Server with a BMC.
    pub(crate) async fn machine(&self, name: &str) {
        self.make::<Hardware>(json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": name},
            "spec": {
                "disks": [{"device": "/dev/vda"}],
                "interfaces": [{"netboot": {"allowPXE": false}, "dhcp": {"mac": "52:54:00:00:00:01", "uefi": true}}]
            }
        }))
        .await;
        self.make::<Server>(json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": name},
            "spec": {"machineId": MACHINE, "hardware": name, "bmc": format!("bmc-{name}")}
        }))
        .await;
    }

    pub(crate) async fn template(&self, name: &str, text: &str) {
        self.make::<Template>(json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Template", "metadata": {"name": name},
            "spec": {"data": text}
        }))
        .await;
    }

    pub(crate) async fn make_workflow(&self, name: &str, template: &str, options: Value) {
        self.make::<Workflow>(json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": {"name": name},
            "spec": {"templateRef": template, "hardwareRef": "node-1", "bootOptions": options,
                "hardwareMap": {"device_1": "52:54:00:00:00:01"}}
        }))
        .await;
    }

    /// What `servers` would commit.
    pub(crate) async fn session(&self, server: &str, attempt: u64, phase: SessionPhase) {
        let Identity::Attempt {
            serial, public_key, ..
        } = &self.agent
        else {
            panic!("no agent")
        };
        let now = Timestamp::now();
        let later = now.checked_add(SignedDuration::from_mins(45)).unwrap();
        let mut session = json!({
            "attempt": attempt, "boot": 1, "bootId": "boot-a", "phase": phase, "armedAt": now, "deadline": later
        });
        if phase != SessionPhase::Armed {
            session["claim"] = json!({
                "publicKey": public_key, "serial": serial, "certificate": "certificate", "at": now, "notAfter": later
            });
        }
        let status = json!({"status": {"bootSession": session}});
        self.api::<Server>()
            .patch_status(server, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }

    /// What `power` would commit.
    pub(crate) async fn complete_job(&self, name: &str) {
        let status = json!({"status": {"conditions": [{"type": "Completed", "status": "True"}]}});
        self.api::<Job>()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }

    pub(crate) async fn job(&self, name: &str) -> Job {
        self.when::<Job>(name, |_| true).await
    }

    pub(crate) async fn server(&self, name: &str, condition: impl Fn(&Server) -> bool) -> Server {
        self.when(name, condition).await
    }

    pub(crate) async fn workflow(&self, name: &str, condition: impl Fn(&Workflow) -> bool) -> Workflow {
        self.when(name, condition).await
    }

    pub(crate) async fn allow_pxe(&self, name: &str) -> bool {
        let hardware = self.api::<Hardware>().get(name).await.unwrap();
        hardware.spec.interfaces[0]
            .netboot
            .as_ref()
            .unwrap()
            .allow_pxe
            .unwrap()
    }

    /// Waits for a line of an action in the records.
    pub(crate) async fn logged(&self, machine: &str, line: &str) {
        let query = Query {
            machine: Some(machine.to_owned()),
            kind: Some("ActionLog".into()),
            ..Query::default()
        };
        let wait = async {
            loop {
                let found = self.records.list(&query).await.unwrap();
                if found.iter().any(|record| record.payload["text"] == line) {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    }

    /// The object once it is there and `condition` holds.
    async fn when<K>(&self, name: &str, condition: impl Fn(&K) -> bool) -> K
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + std::fmt::Debug,
        K: serde::de::DeserializeOwned,
        K::DynamicType: Default,
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

    /// A request of the agent, once the service knows its machine.
    pub(crate) async fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.extensions_mut().insert(self.agent.clone());
        request
    }
}

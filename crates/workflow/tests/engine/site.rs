//! A site in process: embedded API, records, the parts of this crate, and an agent's identity.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::Leases;
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use pki::{Identity, KeyDir, SiteCa, Validity};
use rcgen::{CertificateParams, KeyPair};
use resources::bmc::Job;
use resources::gantry::{Server, SessionPhase};
use resources::tinkerbell::{Hardware, Template, Workflow};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use store::records::{Query, Records};
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
    records: Records,
    api: sim::Site,
    /// What controller and service ask of the API.
    pub(crate) traffic: sim::Traffic,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
}

fn agent(scratch: &Path) -> Identity {
    let keys = KeyDir::open(scratch.join("keys")).unwrap();
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
        Self::on(sim::Site::start(NAMESPACE).await).await
    }

    /// With so many machines more, each of which was installed by a Workflow.
    pub(crate) async fn among(others: usize) -> Self {
        let api = sim::Site::start(NAMESPACE).await;
        let install = |number: usize| {
            let (api, name) = (&api, format!("other-{number}"));
            async move {
                let server = json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": name},
                    "spec": {"machineId": format!("m-{number}"), "hardware": name}});
                api.make::<Server>(server).await;
                let workflow = json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow",
                    "metadata": {"name": name}, "spec": {"templateRef": "install", "hardwareRef": name}});
                api.make::<Workflow>(workflow).await;
                api.merge_status::<Workflow>(&name, json!({"status": {"state": "SUCCESS"}}))
                    .await;
            }
        };
        stream::iter(0..others).for_each_concurrent(32, install).await;
        Self::on(api).await
    }

    async fn on(api: sim::Site) -> Self {
        let (client, traffic) = api.counted_client();
        let records = Records::open(api.scratch().join("records.db")).await.unwrap();
        let leases = Arc::new(Leases::default());
        let parts = build(Context {
            client,
            leases,
            records: records.clone(),
        });
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(parts.controller.run(cancel.clone()));
        let agent = agent(api.scratch());
        Self {
            workflows: parts.workflows,
            agent,
            records,
            api,
            traffic,
            tasks,
            cancel,
        }
    }

    pub(crate) async fn end(self) {
        let Self {
            workflows,
            records,
            api,
            mut tasks,
            cancel,
            ..
        } = self;
        cancel.cancel();
        drop((workflows, records));
        while tasks.join_next().await.is_some() {}
        api.end().await;
    }

    /// A Hardware and its Server with a BMC.
    pub(crate) async fn machine(&self, name: &str) {
        self.api.make::<Hardware>(json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": name},
            "spec": {
                "disks": [{"device": "/dev/vda"}],
                "interfaces": [{"netboot": {"allowPXE": false}, "dhcp": {"mac": "52:54:00:00:00:01", "uefi": true}}]
            }
        }))
        .await;
        self.api
            .make::<Server>(json!({
                "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": name},
                "spec": {"machineId": MACHINE, "hardware": name, "bmc": format!("bmc-{name}")}
            }))
            .await;
    }

    pub(crate) async fn template(&self, name: &str, text: &str) {
        self.api
            .make::<Template>(json!({
                "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Template", "metadata": {"name": name},
                "spec": {"data": text}
            }))
            .await;
    }

    pub(crate) async fn make_workflow(&self, name: &str, template: &str, options: Value) {
        self.api
            .make::<Workflow>(json!({
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
        self.api.merge_status::<Server>(server, status).await;
    }

    pub(crate) async fn merge_server(&self, name: &str, change: Value) {
        self.api.merge::<Server>(name, change).await;
    }

    /// What a user would do to a Hardware.
    pub(crate) async fn annotate(&self, hardware: &str, key: &str, value: &str) {
        let patch = kube::api::Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        let api = self.api.api::<Hardware>();
        api.patch(hardware, &kube::api::PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Makes a Workflow be in its state for so long.
    pub(crate) async fn since(&self, workflow: &str, minutes: i64) {
        let since = Timestamp::now()
            .checked_sub(SignedDuration::from_mins(minutes))
            .unwrap();
        let status = json!({"status": {"since": since}});
        self.api.merge_status::<Workflow>(workflow, status).await;
    }

    /// What `power` would commit.
    pub(crate) async fn complete_job(&self, name: &str) {
        let status = json!({"status": {"conditions": [{"type": "Completed", "status": "True"}]}});
        self.api.merge_status::<Job>(name, status).await;
    }

    pub(crate) async fn job(&self, name: &str) -> Job {
        self.api.when::<Job>(name, |_| true).await
    }

    pub(crate) async fn server(&self, name: &str, condition: impl Fn(&Server) -> bool) -> Server {
        self.api.when(name, condition).await
    }

    pub(crate) async fn workflow(&self, name: &str, condition: impl Fn(&Workflow) -> bool) -> Workflow {
        self.api.when(name, condition).await
    }

    /// The text of the Event with this reason on an object, once there is one.
    pub(crate) async fn event(&self, kind: &str, name: &str, reason: &str) -> String {
        self.api.event(kind, name, reason).await
    }

    pub(crate) async fn allow_pxe(&self, name: &str) -> bool {
        let hardware = self.api.api::<Hardware>().get(name).await.unwrap();
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

    /// A request of the agent, once the service knows its machine.
    pub(crate) async fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.extensions_mut().insert(self.agent.clone());
        request
    }
}

//! The effects. Each can be done twice: what is there already is left as it is, and a lost race is simply decided again.

use std::fmt::Debug;

use compare_and_set::{Change, Outcome, Writer};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use resources::anywhere::TinkerbellTemplateConfig;
use resources::bmc::{self, Action, Job, JobSpec, NamespacedRef, PowerAction};
use resources::gantry::{Claim, ProviderMachine, Server, Unwiped};
use resources::tinkerbell::{Hardware, Template, Workflow};
use resources::{ImageManifest, Time, keys};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::driver::Driver;
use crate::error::Error;
use crate::installation::{Installation, MACHINE_LABEL, objects};
use crate::repair;
use crate::snapshot::Snapshot;
use crate::step::Effect;
use crate::wipe;

pub(super) const WRITER: Writer = Writer::new(keys::MANAGER_METAL);
/// Who has a server.
const CLAIM: [&str; 2] = ["spec", "claim"];
/// That its record is from a backup. Only for an adoption is such a server claimed.
const RESTORED: [&str; 2] = ["spec", "restored"];
/// That its disks were not wiped when it was given back.
const UNWIPED: [&str; 2] = ["spec", "unwiped"];

impl Driver {
    pub(super) async fn perform(
        &self,
        snapshot: &Snapshot,
        effect: Effect,
        now: Timestamp,
    ) -> Result<(), Error> {
        tracing::info!(machine = %snapshot.machine.name_any(), effect = ?effect, "provider machine effect");
        match effect {
            Effect::AddFinalizer => self.hold(snapshot, true).await,
            Effect::RemoveFinalizer => {
                self.remove_labelled::<Job>(snapshot, "Job", |_| true).await?;
                self.remove_workflows(snapshot, |_| true).await?;
                self.hold(snapshot, false).await
            }
            Effect::Claim { server } => self.claim(snapshot, &server, now).await,
            Effect::Unclaim { unwiped } => self.unclaim(snapshot, unwiped, now).await,
            Effect::Wipe { workflow } => self.wipe(snapshot, &workflow).await,
            Effect::Repair { workflow } => self.repair(snapshot, &workflow).await,
            Effect::Install { workflow } => self.install(snapshot, &workflow, now).await,
            Effect::RecordFailure { attempt, reason } => {
                self.record_failure(snapshot, attempt, reason, now).await
            }
            Effect::ClearFailure => self.clear_failure(snapshot).await,
            Effect::RemoveWorkflows => {
                self.remove_workflows(snapshot, |name| !wipe::is_wipe(snapshot, name))
                    .await
            }
            Effect::RemoveWipes => {
                self.remove_workflows(snapshot, |name| wipe::is_wipe(snapshot, name))
                    .await
            }
            Effect::PowerOff { job, earlier } => self.power_off(snapshot, &job, earlier).await,
            Effect::AskPower { wish } => self.ask_power(snapshot, &wish).await,
            Effect::Reset { job } => {
                self.power(snapshot, &job, &[PowerAction::Off, PowerAction::On])
                    .await
            }
        }
    }

    fn api<K>(&self, snapshot: &Snapshot) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(
            self.client.clone(),
            &snapshot.machine.namespace().unwrap_or_default(),
        )
    }

    async fn hold(&self, snapshot: &Snapshot, held: bool) -> Result<(), Error> {
        let finalizer = keys::PROVIDER_MACHINE_FINALIZER;
        let outcome = WRITER
            .finalizer(&self.api(snapshot), &snapshot.machine, finalizer, held)
            .await?;
        note(&outcome, "ProviderMachine", &snapshot.machine.name_any());
        Ok(())
    }

    /// Claims a server if it is still as it was read.
    async fn claim(&self, snapshot: &Snapshot, server: &str, now: Timestamp) -> Result<(), Error> {
        let mut candidates = snapshot.servers.iter();
        let Some(server) = candidates.find(|candidate| candidate.name_any() == server) else {
            return Ok(());
        };
        let mut changes = vec![Change::set(&CLAIM, json!(claim(&snapshot.machine, server, now)))];
        // The evidence of an adoption says more than the record from the backup.
        if server.spec.restored.is_some() {
            changes.push(Change::remove(&RESTORED));
        }
        self.change(snapshot, server, changes).await
    }

    pub(super) async fn set(
        &self,
        snapshot: &Snapshot,
        server: &Server,
        change: Change,
    ) -> Result<(), Error> {
        self.change(snapshot, server, vec![change]).await
    }

    async fn change(&self, snapshot: &Snapshot, server: &Server, changes: Vec<Change>) -> Result<(), Error> {
        let outcome = WRITER.change(&self.api(snapshot), server, changes).await?;
        note(&outcome, "Server", &server.name_any());
        Ok(())
    }

    async fn install(&self, snapshot: &Snapshot, name: &str, now: Timestamp) -> Result<(), Error> {
        let (Some(server), Some(image)) = (snapshot.claimed(), manifest(snapshot)) else {
            return Ok(());
        };
        let hardware = hardware(snapshot, server)?;
        let own = match snapshot.machine.spec.template_ref() {
            None => None,
            Some(reference) => Some(
                self.api::<TinkerbellTemplateConfig>(snapshot)
                    .get(&reference.name)
                    .await
                    .map_err(Error::api(
                        "read",
                        "TinkerbellTemplateConfig",
                        reference.name.as_str(),
                    ))?,
            ),
        };
        let installation = Installation {
            name,
            machine: &snapshot.machine,
            server,
            hardware,
            image,
            own: own.as_ref(),
            appliance: self.settings.appliance,
            http_port: self.settings.http_port,
            patience: self.settings.patience,
            now,
        };
        let (template, workflow) = installation.objects()?;
        self.apply(snapshot, "Template", &template).await?;
        self.apply(snapshot, "Workflow", &workflow).await
    }

    /// Makes the Workflow that wipes the disks which this claim has written to.
    async fn wipe(&self, snapshot: &Snapshot, name: &str) -> Result<(), Error> {
        let Some(server) = snapshot.claimed() else {
            return Ok(());
        };
        let hardware = hardware(snapshot, server)?;
        let disks = wipe::disks(server, Some(hardware));
        let text = node_config::wipe::template(name, &disks, self.settings.patience);
        let (template, workflow) = objects(name, &snapshot.machine, server, hardware, text)?;
        self.apply(snapshot, "Template", &template).await?;
        self.apply(snapshot, "Workflow", &workflow).await
    }

    /// Makes the Workflow that renews the certificates on the disk of the installed system.
    async fn repair(&self, snapshot: &Snapshot, name: &str) -> Result<(), Error> {
        let (Some(server), Some(wish)) = (snapshot.claimed(), &snapshot.machine.spec.certificate_repair)
        else {
            return Ok(());
        };
        let hardware = hardware(snapshot, server)?;
        let disk = repair::system_disk(server, hardware).ok_or_else(|| Error::SystemDisk {
            server: server.name_any(),
        })?;
        let text = node_config::renewal_template(name, &wish.node, disk, self.settings.patience);
        let (template, workflow) = objects(name, &snapshot.machine, server, hardware, text)?;
        self.apply(snapshot, "Template", &template).await?;
        self.apply(snapshot, "Workflow", &workflow).await
    }

    /// Removes the claim, and says of the disks what is true from now on.
    async fn unclaim(
        &self,
        snapshot: &Snapshot,
        unwiped: Option<String>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(server) = snapshot.claimed() else {
            return Ok(());
        };
        let mut changes = vec![Change::remove(&CLAIM)];
        if let Some(reason) = unwiped {
            let owner = snapshot.machine.name_any();
            let at = Time(now);
            changes.push(Change::set(&UNWIPED, json!(Unwiped { owner, reason, at })));
        } else if server.spec.unwiped.is_some() && wipe::succeeded(snapshot) {
            changes.push(Change::remove(&UNWIPED));
        }
        let outcome = WRITER.change(&self.api(snapshot), server, changes).await?;
        note(&outcome, "Server", &server.name_any());
        Ok(())
    }

    async fn power(&self, snapshot: &Snapshot, name: &str, actions: &[PowerAction]) -> Result<(), Error> {
        let Some(bmc) = snapshot.claimed().and_then(|server| server.spec.bmc.clone()) else {
            return Ok(());
        };
        let namespace = snapshot.machine.namespace().unwrap_or_default();
        let action = |power: &PowerAction| Action {
            power_action: Some(*power),
            ..Action::default()
        };
        let mut job = Job::new(
            name,
            JobSpec {
                machine_ref: NamespacedRef {
                    name: bmc,
                    namespace: namespace.clone(),
                },
                tasks: actions.iter().map(action).collect(),
            },
        );
        job.metadata.namespace = Some(namespace);
        job.labels_mut()
            .insert(MACHINE_LABEL.to_owned(), snapshot.machine.name_any());
        // The power arbiter lets Jobs of an attempt's owner through while the attempt is open.
        job.metadata.owner_references = snapshot
            .machine
            .controller_owner_ref(&())
            .map(|owner| vec![owner]);
        self.apply(snapshot, "Job", &job).await
    }

    /// Powers the machine off. The new Job comes first: how often it was tried is counted from the newest one.
    async fn power_off(&self, snapshot: &Snapshot, job: &str, earlier: Vec<String>) -> Result<(), Error> {
        self.power(snapshot, job, &[PowerAction::Off]).await?;
        for old in earlier {
            self.remove::<Job>(snapshot, "Job", &old).await?;
        }
        Ok(())
    }

    async fn ask_power(&self, snapshot: &Snapshot, wish: &str) -> Result<(), Error> {
        let Some(bmc) = &snapshot.bmc else {
            return Ok(());
        };
        let name = bmc.name_any();
        let wish = json!({ "metadata": { "annotations": { keys::POLL_REQUESTED: wish } } });
        self.api::<bmc::Machine>(snapshot)
            .patch(&name, &PatchParams::default(), &Patch::Merge(wish))
            .await
            .map_err(Error::api("annotate", "Machine", name.as_str()))?;
        Ok(())
    }

    async fn apply<K>(&self, snapshot: &Snapshot, kind: &'static str, object: &K) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Serialize
            + DeserializeOwned
            + Debug,
    {
        let name = object.name_any();
        self.api::<K>(snapshot)
            .patch(
                &name,
                &PatchParams::apply(keys::MANAGER_METAL).force(),
                &Patch::Apply(object),
            )
            .await
            .map_err(Error::api("make", kind, name.as_str()))?;
        Ok(())
    }

    /// Templates first: the workflows are what tells that there is something left to remove.
    async fn remove_workflows(&self, snapshot: &Snapshot, which: impl Fn(&str) -> bool) -> Result<(), Error> {
        self.remove_labelled::<Template>(snapshot, "Template", &which)
            .await?;
        self.remove_labelled::<Workflow>(snapshot, "Workflow", &which)
            .await
    }

    async fn remove_labelled<K>(
        &self,
        snapshot: &Snapshot,
        kind: &'static str,
        which: impl Fn(&str) -> bool,
    ) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api = self.api::<K>(snapshot);
        let name = snapshot.machine.name_any();
        let mine = ListParams::default().labels(&format!("{MACHINE_LABEL}={name}"));
        let list = api
            .list(&mine)
            .await
            .map_err(Error::api("list", kind, name.as_str()))?;
        for name in list.items.iter().map(kube::ResourceExt::name_any) {
            if which(&name) {
                self.remove::<K>(snapshot, kind, &name).await?;
            }
        }
        Ok(())
    }

    async fn remove<K>(&self, snapshot: &Snapshot, kind: &'static str, name: &str) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        match self
            .api::<K>(snapshot)
            .delete(name, &DeleteParams::default())
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(Error::api("delete", kind, name)(error)),
        }
    }
}

fn hardware<'a>(snapshot: &'a Snapshot, server: &Server) -> Result<&'a Hardware, Error> {
    let name = &server.spec.hardware;
    snapshot.hardware.get(name).ok_or_else(|| Error::Hardware {
        hardware: name.clone(),
        field: "object",
    })
}

fn manifest(snapshot: &Snapshot) -> Option<&ImageManifest> {
    snapshot.image.as_ref()?.status.as_ref()?.manifest.as_ref()
}

fn claim(machine: &ProviderMachine, server: &Server, now: Timestamp) -> Claim {
    let last_attempt = Some(server.spec.attempt.as_ref().map_or(0, |last| last.number));
    Claim {
        kind: "ProviderMachine".to_owned(),
        name: machine.name_any(),
        namespace: machine.namespace().unwrap_or_default(),
        cluster: Some(machine.spec.cluster_name.clone()),
        pool: Some(machine.spec.pool.clone()).filter(|pool| !pool.is_empty()),
        role: Some(machine.spec.role),
        bootstrap_secret: machine.spec.bootstrap.secret.clone(),
        at: Some(Time(now)),
        adopted: machine.spec.adopts.is_some(),
        last_attempt: last_attempt.filter(|_| machine.spec.adopts.is_none()),
    }
}

/// Lost means that somebody was faster: the next decision sees what they did.
fn note<K>(outcome: &Outcome<K>, kind: &'static str, name: &str) {
    if matches!(outcome, Outcome::Lost) {
        tracing::debug!(kind, name, "changed meanwhile, decided again");
    }
}

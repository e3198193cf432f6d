//! Plan: the steps from what is observed to what is wanted, as a graph, stored before anything is done.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Digest, Time};

/// What will be done to a cluster. A Plan never changes: where something else is needed, another Plan takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "Plan",
    plural = "plans",
    category = "gantry",
    namespaced,
    status = "PlanStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Cluster","type":"string","jsonPath":".spec.cluster"}"#,
    printcolumn = r#"{"name":"Class","type":"string","jsonPath":".spec.class"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct PlanSpec {
    /// Cluster (`anywhere.eks.amazonaws.com`) in the same namespace.
    pub cluster: String,
    /// Number of the plan among those of its cluster, from 1. The highest number counts.
    #[serde(default)]
    pub number: u32,
    /// Digest of the wanted state that the plan leads to.
    pub desired: Digest,
    /// What the plan does.
    pub class: PlanClass,
    /// What the machines that the plan makes are made of, by pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolRevision>,
    /// Why a person has to approve the plan, whatever the policy says of its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<String>,
    /// Number of a later plan that has changed the cluster and is not known here, as after a restore of older data. It is
    /// what the cluster itself says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_plan: Option<u32>,
    /// Longest time in seconds for which the API of the cluster may not answer because of the plan. A member of the
    /// control plane goes or is restarted, and what it had passes to another one: the shared address and the leader of
    /// etcd; or the only member is restarted or installed anew. Absent where no member goes or is restarted, and where it
    /// depends on a load balancer of the user's (`skipLoadBalancerDeployment`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_gap_seconds: Option<u32>,
    /// Steps. One runs as soon as those that it names in `after` are done.
    pub steps: Vec<PlanStep>,
}

impl Plan {
    /// Phase; Pending without a status.
    #[must_use]
    pub fn phase(&self) -> PlanPhase {
        self.status
            .as_ref()
            .map(|status| status.phase)
            .unwrap_or_default()
    }
}

impl PlanSpec {
    /// SHA-256 of the plan's JSON, which an approval names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Digest::new(Sha256::digest(&text).into())
    }
}

/// What a plan does; policy says which classes approve themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlanClass {
    /// Make a cluster.
    Create,
    /// Add or remove machines.
    Scale,
    /// Replace machines that work by machines of another version, image or configuration.
    Upgrade,
    /// Replace what is broken.
    Remediate,
    /// Renew certificates of machines that stay.
    Maintain,
    /// Remove the cluster.
    Delete,
}

/// One step. Its text is made by who shows it ([`PlanStep::text`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// Name, unique in the plan.
    pub id: String,
    /// What is done.
    pub kind: PlanStepKind,
    /// Machine that it is done to; for `removeMember` without a machine, the name of the etcd member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Pool of the machine, for a step that makes it if it is not there. What is installed is the pool's revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// How many failed machines the machine follows, one in the place of the other.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replacement: u32,
    /// Ids of the steps that have to be done before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What the cluster lacks while the step runs. A step with a disruption needs the cluster's disruption token.
    #[serde(default, skip_serializing_if = "Disruption::is_none")]
    pub disruption: Disruption,
    /// Minutes from the start of the step until it has failed.
    pub deadline_minutes: u32,
    /// What follows when the step fails.
    #[serde(default, skip_serializing_if = "FailurePolicy::is_default")]
    pub on_failure: FailurePolicy,
}

/// What the machines of a pool are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolRevision {
    /// Pool: `cp`, or the name of the worker node group.
    pub name: String,
    /// Digest of what is installed: Release, image and configuration of the node.
    pub revision: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlanStepKind {
    /// Make the cluster's keys and certificates.
    MakePki,
    /// Make a control-plane machine and install its system, until that asks for its bootstrap data.
    Provision,
    /// Start the first control-plane member on a machine.
    InitControlPlane,
    /// Install the CNI.
    InstallCni,
    /// Write version and settings of the control plane into the cluster, where machines that join it read them.
    UpdateClusterConfig,
    /// Join a machine to the control plane and its etcd.
    JoinControlPlane,
    /// Make a machine, install its system and join it as a worker.
    JoinWorker,
    /// Run the upgrade gates of the cluster after a machine has joined.
    RunGates,
    /// Move the pods of a node elsewhere.
    Drain,
    /// Stop etcd from taking anything more, and save its data.
    SaveEtcd,
    /// Start the control plane on a machine with the data that were saved.
    RestoreControlPlane,
    /// Take a member out of etcd.
    RemoveMember,
    /// Delete a machine's node, power it off and give its server back.
    RemoveMachine,
    /// Renew the certificates of a member of the control plane, and restart what uses them.
    RenewCertificates,
    /// Renew the certificates of a member of the control plane that have ended, while its system does not run, and start it again.
    RepairCertificates,
    /// Bring DNS, kube-proxy and the CNI to the images of the cluster's Release.
    UpdateAddons,
    /// Check DNS and kube-proxy, and write the kubeconfig.
    Finish,
    /// Drop what is left of the cluster.
    RemoveCluster,
}

/// What a cluster lacks while a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Disruption {
    /// Nothing.
    #[default]
    None,
    /// A node that runs pods.
    Node,
    /// A member of etcd, or the number of its members changes.
    Member,
}

impl Disruption {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// What follows when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FailurePolicy {
    /// The plan stops, and another one begins the step again.
    #[default]
    Retry,
    /// Its machine is given up, and another one takes its place as long as the limit of replacements allows it. The other
    /// steps go on. Before that, a machine whose first boot has failed is installed anew on its host, once.
    Replace,
}

impl FailurePolicy {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    const fn is_default(&self) -> bool {
        matches!(self, Self::Retry)
    }
}

impl PlanStep {
    /// The step in one line, without its machine's name where `machines` says how many equal steps there are.
    #[must_use]
    pub fn text(&self, machines: usize) -> String {
        let machine = match (&self.machine, machines) {
            (Some(name), 0 | 1) => name.clone(),
            (_, many) => format!("{many} machines"),
        };
        match self.kind {
            PlanStepKind::MakePki => "make the certificate authorities and keys of the cluster".to_owned(),
            PlanStepKind::Provision => format!("install {machine}"),
            PlanStepKind::InitControlPlane => format!("start the control plane on {machine}"),
            PlanStepKind::InstallCni => "install the CNI".to_owned(),
            PlanStepKind::UpdateClusterConfig => {
                "write the new version and settings of the control plane into the cluster".to_owned()
            }
            PlanStepKind::UpdateAddons => {
                "bring DNS, kube-proxy and the CNI to the images of the cluster's Release".to_owned()
            }
            PlanStepKind::JoinControlPlane => format!("join {machine} to the control plane"),
            PlanStepKind::JoinWorker => format!("install {machine} and join as worker"),
            PlanStepKind::RunGates => format!("run the upgrade gates after {machine} has joined"),
            PlanStepKind::Drain => format!("move the pods of {machine} to other nodes"),
            PlanStepKind::SaveEtcd => format!("stop the etcd of {machine} and save its data"),
            PlanStepKind::RestoreControlPlane => {
                format!("start the control plane on {machine} with the saved data")
            }
            PlanStepKind::RemoveMember => format!("take {machine} out of etcd"),
            PlanStepKind::RemoveMachine => {
                format!("delete the node of {machine}, power it off and give its server back")
            }
            PlanStepKind::RenewCertificates => {
                format!("renew the certificates of {machine} and restart its control plane")
            }
            PlanStepKind::RepairCertificates => {
                format!("restart {machine} into the installer, and renew its certificates, which have ended")
            }
            PlanStepKind::Finish => "check DNS and kube-proxy, and write the kubeconfig".to_owned(),
            PlanStepKind::RemoveCluster => "drop keys, kubeconfig and records of the cluster".to_owned(),
        }
    }
}

impl PlanSpec {
    /// The steps in lines for people; neighbours that differ only in their machine share one.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let equal = |a: &PlanStep, b: &PlanStep| a.kind == b.kind && a.deadline_minutes == b.deadline_minutes;
        let groups = self.steps.chunk_by(equal);
        groups
            .filter_map(|group| {
                let first = group.first()?;
                Some(format!(
                    "{} (at most {} min)",
                    first.text(group.len()),
                    first.deadline_minutes
                ))
            })
            .collect()
    }
}

/// Phase of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlanPhase {
    /// Waits for approval.
    #[default]
    Pending,
    /// Being carried out.
    Executing,
    /// Done.
    Done,
    /// A step failed and nothing can follow; the reason says which.
    Failed,
    /// Another plan took its place.
    Superseded,
}

impl PlanPhase {
    /// Whether the plan waits for an approval or is carried out.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Pending | Self::Executing)
    }
}

/// Observed state of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// Phase.
    #[serde(default)]
    pub phase: PlanPhase,
    /// Who approved: `policy`, or the PlanApproval that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Since when it is in its phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One row for each step that has started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepStatus>,
}

/// Observed state of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Name of the step.
    pub id: String,
    /// State.
    pub state: StepState,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// When it has failed if it is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// State of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// Not started.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Failed.
    Failed,
}

/// The word of a person that a Plan may be carried out. It is an object of its own, so that who may write it can be
/// granted apart from everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "PlanApproval",
    plural = "planapprovals",
    category = "gantry",
    namespaced,
    derive = "PartialEq",
    printcolumn = r#"{"name":"Plan","type":"string","jsonPath":".spec.plan"}"#,
    printcolumn = r#"{"name":"Approver","type":"string","jsonPath":".spec.approver"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct PlanApprovalSpec {
    /// Name of the Plan in the same namespace.
    pub plan: String,
    /// Digest of the Plan's spec, as `gantry get plan NAME -o json` shows it in the annotation `gantry.dev/digest`. A plan
    /// with another digest is not approved.
    pub digest: Digest,
    /// Who approves, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
}

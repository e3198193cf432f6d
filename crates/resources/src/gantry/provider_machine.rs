//! ProviderMachine: what a provider's driver makes for one Machine, behind `spec.infrastructureRef`.

use std::collections::BTreeMap;
use std::fmt;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::first_boot::{FirstBootFailure, FirstBootStage};
use super::plugin_machine::{PluginMachine, PluginMachineStatus};
use crate::anywhere::{ObjectRef, User};
use crate::cluster_api::MachineAddress;
use crate::{Digest, Time};

/// What the coordinator wants of one machine. The fields up to `deadlineMinutes` mean the same to every provider; what one
/// provider alone understands is in the section that is named after it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "gantry.dev",
    version = "v1alpha1",
    kind = "ProviderMachine",
    plural = "providermachines",
    category = "gantry",
    namespaced,
    status = "ProviderMachineStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Provider","type":"string","jsonPath":".spec.provider"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".status.host"}"#,
    printcolumn = r#"{"name":"Percent","type":"integer","jsonPath":".status.percent"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.driverState","priority":1}"#,
    printcolumn = r#"{"name":"Workflow","type":"string","jsonPath":".status.workflow","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ProviderMachineSpec {
    /// Which driver carries it out: `metal`, `vsphere`, ...
    pub provider: String,
    /// Cluster that the machine belongs to.
    pub cluster_name: String,
    /// Id of that cluster, a UUID. It never changes, and a cluster that is created anew under the same name has another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_uid: String,
    /// Machine of `cluster.x-k8s.io` that this one is for, in the same namespace.
    pub machine: String,
    /// Id of the machine, a UUID. It never changes, and no other machine ever has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub machine_uid: String,
    /// Pool that the machine belongs to: `cp`, or the name of the worker node group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pool: String,
    /// Role of the machine in its cluster.
    #[serde(default)]
    pub role: MachineRole,
    /// Digest of what is installed: Release, image and configuration of the node. A machine of another revision than its
    /// pool's is out of date.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Failure domain that the machine must be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_domain: Option<String>,
    /// URL of the image to install.
    #[serde(rename = "imageURL")]
    pub image_url: String,
    /// Operating system family of the image.
    #[serde(default)]
    pub os_family: String,
    /// Users of the installed system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// How often the machine is to be installed. A higher number installs it anew on the host that it has, unless its first
    /// boot was done, so that a node is never taken away by it.
    #[serde(default = "first_installation")]
    pub installation: u64,
    /// How many machines that failed this one follows, one in the place of the other. It limits how often a failure is
    /// answered with another machine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replacement: u32,
    /// Set to a new value by a person (`gantry retry machine NAME`): the failed machine is replaced once more, although
    /// the limit of replacements is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// Why the coordinator gave the machine up although its driver did not: it never became a node, or its node is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
    /// When the certificates of the member of the control plane on it were renewed last. Absent: they are as old as the
    /// machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates_renewed_at: Option<Time>,
    /// A repair that is wanted: the certificates of the member of the control plane on it have ended, so they are renewed while its
    /// system does not run. The certificates are left alone where they have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_repair: Option<CertificateRepair>,
    /// The node that the machine is already. Its driver then looks for the host on which that node runs, takes it when the
    /// evidence is enough, and never installs anything on it: the first boot counts as done when the host was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopts: Option<AdoptedNode>,
    /// Where the machine's first boot gets its data from.
    #[serde(default)]
    pub bootstrap: BootstrapSource,
    /// Minutes for everything up to the installed system's first sign of life; 60 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_minutes: Option<u32>,
    /// What the driver of bare metal needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metal: Option<MetalMachine>,
    /// What a plugin driver needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginMachine>,
}

const fn first_installation() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A node that is taken into its cluster as a machine, as the cluster's API told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdoptedNode {
    /// Name of the Node.
    pub node: String,
    /// Its `spec.providerID`.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// Its internal address.
    pub address: String,
    /// Its `status.nodeInfo.systemUUID`: the UUID that the firmware of its host tells.
    #[serde(rename = "systemUUID", default, skip_serializing_if = "Option::is_none")]
    pub system_uuid: Option<String>,
}

/// The wish that certificates which have ended are renewed on the disk of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRepair {
    /// Number of the repair: that of the plan that wants it. A higher number is another repair.
    pub number: u32,
    /// Name of the machine's node.
    pub node: String,
}

/// What came of a repair of certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRepairResult {
    /// Number of the repair.
    pub number: u32,
    /// Why it has failed; absent where it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// SHA-256 of the certificate (DER) of the API server that was put in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_server: Option<Digest>,
    /// SHA-256 of the certificate (DER) of etcd that was put in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<Digest>,
}

/// Where a machine's first boot gets its data from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapSource {
    /// Who carries the data to the machine.
    #[serde(default)]
    pub mode: BootstrapMode,
    /// Secret in the same namespace whose key `value` holds the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Who carries the data of a first boot to its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BootstrapMode {
    /// The installed system asks for it over mutual TLS, and it is made then.
    #[default]
    Pull,
    /// The driver hands it to the machine as user data, so it is made before the machine is.
    Push,
}

/// A machine on bare metal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetalMachine {
    /// Choice of hardware: one of the terms must hold. Without a term every server fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selector: Vec<SelectorTerm>,
    /// The user's own workflow (TinkerbellTemplateConfig).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<ObjectRef>,
}

impl ProviderMachine {
    /// Whether another installation is wanted than the one that the driver has begun last.
    #[must_use]
    pub fn is_wanted_anew(&self) -> bool {
        let status = self.status.as_ref();
        let last = status.and_then(|status| status.installation);
        self.spec.installation > last.unwrap_or_else(first_installation)
    }
}

impl ProviderMachineSpec {
    /// Choice of hardware of a machine on bare metal.
    #[must_use]
    pub fn selector(&self) -> &[SelectorTerm] {
        self.metal
            .as_ref()
            .map(|metal| metal.selector.as_slice())
            .unwrap_or_default()
    }

    /// The user's own workflow of a machine on bare metal.
    #[must_use]
    pub fn template_ref(&self) -> Option<&ObjectRef> {
        self.metal.as_ref()?.template_ref.as_ref()
    }
}

/// Role of a machine in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MachineRole {
    /// Runs the control plane.
    ControlPlane,
    /// Runs workloads.
    #[default]
    Worker,
}

/// Labels and expressions that all must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelectorTerm {
    /// Labels.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// Expressions about labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelExpression>,
}

/// An expression about one label.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelExpression {
    /// Key of the label.
    pub key: String,
    /// How the label and the values belong together.
    pub operator: LabelOperator,
    /// Values of `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl LabelExpression {
    /// Whether the expression holds of an object with these labels, by Kubernetes' rules: `NotIn` holds where there is no such
    /// label.
    #[must_use]
    pub fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let is_in = || value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            LabelOperator::In => is_in(),
            LabelOperator::NotIn => !is_in(),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

impl fmt::Display for LabelExpression {
    /// As `kubectl -l` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            LabelOperator::In => write!(f, "{key} in ({values})"),
            LabelOperator::NotIn => write!(f, "{key} notin ({values})"),
            LabelOperator::Exists => f.write_str(key),
            LabelOperator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// Operators of expressions about labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The label has one of the values.
    #[default]
    In,
    /// There is no such label, or it has none of the values.
    NotIn,
    /// There is such a label.
    Exists,
    /// There is no such label.
    DoesNotExist,
}

impl SelectorTerm {
    /// Whether an object with these labels is one that the term selects. A term without labels and expressions selects every
    /// object.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut own = self.match_labels.iter();
        let mut expressions = self.match_expressions.iter();
        own.all(|(key, value)| labels.get(key) == Some(value))
            && expressions.all(|expression| expression.holds(labels))
    }

    /// Terms of which one must hold, for people: `{type=cp} or {rack=7}`.
    #[must_use]
    pub fn alternatives(terms: &[Self]) -> String {
        if terms.is_empty() {
            return "(any)".to_owned();
        }
        let terms: Vec<String> = terms.iter().map(|term| format!("{{{term}}}")).collect();
        terms.join(" or ")
    }
}

impl fmt::Display for SelectorTerm {
    /// `key=value,key in (value,value)`, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self
            .match_labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .chain(self.match_expressions.iter().map(ToString::to_string));
        f.write_str(&pairs.collect::<Vec<_>>().join(","))
    }
}

/// How far a provider's machine is, in the words that all drivers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProviderMachinePhase {
    /// Waits for a host.
    #[default]
    Pending,
    /// Has a host, on which its system is being put.
    Creating,
    /// The new system starts for the first time.
    Booting,
    /// The new system has shown itself.
    Running,
    /// Being taken apart; its host is given back.
    Deleting,
    /// Its driver has given it up. Only its deletion follows.
    Failed,
}

/// Observed state of a provider's machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderMachineStatus {
    /// How far the machine is, in the words that all drivers share.
    #[serde(default)]
    pub phase: ProviderMachinePhase,
    /// The state by its driver's own name, more exact than the phase. Nothing but the driver decides by it. On bare metal:
    /// `pending`, `preparing` (waits for the image), `installing`, `booting`, `running`, `repairing`, `releasing`, `wiping`, `failed`. With a
    /// plugin driver: `pending`, `creating`, `running`, `deleting`, `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_state: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When waiting ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Share done of the step at hand, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// The host: name of the Server on bare metal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The installation (`spec.installation`) that is being carried out, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<u64>,
    /// Name of the Workflow that installs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Identity of the machine in Kubernetes, `tinkerbell://NAMESPACE/HARDWARE` on bare metal.
    #[serde(rename = "providerID", default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<MachineAddress>,
    /// When the installed system asked for its bootstrap data, or the driver did that hands them over with the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_requested_at: Option<Time>,
    /// What the first boot of the installed system works on, as it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_stage: Option<FirstBootStage>,
    /// How the first boot of this installation failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_failure: Option<FirstBootFailure>,
    /// When the installed system was done with its first boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_done_at: Option<Time>,
    /// What came of the last repair of its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_repair: Option<CertificateRepairResult>,
    /// MAC address of the node's NIC, lower case with colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<crate::Mac>,
    /// What stands between the appliance and the plugin driver of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginMachineStatus>,
}

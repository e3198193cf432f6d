//! Label and annotation keys, finalizers, field managers and fixed names that more than one crate uses.

/// Namespace of hardware, clusters and everything else unless a file says otherwise (EKS Anywhere's default).
pub const DEFAULT_NAMESPACE: &str = "eksa-system";

/// Label on Hardware: name of the owner that claimed it (Cluster API provider Tinkerbell).
pub const OWNER_NAME: &str = "v1alpha1.tinkerbell.org/ownerName";
/// Label on Hardware: namespace of the owner that claimed it.
pub const OWNER_NAMESPACE: &str = "v1alpha1.tinkerbell.org/ownerNamespace";
/// Annotation on Hardware: an operating system was installed.
pub const PROVISIONED: &str = "v1alpha1.tinkerbell.org/provisioned";
/// Annotation on Hardware: what an agent told of the machine.
pub const AGENT_ATTRIBUTES: &str = "tinkerbell.org/agent-attributes";
/// Annotation on a bmc Machine: any new value asks for a poll at once.
pub const POLL_REQUESTED: &str = "gantry.dev/poll-requested";
/// Annotation on a bmc Machine: what the BMC says of its machine's identity, as JSON ([`crate::bmc::BmcInventory`]).
pub const BMC_INVENTORY: &str = "gantry.dev/bmc-inventory";

/// Annotation on Hardware: hints, as JSON with Metal3's field names, that choose the disk to install to in place of the
/// first of `spec.disks`, whose name templates go on using.
pub const ROOT_DEVICE_HINTS: &str = "gantry.dev/root-device-hints";
/// Annotation on Hardware, `true`: removable and USB devices and virtual media may be written to.
pub const ALLOW_REMOVABLE_DISK: &str = "gantry.dev/allow-removable-disk";
/// Annotation on Hardware: disks that no attempt writes to, and where the installed system mounts them, as a JSON list
/// ([`crate::gantry::DataDisk`]).
pub const DATA_DISKS: &str = "gantry.dev/data-disks";
/// Annotation on Hardware: serial number, WWN or path of a pinned disk that is gone for good; its name is resolved anew.
pub const FORGET_DISK: &str = "gantry.dev/forget-disk";

/// Annotation on a Server: SMBIOS UUID (of a board without one: serial number) of a replaced mainboard that an operator
/// accepts; else a claim with another UUID or serial number than the Server's inventory is refused.
pub const ACCEPT_MAINBOARD: &str = "gantry.dev/accept-mainboard";
/// Annotation on a Server: number of the attempt whose claim is accepted although the machine's address fetched no
/// installer; only a control plane's machine is held for it.
pub const ALLOW_CLAIM_WITHOUT_BOOT: &str = "gantry.dev/allow-claim-without-boot";

/// Annotation on a Namespace: a restore of the appliance, as JSON ([`crate::gantry::Restored`]). Servers that are derived in
/// the Namespace afterwards carry it too: their Hardware may have been imported, and taken, after the backup.
pub const RESTORED: &str = "gantry.dev/restored";

/// Label on a ControlPlane: it was made for a cluster that ran already (`gantry rebuild cluster`).
pub const REBUILT: &str = "gantry.dev/rebuilt";

/// Label with the cluster's name on everything that belongs to a cluster.
pub const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";
/// Label that marks control-plane machines.
pub const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";
/// Label with the node group's name on workers.
pub const NODE_GROUP: &str = "gantry.dev/node-group";
/// Label of Cluster API with the name of the MachineDeployment that a worker belongs to.
pub const DEPLOYMENT_NAME: &str = "cluster.x-k8s.io/deployment-name";
/// Label of Cluster API with the name of the MachineSet that a worker belongs to.
pub const SET_NAME: &str = "cluster.x-k8s.io/set-name";
/// Label on a MachineSet: revision of its machines.
pub const REVISION: &str = "gantry.dev/revision";
/// Label of EKS Anywhere with the node group's name on workers and their MachineDeployment.
pub const POOL: &str = "pool";
/// Annotation on a MachineDeployment: the fewest machines that an autoscaler may ask for.
pub const AUTOSCALER_MIN: &str = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size";
/// Annotation on a MachineDeployment: the most machines that an autoscaler may ask for.
pub const AUTOSCALER_MAX: &str = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size";
/// Annotation on a MachineDeployment: logical processors of a new machine, for an autoscaler that has none to look at.
pub const CAPACITY_CPU: &str = "capacity.cluster-autoscaler.kubernetes.io/cpu";
/// Annotation on a MachineDeployment: bytes of memory of a new machine.
pub const CAPACITY_MEMORY: &str = "capacity.cluster-autoscaler.kubernetes.io/memory";
/// Annotation on a MachineDeployment: labels of a new node, `key=value,key=value`.
pub const CAPACITY_LABELS: &str = "capacity.cluster-autoscaler.kubernetes.io/labels";
/// Annotation on a MachineDeployment: taints of a new node, `key=value:effect,key=value:effect`.
pub const CAPACITY_TAINTS: &str = "capacity.cluster-autoscaler.kubernetes.io/taints";
/// Annotation on a Plan: SHA-256 of its spec, which an approval names.
pub const PLAN_DIGEST: &str = "gantry.dev/digest";
/// Annotation on a Machine: id of the machine, a UUID.
pub const MACHINE_UID: &str = "gantry.dev/machine-uid";
/// Annotation of kube-proxy's DaemonSet in a cluster: revision of the control plane whose version and settings machines that
/// join it read.
pub const JOINS_WITH: &str = "gantry.dev/control-plane-revision";
/// Annotation of kube-proxy's DaemonSet in a cluster: version of Kubernetes whose images DNS, kube-proxy and the CNI have been
/// given, or [`ADDONS_PENDING`]. Without it they are those that the cluster began with.
pub const ADDONS_VERSION: &str = "gantry.dev/addons-version";
/// Value of [`ADDONS_VERSION`] from the beginning of an upgrade until the control plane has the new version.
pub const ADDONS_PENDING: &str = "pending";
/// Label of a node in a cluster, and of the DaemonSets for the nodes of one version alone: the version of Kubernetes that the
/// node was installed with, such as `v1.34.2`.
pub const KUBERNETES_VERSION: &str = "gantry.dev/kubernetes-version";
/// Label of a Pod in a cluster that renews certificates: the machine on whose node it runs.
pub const RENEWS_CERTIFICATES: &str = "gantry.dev/renews-certificates-of";
/// Annotation of Cluster API on a Machine: it is the first to go when its pool shrinks.
pub const DELETE_MACHINE: &str = "cluster.x-k8s.io/delete-machine";
/// Finalizer of the coordinator on the Machines of a cluster: a Machine that somebody deletes is replaced first.
pub const MACHINE_FINALIZER: &str = "gantry.dev/machine";
/// Label by which `clusterctl move` and `gantry move` find objects.
pub const MOVE: &str = "clusterctl.cluster.x-k8s.io/move";
/// Annotation on a bootstrap Secret: the sealed file, `<name>/<sha256>` with 64 hex digits, that its machine may fetch while
/// its first boot lasts.
pub const FIRST_BOOT_FILE: &str = "gantry.dev/first-boot-file";
/// Type of the Secrets that hold cluster PKI, kubeconfigs and bootstrap data.
pub const CLUSTER_SECRET_TYPE: &str = "cluster.x-k8s.io/secret";
/// Label with the name of the CSV that a row came from; rows gone from a file are found by it.
pub const IMPORTED_FROM: &str = "gantry.dev/imported-from";
/// Annotation on an EKS Anywhere cluster, `true`: the coordinator changes and deletes nothing of it.
pub const PAUSED: &str = "anywhere.eks.amazonaws.com/paused";
/// Annotation on an EKS Anywhere cluster: who has paused the exchange of its machines, and why, or `true`. No machine that works
/// is exchanged while it is there; what is missing or broken is made and replaced. `false` and nothing mean that it is not
/// paused.
pub const ROLLOUT_PAUSED: &str = "gantry.dev/rollout-paused";
/// Annotation on an EKS Anywhere cluster: CronJobs of the cluster itself, `NAMESPACE/NAME`, separated by commas. After each
/// machine that has joined for a rollout a Job is made of each of them, and the next machine goes when these have succeeded.
pub const UPGRADE_GATES: &str = "gantry.dev/upgrade-gates";
/// Annotation on an EKS Anywhere cluster: when a person wanted the upgrade gates that had failed to be run once more. Any other
/// text than before does.
pub const GATES_RETRY: &str = "gantry.dev/upgrade-gates-retry";
/// Annotation on a Machine that was made for a rollout with upgrade gates: `pending` until they have succeeded, then `passed`.
pub const GATES_STATE: &str = "gantry.dev/upgrade-gates-state";
/// Label of the Jobs of upgrade gates in a cluster: the name of the CronJob that one was made of.
pub const UPGRADE_GATE: &str = "gantry.dev/upgrade-gate";
/// Annotation on a Job of an upgrade gate: the machine after which it is run.
pub const GATE_MACHINE: &str = "gantry.dev/machine";
/// Annotation on an EKS Anywhere cluster, `true`: it may be deleted although it is paused.
pub const ALLOW_DELETE_WHEN_PAUSED: &str = "anywhere.eks.amazonaws.com/allow-delete-when-paused";

/// Annotation on an EKS Anywhere cluster, `true`: it is created although somebody on the machines' network answers for
/// its control-plane endpoint.
pub const SKIP_IP_CHECK: &str = "anywhere.eks.amazonaws.com/skip-ip-check";

/// Annotation on an EKS Anywhere cluster: virtual router id (VRRP, 1 to 255) of the control-plane endpoint, where the one
/// that Gantry derives from the endpoint is taken on the segment. Set at creation, fixed afterwards.
pub const VRRP_ID: &str = "gantry.dev/vrrp-id";
/// Annotation on an EKS Anywhere cluster: what holds the control-plane endpoint on the machines of the control plane,
/// `keepalived` or `kube-vip`. Without it the latter is meant for node images that the user brings, and the former for Gantry's
/// own. Set at creation, fixed afterwards.
pub const CONTROL_PLANE_VIP: &str = "gantry.dev/control-plane-vip";
/// Annotation on an EKS Anywhere cluster whose endpoint kube-vip holds: kube-vip's image, where it is not to be the one of the
/// cluster's Release.
pub const KUBE_VIP_IMAGE: &str = "gantry.dev/kube-vip-image";

/// Annotation on a ProviderDriver: any new value asks for a list of the orphans at its provider at once.
pub const ORPHANS_REQUESTED: &str = "gantry.dev/orphans-requested";

/// Finalizer of the cluster coordinator.
pub const CLUSTER_FINALIZER: &str = "gantry.dev/cluster";
/// Finalizer of a provider's driver on the machines it made.
pub const PROVIDER_MACHINE_FINALIZER: &str = "gantry.dev/provider-machine";

/// Provider of the machines of bare metal, which Gantry drives itself; every other one is a plugin driver's.
pub const METAL_PROVIDER: &str = "metal";

/// Field manager of the command line.
pub const MANAGER_CLI: &str = "gantry-cli";
/// Field manager of the server lifecycle.
pub const MANAGER_SERVERS: &str = "gantry-servers";
/// Field manager of the workflow engine.
pub const MANAGER_WORKFLOW: &str = "gantry-workflow";
/// Field manager of the power controllers.
pub const MANAGER_POWER: &str = "gantry-power";
/// Field manager of the cluster coordinator.
pub const MANAGER_CLUSTERS: &str = "gantry-clusters";
/// Field manager of the mark on a node of a cluster that Gantry makes it unschedulable by.
pub const MANAGER_CORDON: &str = "gantry-cordon";
/// Field manager of the bare-metal driver.
pub const MANAGER_METAL: &str = "gantry-driver-metal";
/// Field manager of the controller of plugin drivers.
pub const MANAGER_PLUGIN: &str = "gantry-driver-plugin";
/// Field manager of the image store.
pub const MANAGER_ARTIFACTS: &str = "gantry-artifacts";

/// Fact of a failed action, `true`: the same again can't succeed before somebody changes disk, image or template.
pub const FACT_HOPELESS: &str = "hopeless";
/// Fact of a failed action: the digest of an image (`sha256:HEX`) whose bytes were others when the agent fetched it.
pub const FACT_DAMAGED_IMAGE: &str = "damaged_image";

//! What a cluster is like now: the appliance's objects by watches, the cluster's own API and its etcd by asking them.

mod addons;
mod adoptions;
mod certificate_views;
mod certificates;
mod connections;
mod first_boots;
mod gates;
mod gates_view;
mod image;
mod kube_gates;
mod kube_workload;
mod last_words;
mod node_view;
mod node_watch;
mod nodes;
mod renewal_pods;
mod renewals;
mod secret_views;
mod seen;
mod snapshot;
mod unready_pods;
mod view;
mod views;
mod worker_groups;
mod workload;

pub(crate) use addons::{
    addons_behind, is_mixed, is_upgrading, older_unserved, own_daemon_sets, stale_daemon_sets, versions,
};
pub(crate) use adoptions::{AdoptionStep, Candidate};
pub use certificates::{Certificates, TlsCertificates};
pub(crate) use connections::{Connection, Connections};
pub use gates::is_rollout;
pub(crate) use gates::{GATES_PASSED, GATES_PENDING, GatesProgress};
pub use gates_view::{GateJob, GateJobState, GatesView};
pub(crate) use image::{image_fault, named};
pub use kube_workload::KubeWorkloads;
pub use node_view::NodeView;
pub(crate) use secret_views::{BootstrapSeen, KubeconfigSeen};
pub(crate) use seen::{
    ETCD_HEALTHY, NODE_HEALTHY, brings_cni, is_stopped, is_subject, seen, uses_flannel, votes,
};
pub(crate) use snapshot::{ApiSeen, BY_POLICY, EtcdSeen, Leftover, Snapshot, image_of};
pub(crate) use view::View;
pub(crate) use views::Views;
pub(crate) use workload::last_plan_object;
pub use workload::{AddonsView, Drained, Failure, RenewalPod, RenewalState, SystemView, Workload, Workloads};

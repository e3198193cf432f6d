//! What a cluster is like now: the appliance's objects by watches, the cluster's own API and its etcd by asking them.

mod addons;
mod connections;
mod image;
mod kube_workload;
mod node_view;
mod node_watch;
mod nodes;
mod seen;
mod snapshot;
mod view;
mod views;
mod worker_groups;
mod workload;

pub(crate) use addons::{addons_behind, is_mixed};
pub(crate) use connections::{Connection, Connections};
pub(crate) use image::{image_fault, named};
pub use kube_workload::KubeWorkloads;
pub use node_view::NodeView;
pub(crate) use seen::{ETCD_HEALTHY, NODE_HEALTHY, is_stopped, is_subject, seen, uses_flannel, votes};
pub(crate) use snapshot::{ApiSeen, BY_POLICY, BootstrapSeen, EtcdSeen, Leftover, Snapshot, image_of};
pub(crate) use views::Views;
pub(crate) use workload::last_plan_object;
pub use workload::{AddonsView, Drained, Failure, SystemView, Workload, Workloads};

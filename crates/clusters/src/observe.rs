//! What a cluster is like now: the appliance's objects by watches, the cluster's own API and its etcd by asking them.

mod addons;
mod connections;
mod image;
mod nodes;
mod seen;
mod snapshot;
mod view;
mod views;
mod workload;

pub(crate) use addons::{addons_behind, is_mixed, with_tag};
pub(crate) use connections::{Connection, Connections};
pub(crate) use image::{image_fault, named};
pub(crate) use seen::{ETCD_HEALTHY, NODE_HEALTHY, is_subject, seen, uses_flannel, votes};
pub(crate) use snapshot::{ApiSeen, BY_POLICY, BootstrapSeen, EtcdSeen, Leftover, Snapshot, image_of};
pub(crate) use views::Views;
pub(crate) use workload::last_plan_object;
pub use workload::{AddonsView, Drained, Failure, KubeWorkloads, NodeView, SystemView, Workload, Workloads};

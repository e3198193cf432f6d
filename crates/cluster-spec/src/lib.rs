//! Cluster YAML as EKS Anywhere's users on bare metal, vSphere and Docker have it: Cluster, OIDCConfig, and the datacenter and
//! machine configurations of one provider ([`VirtualSite`] where that makes virtual machines) in one file of several documents.
//!
//! Owns reading with places ([`parse`]), EKS Anywhere's defaults, the rules that need nothing but the documents and
//! the known Releases ([`validate`]), the checks against free hardware ([`check_hardware`]) and against everybody else's
//! addresses ([`check_surroundings`]), the management cluster that a Cluster names ([`management_cluster`]), the choice of a Release ([`choose_release`]), and the rules for changes ([`update`]),
//! also as admission of a write ([`admit`]). All of it is pure; the API and the controller run the same rules on objects that the command line runs on files. Two supersets of EKS Anywhere:
//! `osFamily: debian` and `cniConfig: {flannel: {}}`.
//!
//! Refuses: unknown fields, and known fields that this version does not carry out. A field that would be ignored is an
//! error, or where it does no harm a remark ([`remarks`]), never a silence.
//!
//! Invariant: [`parse`] returns every fault of the file at once, each with line, column and next step.
#![forbid(unsafe_code)]

mod address_holder;
mod admission;
mod brought_images;
mod bundle;
mod cilium;
mod defaults;
mod documents;
mod hardware;
mod management;
mod node;
mod passes;
mod problem;
mod pulled_images;
mod recorded;
mod releases;
mod remarks;
mod rules;
mod scalar;
mod schema;
mod secrets;
mod surroundings;
mod update;
mod version;
mod violation;
mod virtual_machines;
mod virtual_site;
mod vrrp;

pub use address_holder::{AddressHolder, address_holder, kube_vip_image};
pub use admission::{
    Document, admit, admit_capi_cluster_deletion, admit_control_plane, admit_control_plane_deletion,
    admit_machine_deployment, admit_new_worker_group, admit_worker_group_deletion,
};
pub use bundle::{
    CONTROL_PLANE_GROUP, ClusterBundle, Group, GroupMachines, OIDC, autoscaling, selector_terms,
};
pub use cilium::{Cilium, cilium, cilium_chart};
pub use defaults::with_defaults;
pub use documents::parse;
pub use hardware::{FreeHardware, check_hardware};
pub use management::{
    ManagementCluster, admit_cluster_deletion, management_cluster, names_another_manager, workload_clusters,
};
pub use passes::{next_pass, versions_between};
pub use problem::{Problem, Problems};
pub use pulled_images::pulled_images;
pub use releases::{candidates, choose_release, is_older};
pub use remarks::remarks;
pub use rules::validate;
pub use secrets::secrets;
pub use surroundings::{Hosts, Surroundings, check_surroundings, endpoint_to_probe};
pub use update::{ChangeEffect, FieldChange, Update, check_update, update, update_in_place};
pub use violation::Violation;
pub use virtual_site::{VSphereSite, VirtualSite};
pub use vrrp::vrrp_id;

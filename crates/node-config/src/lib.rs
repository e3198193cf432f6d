//! What an installed system is told to become a Kubernetes node.
//!
//! Owns the texts and nothing else: what differs between operating systems ([`System`]), network ([`netplan`]), the public NoCloud seed ([`user_data`], [`meta_data`]), the
//! script of the first boot ([`FIRST_BOOT_SCRIPT`]), the document that this script pulls ([`BootstrapDocument`], made by
//! [`init`], [`restore`], [`join_worker`] and [`join_control_plane`]) with kubeadm's configuration (kubeadm.k8s.io/v1beta4) and the
//! static pod of the control-plane address (keepalived or kube-vip), the audit policy, containerd's registries and proxy, what joining machines read in the cluster ([`cluster_config`]),
//! flannel's objects ([`flannel`]), what nodes of an older version have instead ([`kube_proxy_for_version`]), the Pod that renews a member's certificates ([`renewal_pod`]), the workflow that does it when they have ended ([`renewal_template`]) and the workflow that installs a
//! node ([`install::template`]), with the mounts of its data disks, or takes one off its disks ([`wipe::template`]), and how a snapshot of etcd is restored, which drills do as well
//! ([`restore_etcd_script`]). Does no I/O and reads no clock.
//!
//! Invariant: only a [`BootstrapDocument`], and user data that is made of one ([`pushed_user_data`]), hold secrets. Everything that
//! stands in a Template or in other user data is public.
#![forbid(unsafe_code)]

mod audit;
mod bootstrap;
mod cloud_init;
mod cluster;
mod data_mounts;
mod error;
mod flannel;
mod host_network;
pub mod install;
mod join_secrets;
mod keepalived;
mod kube_vip;
mod kubeadm;
mod node;
mod older_nodes;
mod proxy;
mod pushed;
mod registry_credentials;
mod registry_mirror;
mod renewal;
mod restore_etcd;
mod system;
pub mod wipe;

pub use bootstrap::{
    BootstrapDocument, BootstrapFile, CaFiles, Download, EtcdSnapshot, LOAD_BALANCER_STAGE, init,
    join_control_plane, join_worker, restore,
};
pub use cloud_init::{FIRST_BOOT_SCRIPT, meta_data, network_config, user_data};
pub use cluster::{AddressHolder, ClusterSettings, Images, LONGEST_MOVE_SECONDS, Profile, with_tag};
pub use error::Error;
pub use flannel::flannel;
pub use host_network::{HostNetwork, hostname, netplan, network_file};
pub use join_secrets::JoinSecrets;
pub use kubeadm::cluster_config;
pub use node::{NodePlace, NodeSettings, kubelet_sets_label};
pub use older_nodes::{
    affinity_without, flannel_for_version, kube_proxy_for_version, name_for_version, version_label,
};
pub use pushed::pushed_user_data;
pub use registry_credentials::RegistryCredentials;
pub use renewal::{RESTART_SECONDS, Renewal, RenewalReport, renewal_pod, renewal_template};
pub use restore_etcd::{REVISION_BUMP, restore_etcd_script};
pub use system::System;

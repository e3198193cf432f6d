//! What EKS Anywhere assumes where a file says nothing.

use kube::ResourceExt;
use resources::anywhere::{Cluster, NodeMask, OsFamily, TinkerbellMachineConfig, User, VSphereMachineConfig};
use resources::keys;

use crate::address_holder::{KUBE_VIP, is_left_out};
use crate::bundle::{ClusterBundle, autoscaling};
use crate::virtual_site::VirtualSite;

/// Sets the defaults of all objects.
#[must_use]
pub fn with_defaults(mut bundle: ClusterBundle) -> ClusterBundle {
    cluster(&mut bundle.cluster);
    let namespace = bundle.cluster.namespace();
    bundle
        .datacenter
        .metadata
        .namespace
        .get_or_insert_with(|| keys::DEFAULT_NAMESPACE.to_owned());
    without_empty(&mut bundle.datacenter.spec.os_image_url);
    for config in bundle.machine_configs.values_mut() {
        machine_config(config);
        config.metadata.namespace = config.namespace().or_else(|| namespace.clone());
    }
    if let Some(site) = &mut bundle.virtual_site {
        virtual_site(site, namespace.as_ref());
    }
    address_holder(&mut bundle);
    for template in bundle.templates.values_mut() {
        template.metadata.namespace = template.namespace().or_else(|| namespace.clone());
    }
    for provider in bundle.oidc_configs.values_mut() {
        provider.metadata.namespace = provider.namespace().or_else(|| namespace.clone());
    }
    bundle
}

fn cluster(cluster: &mut Cluster) {
    let name = cluster.name_any();
    cluster
        .metadata
        .namespace
        .get_or_insert_with(|| keys::DEFAULT_NAMESPACE.to_owned());
    let spec = &mut cluster.spec;
    if spec.management_cluster.name.is_empty() {
        spec.management_cluster.name = name;
    }
    for (at, group) in spec.worker_node_group_configurations.iter_mut().enumerate() {
        if at == 0 && group.name.is_none() {
            group.name = Some("md-0".to_owned());
        }
        if group.count.is_none() {
            group.count = Some(autoscaling(group).map_or(1, |bounds| *bounds.start()));
        }
    }
    if let Some(mirror) = &mut spec.registry_mirror_configuration {
        mirror.port.get_or_insert_with(|| "443".to_owned());
    }
    let nodes = spec.cluster_network.nodes.get_or_insert_with(NodeMask::default);
    nodes.cidr_mask_size.get_or_insert(24);
}

/// keepalived is in no image that a user brings; there kube-vip holds the endpoint, as with EKS Anywhere.
fn address_holder(bundle: &mut ClusterBundle) {
    if bundle.brings_images() && !is_left_out(&bundle.cluster) {
        let annotations = bundle.cluster.annotations_mut();
        let holder = annotations.entry(keys::CONTROL_PLANE_VIP.to_owned());
        holder.or_insert_with(|| KUBE_VIP.to_owned());
    }
}

fn virtual_site(site: &mut VirtualSite, namespace: Option<&String>) {
    match site {
        VirtualSite::Docker(datacenter) => {
            let own = &mut datacenter.metadata.namespace;
            *own = own.take().or_else(|| namespace.cloned());
        }
        VirtualSite::VSphere(site) => {
            let own = &mut site.datacenter.metadata.namespace;
            *own = own.take().or_else(|| namespace.cloned());
            without_empty(&mut site.datacenter.spec.thumbprint);
            for config in site.machine_configs.values_mut() {
                let own = &mut config.metadata.namespace;
                *own = own.take().or_else(|| namespace.cloned());
                vsphere_machine_config(config);
            }
        }
    }
}

fn vsphere_machine_config(config: &mut VSphereMachineConfig) {
    let spec = &mut config.spec;
    for text in [
        &mut spec.folder,
        &mut spec.storage_policy_name,
        &mut spec.template,
    ] {
        without_empty(text);
    }
    // EKS Anywhere's files say 0 where they say nothing.
    for (number, default) in [
        (&mut spec.disk_gib, 25),
        (&mut spec.num_cpus, 2),
        (&mut spec.memory_mib, 8192),
    ] {
        *number = number.filter(|number| *number != 0).or(Some(default));
    }
    let family = *spec.os_family.get_or_insert(OsFamily::Bottlerocket);
    if spec.users.is_empty() {
        let name = match family {
            OsFamily::Bottlerocket => "ec2-user",
            _ => "capv",
        };
        spec.users.push(User {
            name: name.to_owned(),
            ssh_authorized_keys: Vec::new(),
        });
    }
}

/// A text that EKS Anywhere writes into its files with nothing in it is none.
fn without_empty(text: &mut Option<String>) {
    *text = text.take().filter(|text| !text.is_empty());
}

fn machine_config(config: &mut TinkerbellMachineConfig) {
    without_empty(&mut config.spec.os_image_url);
    let template = config.spec.template_ref.take();
    config.spec.template_ref =
        template.filter(|template| !(template.name.is_empty() && template.kind.is_empty()));
    config.spec.os_family.get_or_insert(OsFamily::Bottlerocket);
    if config.spec.users.is_empty() {
        config.spec.users.push(User {
            name: "ec2-user".to_owned(),
            ssh_authorized_keys: Vec::new(),
        });
    }
}

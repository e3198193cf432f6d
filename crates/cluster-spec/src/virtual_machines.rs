//! What the driver of a provider of virtual machines makes of the documents of a cluster.

use resources::anywhere::{CloneMode, VSphereFailureDomain, VSphereMachineConfig};
use resources::gantry::{PluginMachine, ReleaseSpec, UserdataFormat};
use resources::keys;
use serde_json::{Map, Value, json};

use crate::bundle::{ClusterBundle, Group, GroupMachines};
use crate::releases::container_image;
use crate::virtual_site::{VSphereSite, VirtualSite};

impl ClusterBundle {
    /// Name of the driver that makes the machines.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        let site = self.virtual_site.as_ref();
        site.map_or(keys::METAL_PROVIDER, VirtualSite::provider)
    }

    /// What the driver of virtual machines makes for a group; `None` on bare metal.
    #[must_use]
    pub fn plugin_machine(&self, group: &Group<'_>) -> Option<PluginMachine> {
        let site = self.virtual_site.as_ref()?;
        let machine = PluginMachine {
            scope: site.name(),
            userdata_format: UserdataFormat::CloudConfig,
            ..PluginMachine::default()
        };
        let (GroupMachines::VSphere(config), Some(vsphere)) = (group.machines, site.vsphere()) else {
            return Some(machine);
        };
        let spec = &config.spec;
        let domain = self.failure_domain(group);
        Some(PluginMachine {
            vcpus: number(spec.num_cpus),
            memory_mib: number(spec.memory_mib),
            root_disk_gib: number(spec.disk_gib),
            settings: vsphere_settings(vsphere, config, domain),
            ..machine
        })
    }

    /// What the machines of a group are made from: URL of an image, name of a template, or name of a container image.
    #[must_use]
    pub fn source_of<'a>(&'a self, group: &Group<'a>, release: &'a ReleaseSpec) -> Option<&'a str> {
        match group.machines {
            GroupMachines::Metal(config) => self.image_url(config),
            GroupMachines::VSphere(config) => config.spec.template.as_deref(),
            GroupMachines::Docker => container_image(self, release),
        }
    }

    /// The place of a group beside that of its machine configuration.
    #[must_use]
    pub fn failure_domain(&self, group: &Group<'_>) -> Option<&VSphereFailureDomain> {
        let name = self.worker_group(group)?.failure_domains.first()?;
        let site = self.virtual_site.as_ref()?.vsphere()?;
        let mut domains = site.datacenter.spec.failure_domains.iter();
        domains.find(|domain| domain.name == *name)
    }
}

/// A number that the rules have nothing against.
fn number<T: TryFrom<i32> + Default>(number: Option<i32>) -> T {
    number
        .and_then(|number| T::try_from(number).ok())
        .unwrap_or_default()
}

/// What only the driver of vCenters understands. A field that says nothing is left out.
fn vsphere_settings(
    site: &VSphereSite,
    config: &VSphereMachineConfig,
    domain: Option<&VSphereFailureDomain>,
) -> Map<String, Value> {
    let (datacenter, machine) = (&site.datacenter.spec, &config.spec);
    let of_domain = |field: fn(&VSphereFailureDomain) -> &String, otherwise: &str| {
        let own = domain.map(field).filter(|own| !own.is_empty());
        own.map_or_else(|| otherwise.to_owned(), Clone::clone)
    };
    let networks = match machine.networks.as_slice() {
        [] => vec![of_domain(|domain| &domain.network, &datacenter.network)],
        own => own.to_vec(),
    };
    let clone_mode = machine.clone_mode.map(|mode| match mode {
        CloneMode::FullClone => "fullClone",
        CloneMode::LinkedClone => "linkedClone",
    });
    let folder = machine.folder.as_deref().unwrap_or_default();
    let all = json!({
        "datacenter": datacenter.datacenter,
        "networks": networks,
        "datastore": of_domain(|domain| &domain.datastore, &machine.datastore),
        "folder": of_domain(|domain| &domain.folder, folder),
        "resourcePool": of_domain(|domain| &domain.resource_pool, &machine.resource_pool),
        "computeCluster": of_domain(|domain| &domain.compute_cluster, ""),
        "storagePolicyName": machine.storage_policy_name,
        "tags": machine.tags,
        "cloneMode": clone_mode,
    });
    let says_something = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        _ => true,
    };
    let Value::Object(mut fields) = all else {
        return Map::new();
    };
    fields.retain(|_, value| says_something(value));
    fields
}

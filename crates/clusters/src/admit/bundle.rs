//! The documents that a Cluster refers to, as they are in the API.

use std::collections::BTreeMap;
use std::fmt::Debug;

use cluster_spec::{ClusterBundle, OIDC, VSphereSite, VirtualSite, with_defaults};
use kube::{Resource, ResourceExt as _};
use resources::anywhere::{
    Cluster, TinkerbellDatacenterConfig, TinkerbellDatacenterConfigSpec, TinkerbellMachineConfig,
    TinkerbellTemplateConfig,
};

use crate::observe::{View, Views};

/// Where the documents of a cluster are looked for.
#[derive(Clone, Copy)]
struct Source<'a> {
    views: &'a Views,
    namespace: &'a str,
    cluster: &'a Cluster,
    known: Option<&'a ClusterBundle>,
}

/// The documents as they are in the API. Where one is missing of which machines are made already, the recorded one
/// counts. The error says what is missing.
pub(super) fn bundle(
    views: &Views,
    namespace: &str,
    cluster: &Cluster,
    known: Option<&ClusterBundle>,
) -> Result<ClusterBundle, String> {
    let source = Source {
        views,
        namespace,
        cluster,
        known,
    };
    let virtual_site = match cluster.spec.datacenter_ref.kind.as_str() {
        "DockerDatacenterConfig" => Some(source.docker()?),
        "VSphereDatacenterConfig" => Some(source.vsphere()?),
        _ => None,
    };
    let (datacenter, machine_configs, templates) = match virtual_site {
        None => source.metal()?,
        Some(_) => {
            let name = &cluster.spec.datacenter_ref.name;
            let none = TinkerbellDatacenterConfig::new(name, TinkerbellDatacenterConfigSpec::default());
            (none, BTreeMap::new(), BTreeMap::new())
        }
    };
    let mut oidc_configs = BTreeMap::new();
    let providers = cluster.spec.identity_provider_refs.iter();
    for reference in providers.filter(|reference| reference.kind == OIDC) {
        let recorded = known.and_then(|known| known.oidc_configs.get(&reference.name).cloned());
        let config = source.found((&views.oidc_configs, OIDC), &reference.name, recorded)?;
        oidc_configs.insert(reference.name.clone(), config);
    }
    Ok(with_defaults(ClusterBundle {
        cluster: cluster.clone(),
        datacenter,
        machine_configs,
        templates,
        oidc_configs,
        virtual_site,
    }))
}

/// Documents of bare metal.
type Metal = (
    TinkerbellDatacenterConfig,
    BTreeMap<String, TinkerbellMachineConfig>,
    BTreeMap<String, TinkerbellTemplateConfig>,
);

impl<'a> Source<'a> {
    /// A document of this name, else the recorded one.
    fn found<K>(&self, (view, kind): (&View<K>, &str), name: &str, recorded: Option<K>) -> Result<K, String>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    {
        let found = view.get_for(&self.cluster.name_any(), self.namespace, name);
        let found = found.map(|found| (*found).clone()).or(recorded);
        found.ok_or_else(|| format!("{kind} {name} is missing; apply it"))
    }

    /// Names of the machine configurations that the Cluster refers to, each once.
    fn machine_groups(&self) -> Vec<&'a str> {
        let spec = &self.cluster.spec;
        let control_plane = spec.control_plane_configuration.machine_group_ref.iter();
        let workers = spec.worker_node_group_configurations.iter();
        let workers = workers.filter_map(|group| group.machine_group_ref.as_ref());
        let mut names: Vec<&str> = control_plane
            .chain(workers)
            .map(|reference| reference.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn metal(&self) -> Result<Metal, String> {
        let (views, known) = (self.views, self.known);
        let name = &self.cluster.spec.datacenter_ref.name;
        let recorded = known.filter(|known| known.virtual_site.is_none());
        let recorded = recorded.map(|known| known.datacenter.clone());
        let recorded = recorded.filter(|datacenter| datacenter.name_any() == *name);
        let view = (&views.datacenters, "TinkerbellDatacenterConfig");
        let datacenter = self.found(view, name, recorded)?;
        let mut machine_configs = BTreeMap::new();
        let mut templates = BTreeMap::new();
        for name in self.machine_groups() {
            let recorded = known.and_then(|known| known.machine_configs.get(name).cloned());
            let view = (&views.machine_configs, "TinkerbellMachineConfig");
            let config = self.found(view, name, recorded)?;
            if let Some(template) = &config.spec.template_ref {
                let recorded = known.and_then(|known| known.templates.get(&template.name).cloned());
                let view = (&views.templates, "TinkerbellTemplateConfig");
                // The rules say of one that is missing where it is named.
                let found = self.found(view, &template.name, recorded).ok();
                templates.extend(found.map(|found| (template.name.clone(), found)));
            }
            machine_configs.insert(name.to_owned(), config);
        }
        Ok((datacenter, machine_configs, templates))
    }

    fn recorded_site(&self) -> Option<&'a VirtualSite> {
        let site = self.known?.virtual_site.as_ref()?;
        (site.name() == self.cluster.spec.datacenter_ref.name).then_some(site)
    }

    fn docker(&self) -> Result<VirtualSite, String> {
        let name = &self.cluster.spec.datacenter_ref.name;
        let recorded = match self.recorded_site() {
            Some(VirtualSite::Docker(recorded)) => Some((**recorded).clone()),
            _ => None,
        };
        let view = (&self.views.docker_datacenters, "DockerDatacenterConfig");
        let found = self.found(view, name, recorded)?;
        Ok(VirtualSite::Docker(Box::new(found)))
    }

    fn vsphere(&self) -> Result<VirtualSite, String> {
        let views = self.views;
        let name = &self.cluster.spec.datacenter_ref.name;
        let recorded = self.recorded_site().and_then(VirtualSite::vsphere);
        let view = (&views.vsphere_datacenters, "VSphereDatacenterConfig");
        let datacenter = self.found(view, name, recorded.map(|site| site.datacenter.clone()))?;
        let mut machine_configs = BTreeMap::new();
        for name in self.machine_groups() {
            let recorded = recorded.and_then(|site| site.machine_configs.get(name).cloned());
            let view = (&views.vsphere_machine_configs, "VSphereMachineConfig");
            machine_configs.insert(name.to_owned(), self.found(view, name, recorded)?);
        }
        Ok(VirtualSite::VSphere(Box::new(VSphereSite {
            datacenter,
            machine_configs,
        })))
    }
}

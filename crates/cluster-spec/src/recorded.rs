//! The documents of a cluster as they are recorded, and the cluster that is made of them again.

use kube::ResourceExt;
use resources::anywhere::{
    Cluster, OidcConfig, TinkerbellDatacenterConfig, TinkerbellMachineConfig, TinkerbellTemplateConfig,
};
use resources::gantry::ClusterDocuments;

use crate::bundle::ClusterBundle;
use crate::defaults::with_defaults;
use crate::update::is_made_from;
use crate::virtual_site::VirtualSite;

impl ClusterBundle {
    /// The bundle of a cluster whose documents were recorded, with the defaults of today.
    #[must_use]
    pub fn from_documents(name: &str, namespace: &str, documents: &ClusterDocuments) -> Self {
        let mut cluster = Cluster::new(name, documents.cluster.clone());
        cluster.metadata.annotations = Some(documents.annotations.clone());
        cluster.metadata.namespace = Some(namespace.to_owned());
        let site = &documents.cluster.datacenter_ref.name;
        let mut datacenter = TinkerbellDatacenterConfig::new(site, documents.datacenter.clone());
        datacenter.metadata.namespace = Some(namespace.to_owned());
        let configs = documents.machine_configs.iter();
        let templates = documents.templates.iter();
        let providers = documents.oidc_configs.iter();
        with_defaults(Self {
            cluster,
            datacenter,
            machine_configs: configs
                .map(|(name, spec)| (name.clone(), TinkerbellMachineConfig::new(name, spec.clone())))
                .collect(),
            templates: templates
                .map(|(name, spec)| (name.clone(), TinkerbellTemplateConfig::new(name, spec.clone())))
                .collect(),
            oidc_configs: providers
                .map(|(name, spec)| (name.clone(), OidcConfig::new(name, spec.clone())))
                .collect(),
            virtual_site: documents
                .virtual_site
                .as_ref()
                .map(|recorded| VirtualSite::from_recorded(site, recorded)),
        })
    }

    /// The specs, to be recorded.
    #[must_use]
    pub fn documents(&self) -> ClusterDocuments {
        let configs = self.machine_configs.iter();
        let templates = self.templates.iter();
        let providers = self.oidc_configs.iter();
        let annotations = self.cluster.annotations().iter();
        ClusterDocuments {
            annotations: annotations
                .filter(|(key, _)| is_made_from(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            cluster: self.cluster.spec.clone(),
            datacenter: self.datacenter.spec.clone(),
            machine_configs: configs
                .map(|(name, config)| (name.clone(), config.spec.clone()))
                .collect(),
            templates: templates
                .map(|(name, template)| (name.clone(), template.spec.clone()))
                .collect(),
            oidc_configs: providers
                .map(|(name, provider)| (name.clone(), provider.spec.clone()))
                .collect(),
            virtual_site: self.virtual_site.as_ref().map(VirtualSite::recorded),
        }
    }
}

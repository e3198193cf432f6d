//! The documents of a cluster on a provider of virtual machines.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use resources::anywhere::{DockerDatacenterConfig, VSphereDatacenterConfig, VSphereMachineConfig};
use resources::gantry::VirtualDocuments;

/// Name of the driver of a Docker daemon.
const DOCKER: &str = "docker";
/// Name of the driver of a vCenter.
const VSPHERE: &str = "vsphere";
/// Family of a Release's node images that are container images for a Docker daemon.
pub(crate) const DOCKER_FAMILY: &str = "docker";

/// Where and of what the virtual machines of a cluster are made.
#[derive(Debug, Clone, PartialEq)]
pub enum VirtualSite {
    /// Containers of a Docker daemon, which are all alike.
    Docker(Box<DockerDatacenterConfig>),
    /// Machines of a vCenter.
    VSphere(Box<VSphereSite>),
}

/// The documents of a cluster in a vCenter.
#[derive(Debug, Clone, PartialEq)]
pub struct VSphereSite {
    /// Where.
    pub datacenter: VSphereDatacenterConfig,
    /// Of what, by name.
    pub machine_configs: BTreeMap<String, VSphereMachineConfig>,
}

impl VirtualSite {
    /// Name of the driver.
    #[must_use]
    pub const fn provider(&self) -> &'static str {
        match self {
            Self::Docker(_) => DOCKER,
            Self::VSphere(_) => VSPHERE,
        }
    }

    /// Kind of the document that says where.
    #[must_use]
    pub const fn datacenter_kind(&self) -> &'static str {
        match self {
            Self::Docker(_) => "DockerDatacenterConfig",
            Self::VSphere(_) => "VSphereDatacenterConfig",
        }
    }

    /// Name of the document that says where, which is that of the driver's scope.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Docker(datacenter) => datacenter.name_any(),
            Self::VSphere(site) => site.datacenter.name_any(),
        }
    }

    /// The documents of a vCenter.
    #[must_use]
    pub fn vsphere(&self) -> Option<&VSphereSite> {
        match self {
            Self::VSphere(site) => Some(site),
            Self::Docker(_) => None,
        }
    }

    /// Kind, name and namespace of each document.
    pub(crate) fn documents(&self) -> Vec<(&'static str, String, Option<String>)> {
        let kind = self.datacenter_kind();
        match self {
            Self::Docker(datacenter) => vec![(kind, datacenter.name_any(), datacenter.namespace())],
            Self::VSphere(site) => {
                let datacenter = &site.datacenter;
                let configs = site.machine_configs.values();
                let configs =
                    configs.map(|config| ("VSphereMachineConfig", config.name_any(), config.namespace()));
                std::iter::once((kind, datacenter.name_any(), datacenter.namespace()))
                    .chain(configs)
                    .collect()
            }
        }
    }

    /// The specs, to be recorded.
    pub(crate) fn recorded(&self) -> VirtualDocuments {
        match self {
            Self::Docker(datacenter) => VirtualDocuments::Docker {
                datacenter: datacenter.spec.clone(),
            },
            Self::VSphere(site) => VirtualDocuments::Vsphere {
                datacenter: site.datacenter.spec.clone(),
                machine_configs: site
                    .machine_configs
                    .iter()
                    .map(|(name, config)| (name.clone(), config.spec.clone()))
                    .collect(),
            },
        }
    }

    /// Documents that were recorded, with the name of the one that says where.
    pub(crate) fn from_recorded(name: &str, documents: &VirtualDocuments) -> Self {
        match documents {
            VirtualDocuments::Docker { datacenter } => {
                Self::Docker(Box::new(DockerDatacenterConfig::new(name, datacenter.clone())))
            }
            VirtualDocuments::Vsphere {
                datacenter,
                machine_configs,
            } => Self::VSphere(Box::new(VSphereSite {
                datacenter: VSphereDatacenterConfig::new(name, datacenter.clone()),
                machine_configs: machine_configs
                    .iter()
                    .map(|(name, spec)| (name.clone(), VSphereMachineConfig::new(name, spec.clone())))
                    .collect(),
            })),
        }
    }
}

//! The Template and Workflow that install one machine. Pure: objects in, objects out.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use node_config::install::{self, InstallInputs};
use node_config::{HostNetwork, hostname};
use resources::anywhere::TinkerbellTemplateConfig;
use resources::gantry::{DataMount, ProviderMachine, Server};
use resources::tinkerbell::{
    BootMode, BootOptions, Hardware, Template, TemplateSpec, Workflow, WorkflowSpec,
};
use resources::{ImageManifest, keys};

use crate::boot_nic::{boot_mac, hardware_map};
use crate::error::Error;
use crate::own_workflow::{Additions, completed, rendered};

/// Label with the ProviderMachine's name on everything that is made for it.
pub(crate) const MACHINE_LABEL: &str = "gantry.dev/provider-machine";

/// What an installation is made of.
pub(crate) struct Installation<'a> {
    pub(crate) name: &'a str,
    pub(crate) machine: &'a ProviderMachine,
    pub(crate) server: &'a Server,
    pub(crate) hardware: &'a Hardware,
    pub(crate) image: &'a ImageManifest,
    pub(crate) own: Option<&'a TinkerbellTemplateConfig>,
    pub(crate) appliance: Ipv4Addr,
    pub(crate) http_port: u16,
    pub(crate) patience: u32,
    pub(crate) now: Timestamp,
}

impl Installation<'_> {
    /// Both objects, in the order in which they are to be written.
    pub(crate) fn objects(&self) -> Result<(Template, Workflow), Error> {
        objects(self.name, self.machine, self.server, self.hardware, self.text()?)
    }

    fn text(&self) -> Result<String, Error> {
        let texts = |source| Error::Texts {
            machine: self.machine.name_any(),
            source,
        };
        let network = HostNetwork::of(self.hardware).map_err(texts)?;
        let mounts = DataMount::of(self.hardware);
        let instance = format!(
            "{}-{}-{}",
            self.server.spec.machine_id,
            self.name,
            self.now.as_second()
        );
        let appliance = format!("http://{}:{}", self.appliance, self.http_port);
        let image_url = format!("{appliance}/images/{}", self.image.digest.hex());
        let machine = &self.machine.spec;
        if let Some(own) = self.own {
            let additions = Additions {
                hostname: &hostname(self.hardware),
                instance_id: &instance,
                network: &network,
                users: &machine.users,
                named_url: &machine.image_url,
                image_url: &image_url,
                image: self.image,
                patience: self.patience,
            };
            let failed = |reason| Error::Template {
                name: own.name_any(),
                reason,
            };
            let workflow = rendered(own, self.hardware, boot_mac(self.hardware)?).map_err(failed)?;
            return completed(workflow, &additions).map_err(failed);
        }
        let inputs = InstallInputs {
            workflow: self.name,
            machine: &hostname(self.hardware),
            instance_id: &instance,
            network: &network,
            image: self.image,
            image_url: &image_url,
            os_family: &machine.os_family,
            metadata_url: &appliance,
            users: &machine.users,
            mounts: &mounts,
            handover: self.server.spec.handover,
            patience: self.patience,
        };
        install::template(&inputs).map_err(texts)
    }
}

/// Template and Workflow of this name that boot the machine into the installer and carry out the text.
pub(crate) fn objects(
    name: &str,
    machine: &ProviderMachine,
    server: &Server,
    hardware: &Hardware,
    text: String,
) -> Result<(Template, Workflow), Error> {
    let mac = boot_mac(hardware)?;
    let template = Template {
        metadata: metadata(name, machine),
        spec: TemplateSpec { data: Some(text) },
        status: None,
    };
    let netboot = server.spec.bmc.is_some().then_some(BootMode::Netboot);
    let workflow = Workflow {
        metadata: metadata(name, machine),
        spec: WorkflowSpec {
            template_ref: Some(name.to_owned()),
            hardware_ref: Some(server.spec.hardware.clone()),
            hardware_map: hardware_map(hardware, mac),
            boot_options: Some(BootOptions {
                toggle_allow_netboot: true,
                boot_mode: netboot,
                ..BootOptions::default()
            }),
            ..WorkflowSpec::default()
        },
        status: None,
    };
    Ok((template, workflow))
}

fn metadata(name: &str, machine: &ProviderMachine) -> ObjectMeta {
    let labels = [
        (MACHINE_LABEL.to_owned(), machine.name_any()),
        (keys::CLUSTER_NAME.to_owned(), machine.spec.cluster_name.clone()),
    ];
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: machine.namespace(),
        labels: Some(labels.into()),
        ..ObjectMeta::default()
    }
}

/// Address of the node.
pub(crate) fn address(hardware: &Hardware) -> Option<&str> {
    hardware
        .spec
        .interfaces
        .iter()
        .find_map(|interface| interface.dhcp.as_ref()?.ip.as_ref()?.address.as_deref())
}

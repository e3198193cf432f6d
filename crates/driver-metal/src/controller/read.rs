//! Reading the snapshot of one ProviderMachine.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt as _};
use resources::anywhere::TinkerbellTemplateConfig;
use resources::bmc::{self, Job};
use resources::gantry::{Image, ProviderMachine, Server};
use resources::tinkerbell::{Hardware, Workflow};
use serde::de::DeserializeOwned;

use super::driver::MetalDriver;
use crate::error::Error;
use crate::installation::MACHINE_LABEL;
use crate::snapshot::{Snapshot, claims};

impl MetalDriver {
    /// The snapshot, or nothing when the object is gone.
    pub(super) async fn read(&self, namespace: &str, name: &str) -> Result<Option<Snapshot>, Error> {
        let live = self.get(namespace, "ProviderMachine", name).await?;
        let Some(machine): Option<ProviderMachine> = live else {
            return Ok(None);
        };
        let everything = ListParams::default();
        let mine = ListParams::default().labels(&format!("{MACHINE_LABEL}={name}"));
        let (servers, hardware) = match self.host(&machine).await? {
            Some(host) => host,
            None => (
                self.list::<Server>(namespace, "Server", &everything).await?,
                self.list::<Hardware>(namespace, "Hardware", &everything).await?,
            ),
        };
        let claimed = servers.iter().find(|server| claims(&machine, server));
        let bmc = match claimed.and_then(|server| server.spec.bmc.as_deref()) {
            Some(bmc) => self.get::<bmc::Machine>(namespace, "Machine", bmc).await?,
            None => None,
        };
        let template = match machine.spec.template_ref() {
            Some(reference) if claimed.is_none() => {
                self.get::<TinkerbellTemplateConfig>(namespace, "TinkerbellTemplateConfig", &reference.name)
                    .await?
            }
            _ => None,
        };
        let images = self.list::<Image>(namespace, "Image", &everything).await?;
        let image = images
            .into_iter()
            .find(|image| image.spec.url == machine.spec.image_url);
        Ok(Some(Snapshot {
            servers,
            hardware: by_name(hardware),
            bmc,
            template,
            image,
            workflows: by_name(self.list::<Workflow>(namespace, "Workflow", &mine).await?),
            jobs: by_name(self.list::<Job>(namespace, "Job", &mine).await?),
            patience: self.settings.patience,
            cooldown: self.settings.cooldown,
            wipe: self.settings.wipe,
            keep_failed: self.settings.keep_failed,
            machine,
        }))
    }

    /// The server that the status names, with its Hardware, if the machine still has it. Without one every server is
    /// looked at: that a machine has none is never believed of an older reading.
    async fn host(&self, machine: &ProviderMachine) -> Result<Option<(Vec<Server>, Vec<Hardware>)>, Error> {
        let Some(host) = machine.status.as_ref().and_then(|status| status.host.as_deref()) else {
            return Ok(None);
        };
        let namespace = machine.namespace().unwrap_or_default();
        let Some(server) = self.get::<Server>(&namespace, "Server", host).await? else {
            return Ok(None);
        };
        if !claims(machine, &server) {
            return Ok(None);
        }
        let hardware = self
            .get::<Hardware>(&namespace, "Hardware", &server.spec.hardware)
            .await?;
        Ok(Some((vec![server], hardware.into_iter().collect())))
    }

    async fn get<K>(&self, namespace: &str, kind: &'static str, name: &str) -> Result<Option<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        api.get_opt(name).await.map_err(Error::api("read", kind, name))
    }

    async fn list<K>(&self, namespace: &str, kind: &'static str, params: &ListParams) -> Result<Vec<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let list = api
            .list(params)
            .await
            .map_err(Error::api("list", kind, namespace))?;
        Ok(list.items)
    }
}

fn by_name<K: Resource>(objects: Vec<K>) -> BTreeMap<String, K> {
    objects
        .into_iter()
        .map(|object| (object.name_any(), object))
        .collect()
}

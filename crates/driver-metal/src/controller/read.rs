//! Reading the snapshot of one ProviderMachine.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt as _};
use resources::bmc::Job;
use resources::gantry::{Image, ProviderMachine, Server};
use resources::tinkerbell::{Hardware, Workflow};
use serde::de::DeserializeOwned;

use super::MetalDriver;
use crate::error::Error;
use crate::installation::MACHINE_LABEL;
use crate::snapshot::Snapshot;

impl MetalDriver {
    /// The snapshot, or nothing when the object is gone.
    pub(super) async fn read(&self, machine: &ProviderMachine) -> Result<Option<Snapshot>, Error> {
        let (name, namespace) = (machine.name_any(), machine.namespace().unwrap_or_default());
        let machines = Api::<ProviderMachine>::namespaced(self.client.clone(), &namespace);
        let live =
            machines
                .get_opt(&name)
                .await
                .map_err(Error::api("read", "ProviderMachine", name.as_str()))?;
        let Some(machine) = live else { return Ok(None) };
        let everything = ListParams::default();
        let mine = ListParams::default().labels(&format!("{MACHINE_LABEL}={name}"));
        let servers = self.list::<Server>(&namespace, "Server", &everything).await?;
        let images = self.list::<Image>(&namespace, "Image", &everything).await?;
        let image = images
            .into_iter()
            .find(|image| image.spec.url == machine.spec.image_url);
        Ok(Some(Snapshot {
            servers,
            hardware: by_name(self.list::<Hardware>(&namespace, "Hardware", &everything).await?),
            image,
            workflows: by_name(self.list::<Workflow>(&namespace, "Workflow", &mine).await?),
            jobs: by_name(self.list::<Job>(&namespace, "Job", &mine).await?),
            patience: self.settings.patience,
            machine,
        }))
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

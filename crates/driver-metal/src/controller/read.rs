//! Reading the snapshot of one ProviderMachine.

use std::collections::BTreeMap;
use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt as _};
use resources::anywhere::TinkerbellTemplateConfig;
use resources::bmc::{self, Job};
use resources::gantry::{AdoptedNode, Image, ProviderMachine, Server};
use resources::tinkerbell::{Hardware, Workflow};
use serde::de::DeserializeOwned;

use super::driver::Driver;
use crate::adoption::server_of;
use crate::error::Error;
use crate::installation::MACHINE_LABEL;
use crate::metal_state::MetalState;
use crate::selection::can_be_had;
use crate::snapshot::{Snapshot, claims};

/// The server that a machine has, or what there is for one that has none.
#[derive(Default)]
struct Choice {
    servers: Vec<Server>,
    hardware: Vec<Hardware>,
    not_free: Vec<String>,
}

impl Driver {
    /// The snapshot, or nothing when the object is gone.
    pub(super) async fn read(&self, namespace: &str, name: &str) -> Result<Option<Snapshot>, Error> {
        let live = self.get(namespace, "ProviderMachine", name).await?;
        let Some(machine): Option<ProviderMachine> = live else {
            self.hosts.end_search(namespace, name).await;
            return Ok(None);
        };
        let mine = ListParams::default().labels(&format!("{MACHINE_LABEL}={name}"));
        let choice = self.choice(&machine).await?;
        let claimed = choice.servers.iter().find(|server| claims(&machine, server));
        let adopted = choice.servers.first().filter(|_| machine.spec.adopts.is_some());
        let bmc = claimed.or(adopted).and_then(|server| server.spec.bmc.as_deref());
        self.wakes.note_bmc(&machine, bmc);
        let bmc = match bmc {
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
        let images = self
            .list::<Image>(namespace, "Image", &ListParams::default())
            .await?;
        let image = images
            .into_iter()
            .find(|image| image.spec.url == machine.spec.image_url);
        Ok(Some(Snapshot {
            servers: choice.servers,
            hardware: by_name(choice.hardware),
            not_free: choice.not_free,
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

    async fn choice(&self, machine: &ProviderMachine) -> Result<Choice, Error> {
        let (namespace, name) = (machine.namespace().unwrap_or_default(), machine.name_any());
        if let Some(server) = self.host(&namespace, machine).await? {
            self.hosts.end_search(&namespace, &name).await;
            let hardware = self
                .get::<Hardware>(&namespace, "Hardware", &server.spec.hardware)
                .await?;
            return Ok(Choice {
                servers: vec![server],
                hardware: hardware.into_iter().collect(),
                not_free: Vec::new(),
            });
        }
        let state = MetalState::of(machine.status.as_ref());
        let is_over = state == Some(MetalState::Failed) && !machine.is_wanted_anew();
        if is_over || machine.metadata.deletion_timestamp.is_some() {
            self.hosts.end_search(&namespace, &name).await;
            return Ok(Choice::default());
        }
        match &machine.spec.adopts {
            Some(node) => self.adopted(&namespace, node).await,
            None => self.search(&namespace, machine).await,
        }
    }

    /// The server on which a node runs by its own word.
    async fn adopted(&self, namespace: &str, node: &AdoptedNode) -> Result<Choice, Error> {
        let Some(name) = server_of(namespace, &node.provider_id) else {
            return Ok(Choice::default());
        };
        let server = self.get::<Server>(namespace, "Server", name).await?;
        let hardware = match &server {
            Some(server) => {
                self.get::<Hardware>(namespace, "Hardware", &server.spec.hardware)
                    .await?
            }
            None => None,
        };
        Ok(Choice {
            servers: server.into_iter().collect(),
            hardware: hardware.into_iter().collect(),
            not_free: Vec::new(),
        })
    }

    /// The server that the machine has. That it has none is never believed of an older reading.
    async fn host(&self, namespace: &str, machine: &ProviderMachine) -> Result<Option<Server>, Error> {
        if let Some(host) = machine.status.as_ref().and_then(|status| status.host.as_deref()) {
            let server = self.get::<Server>(namespace, "Server", host).await?;
            if let Some(server) = server.filter(|server| claims(machine, server)) {
                return Ok(Some(server));
            }
        }
        let its = ListParams::default().fields(&format!("spec.claim.name={}", machine.name_any()));
        let claimed = self.list::<Server>(namespace, "Server", &its).await?;
        Ok(claimed.into_iter().find(|server| claims(machine, server)))
    }

    /// The first server that can be had as it is now; where there is none, those that could be had as the index has them.
    async fn search(&self, namespace: &str, machine: &ProviderMachine) -> Result<Choice, Error> {
        let (name, selector) = (machine.name_any(), machine.spec.selector());
        let sought = self.hosts.seek((namespace, &name), selector, Timestamp::now());
        let sought = sought.await;
        let mut choice = Choice {
            not_free: sought.not_free,
            ..Choice::default()
        };
        for server in sought.servers {
            if !self.hosts.reserve((namespace, &name), &server) {
                continue;
            }
            let Some(server) = self.get::<Server>(namespace, "Server", &server).await? else {
                continue;
            };
            let hardware = self
                .get::<Hardware>(namespace, "Hardware", &server.spec.hardware)
                .await?;
            if can_be_had(selector, &server, hardware.as_ref()) {
                self.hosts.found(namespace, &name);
                (choice.servers, choice.hardware) = (vec![server], hardware.into_iter().collect());
                return Ok(choice);
            }
            choice.servers.push(server);
            choice.hardware.extend(hardware);
        }
        self.hosts.unreserve(namespace, &name);
        Ok(choice)
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

//! The files of a cluster: read, checked by the rules that need no machines, and applied.

use std::path::{Path, PathBuf};

use clap::Args;
use cluster_spec::{ClusterBundle, VirtualSite};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use resources::gantry::{ControlPlane, Release};
use resources::keys;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Outcome};
use crate::hardware::{self, Csv};
use crate::output;
use crate::progress::Screen;

/// Files of a cluster, and how long they are watched.
#[derive(Debug, Args)]
pub(crate) struct ClusterFiles {
    /// EKS Anywhere YAML: Cluster, and the datacenter and machine configurations of its provider.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Hardware to import first.
    #[arg(short = 'z', long, value_name = "FILE", env = "HARDWARE_CSV")]
    hardware_csv: Option<PathBuf>,
    /// Return once everything is applied.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Give up watching after so many minutes; the cluster goes on.
    #[arg(long, value_name = "MINUTES")]
    pub(crate) timeout: Option<u64>,
}

/// Everything that was checked before anything is applied.
pub(crate) struct Checked {
    pub(crate) bundle: ClusterBundle,
    /// The Releases that there are.
    pub(crate) releases: Vec<Release>,
    pub(crate) namespace: String,
    pub(crate) csv: Option<Csv>,
    /// The cluster's file.
    pub(crate) text: String,
}

impl ClusterFiles {
    /// A cluster's file that is only read.
    pub(crate) fn only(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            hardware_csv: None,
            no_wait: false,
            timeout: None,
        }
    }

    /// Reads the files and checks them by the rules that need no machines.
    pub(crate) async fn read(&self, client: &Client) -> Outcome<Checked> {
        let csv = self.hardware_csv.as_deref().map(hardware::read).transpose();
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| Failure::BadInput(format!("{}: {error}", self.file.display())))?;
        let releases: Api<Release> = Api::all(client.clone());
        let releases = releases.list(&ListParams::default()).await?.items;
        let bundle = cluster_spec::parse(&text, &self.file.display().to_string(), &releases);
        let (bundle, csv) = match (bundle, csv) {
            (Ok(bundle), Ok(csv)) => (bundle, csv),
            (Err(problems), Ok(_)) => return Err(Failure::BadInput(problems.to_string())),
            (Ok(_), Err(faults)) => return Err(faults),
            (Err(problems), Err(faults)) => return Err(Failure::BadInput(format!("{problems}\n\n{faults}"))),
        };
        for remark in cluster_spec::remarks(&bundle, &releases) {
            output::note(format!("remark: {remark}"));
        }
        for image in cluster_spec::pulled_images(&bundle, &releases) {
            output::note(format!("the machines pull {image}"));
        }
        let namespace = bundle.cluster.namespace();
        Ok(Checked {
            namespace: namespace.unwrap_or_else(|| keys::DEFAULT_NAMESPACE.to_owned()),
            bundle,
            releases,
            csv,
            text,
        })
    }
}

/// The documents that the cluster's machines are made from; `None` before there are machines.
pub(crate) async fn current(client: &Client, checked: &Checked) -> Outcome<Option<ClusterBundle>> {
    let (namespace, name) = (&checked.namespace, checked.bundle.name());
    let control_plane = get::<ControlPlane>(client, namespace, &name).await?;
    let documents = control_plane.and_then(|control_plane| control_plane.spec.documents);
    Ok(documents.map(|documents| ClusterBundle::from_documents(&name, namespace, &documents)))
}

pub(crate) async fn apply(client: &Client, checked: &Checked, screen: &mut Screen) -> Outcome {
    let namespace = &checked.namespace;
    if let Some(csv) = &checked.csv {
        let diff = hardware::compare(client, namespace, csv).await?;
        for line in hardware::apply(client, namespace, csv, &diff, false).await? {
            screen.say(&format!("hardware {line}"));
        }
    }
    for secret in cluster_spec::secrets(&checked.text) {
        let own = secret.namespace();
        put(client, own.as_deref().unwrap_or(namespace), &secret).await?;
    }
    let bundle = &checked.bundle;
    match &bundle.virtual_site {
        None => put(client, namespace, &bundle.datacenter).await?,
        Some(VirtualSite::Docker(datacenter)) => put(client, namespace, &**datacenter).await?,
        Some(VirtualSite::VSphere(site)) => {
            put(client, namespace, &site.datacenter).await?;
            for config in site.machine_configs.values() {
                put(client, namespace, config).await?;
            }
        }
    }
    for config in bundle.machine_configs.values() {
        put(client, namespace, config).await?;
    }
    for template in bundle.templates.values() {
        put(client, namespace, template).await?;
    }
    for provider in bundle.oidc_configs.values() {
        put(client, namespace, provider).await?;
    }
    // Last: whoever sees the Cluster finds what it refers to.
    put(client, namespace, &bundle.cluster).await
}

async fn put<K>(client: &Client, namespace: &str, object: &K) -> Outcome
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let mut wanted = serde_json::to_value(object)?;
    if let Some(fields) = wanted.as_object_mut() {
        // Status belongs to the coordinator.
        fields.remove("status");
    }
    wanted["metadata"]["namespace"] = namespace.into();
    let params = PatchParams::apply(keys::MANAGER_CLI).force();
    let name = object.name_any();
    api.patch(&name, &params, &Patch::Apply(&wanted))
        .await
        .map(drop)
        .map_err(|error| match error {
            // Fields of the file that the API refuses, by name.
            kube::Error::Api(status) if status.code == 422 => Failure::BadInput(status.message.clone()),
            error => {
                Failure::Failed(anyhow::Error::from(error).context(format!("apply {} {name}", K::kind(&()))))
            }
        })
}

pub(crate) async fn get<K>(client: &Client, namespace: &str, name: &str) -> Outcome<Option<K>>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    Ok(api.get_opt(name).await?)
}

//! Effects of steps. Each may be repeated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use node_config::Profile;
use resources::cluster_api::{Cluster as CapiCluster, Machine};
use resources::gantry::{ControlPlane, Founder, Plan, ProviderMachine, ReleaseSpec};

use super::access::Access;
use super::new_cluster::NewCluster;
use super::pin::Pin;
use super::snapshot::{Leftover, Options, Snapshot};
use super::states::Effect;
use super::token::Token;
use super::{bootstrap_secret, machines, mint, pki_secrets};
use crate::error::Error;

/// What effects work with.
pub(crate) struct Work<'a> {
    pub(crate) access: Access,
    pub(crate) options: &'a Options,
    pub(crate) profile: Profile,
    pub(crate) release: &'a ReleaseSpec,
    /// What machines are made from; `None` while the cluster is being deleted.
    pub(crate) pin: Option<&'a Pin>,
    pub(crate) cluster: String,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) secrets: &'a BTreeMap<String, KubeSecret>,
    pub(crate) api: Option<Arc<dyn NewCluster>>,
    pub(crate) now: Timestamp,
}

/// Carries an effect out. `Ok(Some(_))` says what it waits for: the new cluster did not take it, which is no error of
/// ours.
pub(crate) async fn carry_out(work: &Work<'_>, effect: &Effect) -> Result<Option<String>, Error> {
    match act(work, effect).await {
        Err(taken @ Error::Taken { .. }) => Ok(Some(taken.to_string())),
        other => other,
    }
}

async fn act(work: &Work<'_>, effect: &Effect) -> Result<Option<String>, Error> {
    let access = &work.access;
    match effect {
        Effect::MakePki => pki_secrets::make(access, &work.cluster, work.now)
            .await
            .map(|()| None),
        Effect::MakeImage(url) => machines::make_image(access, url).await.map(|()| None),
        Effect::MakeParents => make_parents(work).await,
        Effect::MakeMachine(name) => make_machine(work, name).await,
        Effect::Found(machine) => found(work, machine).await,
        Effect::Mint { machine, init } => mint::mint(work, machine, *init).await,
        Effect::DropBootstrap(machine) => drop_bootstrap(work, machine).await,
        Effect::DeleteNode(machine) => delete_node(work, machine).await,
        Effect::ApplyCni => apply_cni(work).await,
        Effect::LabelNode(machine) => label_node(work, machine).await,
        Effect::WriteKubeconfig => {
            let Some(desired) = &work.snapshot.desired else {
                return Ok(None);
            };
            let pki = pki_secrets::read(work.secrets, &work.cluster)?;
            pki_secrets::write_kubeconfig(access, &pki, &work.cluster, &desired.endpoint, work.now).await?;
            Ok(None)
        }
        Effect::RemoveMachine(name) => remove_machine(work, name).await,
        Effect::Remove(kind, name) => {
            match kind {
                Leftover::Secret => access.delete::<KubeSecret>(name).await,
                Leftover::ClusterApi => access.delete::<CapiCluster>(name).await,
                Leftover::ControlPlane => access.delete::<ControlPlane>(name).await,
                Leftover::Plan => access.delete::<Plan>(name).await,
            }?;
            Ok(None)
        }
    }
}

async fn make_parents(work: &Work<'_>) -> Result<Option<String>, Error> {
    let Some(desired) = &work.snapshot.desired else {
        return Ok(None);
    };
    if work.snapshot.control_plane.is_none() {
        machines::make_control_plane(&work.access, desired, None, None).await?;
    }
    machines::make_cluster(&work.access, desired).await.map(|()| None)
}

/// What it is made from is recorded before the first machine is there.
async fn make_machine(work: &Work<'_>, name: &str) -> Result<Option<String>, Error> {
    let desired = work.snapshot.desired.as_ref();
    let Some((desired, machine)) = desired.and_then(|desired| Some((desired, desired.machine(name)?))) else {
        return Ok(None);
    };
    let known = work.snapshot.control_plane.as_ref();
    if known.is_none_or(|known| known.spec.documents.is_none()) {
        machines::make_control_plane(&work.access, desired, known, work.pin).await?;
    }
    machines::make(&work.access, desired, machine)
        .await
        .map(|()| None)
}

/// Writes the founder, unless there is one.
async fn found(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let control_plane = work.snapshot.control_plane.as_ref();
    let Some((control_plane, requested_at)) = control_plane.zip(work.snapshot.requested_at(machine)) else {
        return Ok(None);
    };
    if control_plane.spec.initialized_by.is_some() {
        return Ok(None);
    }
    let founder = Founder {
        machine: machine.to_owned(),
        requested_at: Time(requested_at),
    };
    let path = ["spec", "initializedBy"];
    work.access
        .set(control_plane, &path, &founder)
        .await
        .map(|()| None)
}

/// The token first: while our Secret is there, somebody still has to.
async fn drop_bootstrap(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let token = work
        .snapshot
        .bootstrap
        .get(machine)
        .and_then(|seen| seen.token_id.clone());
    if let (Some(token), Some(api)) = (token, &work.api)
        && let Err(why) = api.delete_token(Token::secret_name(&token)).await
    {
        return Ok(Some(format!(
            "{machine}: cannot delete its bootstrap token: {why}"
        )));
    }
    work.access
        .delete::<KubeSecret>(&bootstrap_secret(machine))
        .await?;
    Ok(None)
}

async fn apply_cni(work: &Work<'_>) -> Result<Option<String>, Error> {
    let (Some(desired), Some(api)) = (&work.snapshot.desired, &work.api) else {
        return Ok(None);
    };
    let objects = node_config::flannel(&mint::settings(work, desired)?);
    Ok(api
        .apply(objects)
        .await
        .err()
        .map(|why| format!("cannot apply {}: {why}", desired.cni)))
}

async fn label_node(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let (Some(desired), Some(api), Some(node)) =
        (&work.snapshot.desired, &work.api, work.snapshot.node(machine))
    else {
        return Ok(None);
    };
    let Some(wanted) = desired.machine(machine) else {
        return Ok(None);
    };
    let labels: BTreeMap<String, String> = wanted
        .labels
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !labels.is_empty()
        && let Err(why) = api.label_node(node.name.clone(), labels).await
    {
        return Ok(Some(format!("{machine}: cannot label node {}: {why}", node.name)));
    }
    if let Some(provider_id) = &node.provider_id {
        machines::set_provider_id(&work.access, desired, wanted, provider_id).await?;
    }
    Ok(None)
}

async fn delete_node(work: &Work<'_>, name: &str) -> Result<Option<String>, Error> {
    if let (Some(api), Some(node)) = (&work.api, work.snapshot.node(name))
        && let Err(why) = api.delete_node(node.name.clone()).await
    {
        return Ok(Some(format!("{name}: cannot delete node {}: {why}", node.name)));
    }
    Ok(None)
}

async fn remove_machine(work: &Work<'_>, name: &str) -> Result<Option<String>, Error> {
    if let Some(waits) = delete_node(work, name).await? {
        return Ok(Some(waits));
    }
    if work.snapshot.provider_machines.contains_key(name) {
        return work.access.delete::<ProviderMachine>(name).await.map(|()| None);
    }
    work.access.delete::<Machine>(name).await.map(|()| None)
}

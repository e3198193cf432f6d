//! Effects of steps. Each may be repeated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use node_config::Profile;
use resources::cluster_api::{Cluster as CapiCluster, Machine};
use resources::gantry::{ControlPlane, Plan, ProviderMachine, ReleaseSpec};

use super::access::Access;
use super::new_cluster::NewCluster;
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
    pub(crate) cluster: String,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) secrets: &'a BTreeMap<String, KubeSecret>,
    pub(crate) api: Option<Arc<dyn NewCluster>>,
    pub(crate) now: Timestamp,
}

/// Carries an effect out. `Ok(Some(_))` says what it waits for: the new cluster did not take it, which is no error of
/// ours.
pub(crate) async fn carry_out(work: &Work<'_>, effect: &Effect) -> Result<Option<String>, Error> {
    let access = &work.access;
    match effect {
        Effect::MakePki => pki_secrets::make(access, &work.cluster, work.now)
            .await
            .map(|()| None),
        Effect::MakeImage(url) => machines::make_image(access, url).await.map(|()| None),
        Effect::MakeParents => match &work.snapshot.desired {
            Some(desired) => machines::make_parents(access, desired).await.map(|()| None),
            None => Ok(None),
        },
        Effect::MakeMachine(name) => {
            let desired = work.snapshot.desired.as_ref();
            match desired.and_then(|desired| Some((desired, desired.machine(name)?))) {
                Some((desired, machine)) => machines::make(access, desired, machine).await.map(|()| None),
                None => Ok(None),
            }
        }
        Effect::Mint { machine, init } => mint::mint(work, machine, *init).await,
        Effect::DropBootstrap(machine) => drop_bootstrap(work, machine).await,
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

async fn remove_machine(work: &Work<'_>, name: &str) -> Result<Option<String>, Error> {
    if let (Some(api), Some(node)) = (&work.api, work.snapshot.node(name))
        && let Err(why) = api.delete_node(node.name.clone()).await
    {
        return Ok(Some(format!("{name}: cannot delete node {}: {why}", node.name)));
    }
    if work.snapshot.provider_machines.contains_key(name) {
        return work.access.delete::<ProviderMachine>(name).await.map(|()| None);
    }
    work.access.delete::<Machine>(name).await.map(|()| None)
}

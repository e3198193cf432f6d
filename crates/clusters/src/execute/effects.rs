//! Effects of steps. Each may be repeated.

use etcd::{Health, MemberId, Membership};
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use resources::cluster_api::{Cluster as CapiCluster, Machine, MachineDeployment, MachineSet};
use resources::gantry::{ControlPlane, Founder, Plan, PlanApproval, ProviderCluster, ProviderMachine};
use resources::keys;

use super::bootstrap;
use super::decision::Effect;
use super::gates;
use super::in_cluster;
use super::labels_and_taints;
use super::machines::{self, NewMachine};
use super::renewals;
use super::saving;
use super::snapshots;
use super::token::Token;
use super::work::Work;
use super::worker_groups::below_set;
use crate::error::Error;
use crate::observe::{ApiSeen, Drained, Leftover, is_subject};
use crate::plan::{can_remove, machine_uid};
use crate::secrets::{self, bootstrap_secret};

/// What became of an effect.
pub(crate) enum Outcome {
    /// It is done, and what follows is observed.
    Acted,
    /// It could not be done yet; what it waits for.
    Waits(String),
    /// It is done, and so is the step: nothing can be observed of it.
    Finished,
}

impl From<Option<String>> for Outcome {
    fn from(waits: Option<String>) -> Self {
        waits.map_or(Self::Acted, Self::Waits)
    }
}

/// Carries an effect out. What the cluster does not take is a wait, not an error of ours.
pub(crate) async fn carry_out(work: &Work<'_>, effect: &Effect) -> Result<Outcome, Error> {
    match act(work, effect).await {
        Err(taken @ Error::Taken { .. }) => Ok(Outcome::Waits(taken.to_string())),
        other => other,
    }
}

async fn act(work: &Work<'_>, effect: &Effect) -> Result<Outcome, Error> {
    let access = work.access;
    let waits = match effect {
        Effect::MakePki => {
            let snapshot = work.snapshot;
            secrets::make(access, &snapshot.cluster, &snapshot.secrets, work.now).await?;
            None
        }
        Effect::MakeImage(url) => {
            machines::make_image(access, url).await?;
            None
        }
        Effect::MakeParents => {
            if let Some(wanted) = &work.snapshot.wanted {
                machines::make_cluster(access, wanted).await?;
            }
            None
        }
        Effect::MakeMachine {
            name,
            pool,
            replacement,
        } => {
            make_machine(work, name, pool, *replacement).await?;
            None
        }
        Effect::InstallAnew {
            machine,
            installation,
        } => install_anew(work, machine, *installation).await?,
        Effect::Found(machine) => {
            found(work, machine).await?;
            None
        }
        Effect::Deliver { machine, init } => bootstrap::deliver(work, machine, *init).await?,
        Effect::DropBootstrap(machine) => drop_bootstrap(work, machine).await?,
        Effect::DeleteNode(machine) => delete_node(work, machine).await?,
        Effect::DeleteStaleNode(node) => delete_stale_node(work, node).await?,
        Effect::ApplyCni => in_cluster::apply_cni(work).await?,
        Effect::UpdateClusterConfig => in_cluster::update_config(work).await?,
        Effect::UpdateAddons => in_cluster::update_addons(work).await?,
        Effect::AdoptNode(machine) => adopt_node(work, machine).await?,
        Effect::WriteKubeconfig => {
            write_kubeconfig(work).await?;
            None
        }
        Effect::MarkMachine(name) => {
            access.delete::<Machine>(name).await?;
            None
        }
        Effect::Drain(machine) => return drain(work, machine).await,
        Effect::Data(effect) => saving::act(work, effect).await?,
        Effect::Renewal(effect) => renewals::act(work, effect).await?,
        Effect::Gates(effect) => return gates::act(work, effect).await.map(Outcome::from),
        Effect::RemoveMember(subject) => remove_member(work, subject).await?,
        Effect::RemoveMachine(name) => remove_machine(work, name).await?,
        Effect::ReleaseMachine(name) => {
            release_machine(work, name).await?;
            None
        }
        Effect::Remove(kind, name) => {
            remove(work, *kind, name).await?;
            None
        }
    };
    Ok(waits.into())
}

async fn remove(work: &Work<'_>, kind: Leftover, name: &str) -> Result<(), Error> {
    let access = work.access;
    match kind {
        Leftover::Secret => access.delete::<KubeSecret>(name).await,
        Leftover::MachineSet => access.delete::<MachineSet>(name).await,
        Leftover::MachineDeployment => access.delete::<MachineDeployment>(name).await,
        Leftover::ClusterApi => access.delete::<CapiCluster>(name).await,
        Leftover::Provider => access.delete::<ProviderCluster>(name).await,
        Leftover::ControlPlane => {
            snapshots::forget_all(work).await?;
            access.delete::<ControlPlane>(name).await
        }
        Leftover::Plan => access.delete::<Plan>(name).await,
        Leftover::Approval => access.delete::<PlanApproval>(name).await,
    }
}

/// What it is made from is recorded before the first machine is there.
async fn make_machine(work: &Work<'_>, name: &str, pool: &str, replacement: u32) -> Result<(), Error> {
    let snapshot = work.snapshot;
    let (Some(wanted), Some(cluster_uid)) = (&snapshot.wanted, snapshot.cluster_uid()) else {
        return Ok(());
    };
    let Some(pool) = wanted.pool(pool) else {
        return Ok(());
    };
    let known = snapshot.control_plane.as_deref();
    if known.is_none_or(|known| known.spec.documents.is_none()) {
        let node_keys = labels_and_taints::node_keys(snapshot, wanted);
        machines::make_control_plane(work.access, wanted, known, work.pin, node_keys).await?;
    }
    // A making that was interrupted goes on with the id that it began with.
    let begun = snapshot.machines.get(name);
    let begun = begun.and_then(|machine| {
        machine
            .metadata
            .annotations
            .as_ref()?
            .get(keys::MACHINE_UID)
            .cloned()
    });
    let uid = begun.unwrap_or_else(|| machine_uid(cluster_uid, work.plan.spec.number, name));
    let new = NewMachine {
        name,
        uid: &uid,
        cluster_uid,
        replacement,
        pool,
        gated: snapshot.gates_new_machines(),
    };
    machines::make(work.access, wanted, below_set(snapshot, pool), new).await
}

/// A machine that has become a node is not installed anew. The cluster is asked once more before: what was seen of its nodes
/// may be a moment old.
async fn install_anew(work: &Work<'_>, machine: &str, installation: u64) -> Result<Option<String>, Error> {
    let snapshot = work.snapshot;
    let Some(provider) = snapshot.provider_machines.get(machine) else {
        return Ok(None);
    };
    let connection = work
        .connection
        .filter(|_| matches!(snapshot.api, ApiSeen::Answers { .. }));
    if let (Some(connection), Some(name)) = (connection, snapshot.address(machine, "Hostname")) {
        match connection.api.node(name.to_owned()).await {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(Some(format!("{machine}: node {name} is in the cluster by now"))),
            Err(why) => {
                return Ok(Some(format!(
                    "{machine}: cannot ask the cluster for node {name} before it is installed anew: {why}"
                )));
            }
        }
    }
    let path = ["spec", "installation"];
    work.access.set(&**provider, &path, &installation).await?;
    Ok(None)
}

/// Writes the founder. One whose cluster has answered is written over only with the data of that cluster.
async fn found(work: &Work<'_>, machine: &str) -> Result<(), Error> {
    let snapshot = work.snapshot;
    let Some((control_plane, requested_at)) = snapshot
        .control_plane
        .as_ref()
        .zip(snapshot.requested_at(machine))
    else {
        return Ok(());
    };
    let known = control_plane.spec.initialized_by.as_ref();
    let restored_from = snapshot.saved_snapshot().map(|saved| saved.sha256);
    let restores = |known: &Founder| restored_from.is_some() && !snapshot.has_saved_data(known);
    if known.is_some_and(|known| known.answered_at.is_some() && !restores(known)) {
        return Ok(());
    }
    let provider = snapshot.provider_machines.get(machine);
    let founder = Founder {
        machine: machine.to_owned(),
        machine_uid: provider
            .map(|provider| provider.spec.machine_uid.clone())
            .unwrap_or_default(),
        requested_at: Time(requested_at),
        answered_at: None,
        restored_from,
    };
    let path = ["spec", "initializedBy"];
    work.access.set(&**control_plane, &path, &founder).await
}

/// The token first: while our Secret is there, its id is known.
async fn drop_bootstrap(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let seen = work.snapshot.bootstrap.get(machine);
    let token = seen.and_then(|seen| seen.token_id.clone());
    if let (Some(token), Some(connection)) = (token, work.connection)
        && matches!(work.snapshot.api, ApiSeen::Answers { .. })
        && let Err(why) = connection.api.delete_token(Token::secret_name(&token)).await
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

async fn adopt_node(work: &Work<'_>, machine: &str) -> Result<Option<String>, Error> {
    let snapshot = work.snapshot;
    let (Some(connection), Some(node)) = (work.connection, snapshot.node(machine)) else {
        return Ok(None);
    };
    if let Some(id) = snapshot
        .provider_status(machine)
        .and_then(|status| status.provider_id.clone())
        && node.provider_id.is_none()
        && snapshot.is_pushed(machine)
        && let Err(why) = connection.api.set_provider_id(node.name.clone(), id).await
    {
        return Ok(Some(format!(
            "{machine}: cannot note its identity in node {}: {why}",
            node.name
        )));
    }
    if let Some(wanted) = labels_and_taints::wanted_of(snapshot, machine)
        && !labels_and_taints::has(node, &wanted)
        && let Some(why) = labels_and_taints::write(connection, machine, node, &wanted).await
    {
        return Ok(Some(why));
    }
    if let (Some(provider_id), Some(object)) = (&node.provider_id, snapshot.machines.get(machine)) {
        work.access
            .set(&**object, &["spec", "providerID"], provider_id)
            .await?;
    }
    Ok(None)
}

async fn write_kubeconfig(work: &Work<'_>) -> Result<(), Error> {
    let Some(wanted) = &work.snapshot.wanted else {
        return Ok(());
    };
    secrets::write_kubeconfig(work.access, &wanted.name, &wanted.endpoint, work.now).await
}

async fn drain(work: &Work<'_>, machine: &str) -> Result<Outcome, Error> {
    let (Some(connection), Some(node)) = (work.connection, work.snapshot.node(machine)) else {
        return Ok(Outcome::Finished);
    };
    Ok(match connection.api.drain(node.name.clone()).await {
        Ok(Drained::Yes) => Outcome::Finished,
        Ok(Drained::NotYet(reason)) => Outcome::Waits(format!("{machine}: {reason}")),
        Err(why) => Outcome::Waits(format!(
            "{machine}: cannot move the pods of node {}: {why}",
            node.name
        )),
    })
}

/// Takes a member out of etcd. It is asked once more before: what was seen at the beginning of this run may be over.
async fn remove_member(work: &Work<'_>, subject: &str) -> Result<Option<String>, Error> {
    let Some(connection) = work.connection else {
        return Ok(Some(format!("{subject}: waits for etcd")));
    };
    let view = match connection.etcd.observe().await {
        Ok(view) if matches!(view.membership, Membership::Confirmed) => view,
        Ok(view) => return Ok(Some(format!("{subject}: etcd has no quorum: {}", view.faults()))),
        Err(error) => return Ok(Some(format!("{subject}: {}", causes::line(&error)))),
    };
    let Some(member) = view
        .members
        .iter()
        .find(|member| is_subject(work.snapshot, member, subject))
    else {
        return Ok(None);
    };
    let is_healthy = |id: MemberId| {
        view.member(id)
            .is_some_and(|member| member.health == Health::Healthy)
    };
    if !member.learner {
        let voters = view.voters().count();
        let healthy = view.voters().filter(|voter| is_healthy(voter.id)).count();
        if !can_remove(voters, healthy, is_healthy(member.id)) {
            return Ok(Some(format!(
                "{subject}: {healthy} of {voters} members of etcd answer, so none can be taken out: {}",
                view.faults()
            )));
        }
    }
    if view.leader == Some(member.id) {
        let next = view
            .voters()
            .find(|voter| voter.id != member.id && is_healthy(voter.id));
        if let Some(next) = next
            && let Err(error) = connection.etcd.move_leader(next.id).await
        {
            return Ok(Some(format!(
                "{subject}: cannot hand etcd's leadership over: {}",
                causes::line(&error)
            )));
        }
    }
    tracing::info!(cluster = work.snapshot.cluster, member = %member.id, subject, "taking a member out of etcd");
    let removed = connection.etcd.remove_member(member.id).await;
    Ok(removed
        .err()
        .map(|error| format!("{subject}: {}", causes::line(&error))))
}

async fn delete_node(work: &Work<'_>, name: &str) -> Result<Option<String>, Error> {
    if let (Some(connection), Some(node)) = (work.connection, work.snapshot.own_node(name))
        && let Err(why) = connection.api.delete_node(node.name.clone()).await
    {
        return Ok(Some(format!("{name}: cannot delete node {}: {why}", node.name)));
    }
    Ok(None)
}

async fn delete_stale_node(work: &Work<'_>, node: &str) -> Result<Option<String>, Error> {
    let Some(connection) = work.connection else {
        return Ok(None);
    };
    let deleted = connection.api.delete_node(node.to_owned()).await;
    Ok(deleted
        .err()
        .map(|why| format!("cannot delete node {node}, which is on no machine: {why}")))
}

async fn remove_machine(work: &Work<'_>, name: &str) -> Result<Option<String>, Error> {
    if let Some(waits) = delete_node(work, name).await? {
        return Ok(Some(waits));
    }
    work.access.delete::<ProviderMachine>(name).await?;
    Ok(None)
}

async fn release_machine(work: &Work<'_>, name: &str) -> Result<(), Error> {
    let Some(machine) = work.snapshot.machines.get(name) else {
        return Ok(());
    };
    work.access.hold(&**machine, keys::MACHINE_FINALIZER, false).await
}

//! One machine to one node. Image ready -> machine made -> installed system asks -> bootstrap data minted -> node in the
//! API -> for joins: node Ready. The first member of the control plane is done when its node is in the API, because it can
//! turn Ready only with the CNI. A node that an earlier installation left behind is deleted before the data is minted.
//! `kubeadm init` is given to one installation, whose name is written down before. As soon as it has its machine, those of the later steps are made too and installed
//! side by side with it; once its API answers all workers join side by side.

use jiff::Timestamp;
use resources::gantry::{Image, ImageState, MachineRole, ProviderMachineState};

use super::{Decision, Effect, wait};
use crate::execute::new_cluster::NodeView;
use crate::execute::snapshot::{ApiSeen, Snapshot};
use crate::plan::DesiredMachine;

/// First member, or one more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Init,
    Join,
}

pub(super) fn decide(machine: &str, snapshot: &Snapshot, now: Timestamp, how: How) -> Decision {
    let Some(desired) = &snapshot.desired else {
        return wait("waits for the cluster's documents");
    };
    let Some(wanted) = desired.machine(machine) else {
        return Decision::Failed(format!("{machine} is not wanted any more"));
    };
    let Some(provider) = snapshot.provider_machines.get(machine) else {
        return begin(wanted, &desired.version, snapshot);
    };
    if provider.metadata.deletion_timestamp.is_some() {
        return wait(format!("waits for the earlier {machine} to be given back"));
    }
    if !snapshot.machines.contains_key(machine) {
        return Decision::Do(Effect::MakeMachine(machine.to_owned()));
    }
    let status = provider.status.clone().unwrap_or_default();
    let reason = status.reason.unwrap_or_else(|| "waits for its driver".to_owned());
    if status.state == ProviderMachineState::Failed {
        return Decision::Failed(format!("{machine}: {reason}"));
    }
    if status.bootstrap_requested_at.is_none() {
        return Decision::Wait {
            reason: format!("{machine}: {reason}"),
            percent: status.percent,
        };
    }
    if let Some(node) = snapshot.node(machine) {
        if node.provider_id.is_some() && node.provider_id != status.provider_id {
            return Decision::Failed(format!(
                "node {} has providerID {}, wanted {}: an old node of that name is still in the cluster",
                node.name,
                node.provider_id.as_deref().unwrap_or("none"),
                status.provider_id.as_deref().unwrap_or("none"),
            ));
        }
        if is_left_behind(machine, node, snapshot) {
            return Decision::Do(Effect::DeleteNode(machine.to_owned()));
        }
        if node.provider_id.is_none() {
            return wait(format!("{machine}: node {} has no providerID yet", node.name));
        }
        return node_seen(machine, snapshot, how);
    }
    match snapshot.bootstrap.get(machine) {
        None => return mint(machine, how, snapshot),
        // Made for an earlier installation.
        Some(seen) if seen.requested_at != snapshot.requested_at(machine) => {
            return mint(machine, how, snapshot);
        }
        // A token that ended before the node was there is replaced; a node that runs kubeadm already has no harm of it.
        Some(seen) if seen.filled && seen.expires.is_some_and(|end| end < now) => {
            return mint(machine, how, snapshot);
        }
        Some(seen) if !seen.filled && !snapshot.first_boot_done(machine) => {
            return mint(machine, how, snapshot);
        }
        Some(_) => {}
    }
    match (&snapshot.api, how) {
        (ApiSeen::Silent(why), How::Init) => wait(format!(
            "{machine}: kubeadm init runs; {}:6443 does not answer yet ({why})",
            desired.endpoint
        )),
        (ApiSeen::Silent(why), How::Join) => wait(format!(
            "{machine}: kubeadm join runs; {}:6443 does not answer ({why})",
            desired.endpoint
        )),
        (_, How::Init) => wait(format!("{machine}: the API answers; its node is not there yet")),
        (_, How::Join) => wait(format!("{machine}: kubeadm join runs; its node is not there yet")),
    }
}

/// Whether a node is of an earlier installation of the machine: it is older than the request of this one, which was given
/// nothing to join with. Once it was, the node is its own, whatever the clocks say, because one that was left behind is
/// deleted before that.
fn is_left_behind(machine: &str, node: &NodeView, snapshot: &Snapshot) -> bool {
    let requested_at = snapshot.requested_at(machine);
    let bootstrap = snapshot.bootstrap.get(machine);
    let answered = bootstrap.is_some_and(|seen| seen.requested_at == requested_at);
    let younger = node.created.is_some_and(|created| Some(created) >= requested_at);
    !(answered || younger || snapshot.first_boot_done(machine))
}

/// The first thing to do for a machine that is not there.
fn begin(wanted: &DesiredMachine, version: &str, snapshot: &Snapshot) -> Decision {
    // What was made for an earlier installation is not there for the next one to find, least of all a `kubeadm init`.
    if snapshot.bootstrap.contains_key(&wanted.name) {
        return Decision::Do(Effect::DropBootstrap(wanted.name.clone()));
    }
    match snapshot.images.get(&wanted.image_url) {
        None => Decision::Do(Effect::MakeImage(wanted.image_url.clone())),
        Some(image) => image_ready(image, version)
            .unwrap_or_else(|| Decision::Do(Effect::MakeMachine(wanted.name.clone()))),
    }
}

/// While the first member is installed and starts its control plane the other machines can be installed: they ask for
/// what they need to join, and wait for that. The first member chooses its server before the others do. What hinders
/// one of them is told in its step.
pub(super) fn early(first: &str, snapshot: &Snapshot) -> Option<Effect> {
    let desired = snapshot.desired.as_ref()?;
    let provider = snapshot.provider_machines.get(first)?;
    let leaves = provider.metadata.deletion_timestamp.is_some();
    let chosen = provider
        .status
        .as_ref()
        .is_some_and(|status| status.host.is_some());
    if leaves || !chosen {
        return None;
    }
    let absent = |machine: &&DesiredMachine| !snapshot.provider_machines.contains_key(&machine.name);
    let mut machines = desired.machines.iter().filter(absent);
    machines.find_map(|machine| begin(machine, &desired.version, snapshot).effect())
}

/// What can be done for any worker while the step at hand waits. Members of the control plane keep to their own steps:
/// etcd takes them one at a time.
pub(super) fn ahead(snapshot: &Snapshot, now: Timestamp) -> Option<Effect> {
    let machines = snapshot.desired.iter().flat_map(|desired| &desired.machines);
    let mut workers = machines.filter(|machine| machine.role == MachineRole::Worker);
    workers.find_map(|worker| decide(&worker.name, snapshot, now, How::Join).effect())
}

/// A join token is made in the new cluster, so its API must answer. `kubeadm init` is given to the founder alone.
fn mint(machine: &str, how: How, snapshot: &Snapshot) -> Decision {
    if how == How::Init {
        if snapshot.control_plane.is_none() {
            return Decision::Do(Effect::MakeParents);
        }
        let Some(founder) = snapshot.founder() else {
            return Decision::Do(Effect::Found(machine.to_owned()));
        };
        if founder.machine != machine || Some(founder.requested_at.0) != snapshot.requested_at(machine) {
            return Decision::Failed(format!(
                "{machine}: the cluster was started by the installation of {} that asked at {}, and kubeadm init is not \
                 given a second time: it would start a second etcd; delete the cluster and create it anew",
                founder.machine, founder.requested_at.0
            ));
        }
    }
    if let (How::Join, ApiSeen::Silent(why)) = (how, &snapshot.api) {
        return wait(format!(
            "{machine}: asks to join; the cluster's API does not answer ({why})"
        ));
    }
    Decision::Do(Effect::Mint {
        machine: machine.to_owned(),
        init: how == How::Init,
    })
}

fn node_seen(machine: &str, snapshot: &Snapshot, how: How) -> Decision {
    let Some(node) = snapshot.node(machine) else {
        return wait(format!("{machine}: waits for its node"));
    };
    let Some(wanted) = snapshot
        .desired
        .as_ref()
        .and_then(|desired| desired.machine(machine))
    else {
        return Decision::Done;
    };
    let known = snapshot
        .machines
        .get(machine)
        .and_then(|machine| machine.spec.provider_id.clone());
    let labelled = wanted
        .labels
        .iter()
        .all(|(key, value)| node.labels.get(key) == Some(value));
    if known != node.provider_id || !labelled {
        return Decision::Do(Effect::LabelNode(machine.to_owned()));
    }
    if how == How::Join && !node.ready {
        let why = node.reason.as_deref().unwrap_or("no reason given");
        return wait(format!("{machine}: node {} is not Ready yet: {why}", node.name));
    }
    if node.ready && snapshot.bootstrap.contains_key(machine) && snapshot.first_boot_done(machine) {
        return Decision::Do(Effect::DropBootstrap(machine.to_owned()));
    }
    Decision::Done
}

/// The image's reason with its address, by which most reasons begin already.
fn image_told(url: &str, reason: Option<&str>) -> String {
    match reason {
        None => format!("image {url} is being fetched"),
        Some(reason) if reason.starts_with(url) => format!("image {reason}"),
        Some(reason) => format!("image {url}: {reason}"),
    }
}

/// `None` when the image can be installed.
fn image_ready(image: &Image, version: &str) -> Option<Decision> {
    let status = image.status.clone().unwrap_or_default();
    let url = &image.spec.url;
    match (status.state, status.manifest) {
        (ImageState::Failed, _) => Some(Decision::Failed(image_told(url, status.reason.as_deref()))),
        (ImageState::Ready, Some(manifest)) => match manifest.kubernetes_version {
            Some(inside) if inside != version => Some(Decision::Failed(format!(
                "image {url} holds Kubernetes {inside}, the Release wants {version}; build the image again or name another"
            ))),
            _ => None,
        },
        (_, _) => Some(Decision::Wait {
            reason: image_told(url, status.reason.as_deref()),
            percent: status.percent,
        }),
    }
}

//! One installed machine to one node: it asks -> bootstrap data delivered -> node in the API -> labelled -> for joins: node
//! Ready, and for members of the control plane: a voting member of etcd. The first member is done when its node is in the
//! API, because it can turn Ready only with the CNI. A node that an earlier installation left behind is deleted before the
//! data is delivered. `kubeadm init` is given to one machine, which is written down before. What follows from a first boot that
//! has failed is decided by [`first_boot`].

use etcd::{EtcdView, Health};
use jiff::SignedDuration;
use node_config::LOAD_BALANCER_STAGE;
use resources::gantry::ProviderMachinePhase;
use steps::{Step, later};

use super::first_boot;
use super::provision::asks;
use crate::execute::bootstrap::is_over;
use crate::execute::decision::{Decision, Effect, View, done, fail};
use crate::execute::labels_and_taints;
use crate::observe::{ApiSeen, BootstrapSeen, EtcdSeen, NodeView, brings_cni, is_subject, older_unserved};

/// How long before its end the token of a machine is made to last longer that was made with it.
const PROLONGED_BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// First member, another one, or a worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Init,
    ControlPlane,
    Worker,
}

pub(super) fn decide(view: View<'_>, how: How) -> Decision {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    if let Some(decision) = asks(view) {
        return decision;
    }
    let provider_id = snapshot
        .provider_status(machine)
        .and_then(|status| status.provider_id.clone());
    if let Some(node) = snapshot.node(machine) {
        if node.provider_id.is_some() && node.provider_id != provider_id {
            return fail(format!(
                "node {} has providerID {}, wanted {}: an old node of that name is still in the cluster",
                node.name,
                node.provider_id.as_deref().unwrap_or("none"),
                provider_id.as_deref().unwrap_or("none"),
            ));
        }
        if is_left_behind(view, node) {
            return Step::Do(Effect::DeleteNode(machine.to_owned()));
        }
        if node.provider_id.is_none() {
            // Nobody could tell it to a machine that was made with its data.
            return match provider_id.filter(|_| snapshot.is_pushed(machine)) {
                Some(_) => Step::Do(Effect::AdoptNode(machine.to_owned())),
                None => view.wait(format!("{machine}: node {} has no providerID yet", node.name)),
            };
        }
        return node_seen(view, node, how);
    }
    if let Some(decision) = first_boot::failed(view) {
        return decision;
    }
    let seen = snapshot.bootstrap.get(machine);
    if is_stale(view, seen) {
        return deliver(view, how);
    }
    if let Some(decision) = being_made(view) {
        return decision;
    }
    let works = works_on(view, how);
    if how == How::Init
        && let ApiSeen::Silent(why) = &snapshot.api
        && let Some(text) = load_balancer(view)
    {
        return view.wait(format!("{text} ({why})"));
    }
    match (&snapshot.api, how) {
        (ApiSeen::Silent(why), How::Init) => view.wait(format!(
            "{machine}: {works}; the cluster's API does not answer yet ({why})"
        )),
        (ApiSeen::Silent(why), _) => view.wait(format!(
            "{machine}: {works}; the cluster's API does not answer ({why})"
        )),
        (_, How::Init) => view.wait(format!("{machine}: the API answers; its node is not there yet")),
        (_, _) => view.wait(format!("{machine}: {works}; its node is not there yet")),
    }
}

/// What a person has to see to while `kubeadm init` waits for the load balancer that the user brings.
fn load_balancer(view: View<'_>) -> Option<String> {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let stage = snapshot.provider_status(machine)?.bootstrap_stage.as_ref()?;
    let endpoint = &snapshot.wanted.as_ref()?.endpoint;
    let address = snapshot.address(machine, "InternalIP")?;
    (stage.name == LOAD_BALANCER_STAGE).then(|| {
        format!(
            "{machine}: the load balancer at {endpoint}:6443 does not lead to it yet; let it lead to {address}:6443, where the \
             API server answers"
        )
    })
}

/// The wait for a driver that makes the machine with its data.
fn being_made(view: View<'_>) -> Option<Decision> {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let status = snapshot.provider_status(machine)?;
    if !snapshot.is_pushed(machine) || status.phase == ProviderMachinePhase::Running {
        return None;
    }
    let reason = status.reason.as_deref().unwrap_or("waits for its driver");
    let wait = view.wait(format!("{machine}: {reason}"));
    Some(wait.with_percent(status.percent))
}

/// What the first boot of the machine works on: what it said last, else what it was given data for.
fn works_on(view: View<'_>, how: How) -> String {
    let status = view.snapshot.provider_status(view.machine());
    let kubeadm = match how {
        How::Init => "kubeadm-init",
        How::ControlPlane | How::Worker => "kubeadm-join",
    };
    match status.and_then(|status| status.bootstrap_stage.as_ref()) {
        Some(stage) if stage.name != kubeadm => format!("its first boot is at {}", stage.name),
        _ => format!("{} runs", kubeadm.replace('-', " ")),
    }
}

/// Whether there is no bootstrap data for this installation, or its token has ended before it was used.
fn is_stale(view: View<'_>, seen: Option<&BootstrapSeen>) -> bool {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let Some(seen) = seen else { return true };
    let used = snapshot.first_boot_done(machine);
    // What was handed over can't be changed, so its token is made to last longer before it ends.
    let until = match snapshot.is_pushed(machine) {
        true => later(view.now, PROLONGED_BEFORE),
        false => view.now,
    };
    seen.requested_at != snapshot.requested_at(machine) || !used && is_over(seen.expires, until)
}

/// Whether a node is of an earlier installation of the machine: it is older than the request of this one, which was given
/// nothing to join with. Once it was, the node is its own, whatever the clocks say, because one that was left behind is
/// deleted before that.
fn is_left_behind(view: View<'_>, node: &NodeView) -> bool {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let requested_at = snapshot.requested_at(machine);
    let answered = snapshot.was_given_data(machine);
    let younger = node.created.is_some_and(|created| Some(created) >= requested_at);
    !(answered || younger || snapshot.first_boot_done(machine) || snapshot.has_joined(machine))
}

/// A join token is made in the cluster, so its API must answer; a worker joins when there is a network, a member of the
/// control plane when etcd can take it. `kubeadm init` is given to the founder alone.
fn deliver(view: View<'_>, how: How) -> Decision {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    if how == How::Init {
        return init(view);
    }
    let ApiSeen::Answers { system, .. } = &snapshot.api else {
        let why = match &snapshot.api {
            ApiSeen::Silent(why) => format!(" ({why})"),
            _ => String::new(),
        };
        return view.wait_for_others(format!(
            "{machine}: asks to join; the cluster's API does not answer{why}"
        ));
    };
    if brings_cni(snapshot) && !system.cni_applied {
        return view.wait_for_others(format!("{machine}: asks to join; the cluster has no network yet"));
    }
    if how == How::Worker
        && let Some(version) = lacks_pods(view)
    {
        return view.wait_for_others(format!(
            "{machine}: asks to join; there is no kube-proxy of {version} in the cluster yet"
        ));
    }
    if how == How::ControlPlane
        && let Some(why) = etcd_takes_nobody(&snapshot.etcd)
    {
        return view.wait_for_others(format!("{machine}: asks to join; {why}"));
    }
    Step::Do(Effect::Deliver {
        machine: machine.to_owned(),
        init: false,
    })
}

/// The version of a worker whose node would have no pods of kube-proxy and the CNI, because none of its version are there yet.
fn lacks_pods(view: View<'_>) -> Option<&str> {
    let (snapshot, wanted) = (view.snapshot, view.snapshot.wanted.as_ref()?);
    let version = snapshot.machines.get(view.machine())?.spec.version.as_ref()?;
    (*version != wanted.version && older_unserved(snapshot)).then_some(version)
}

fn init(view: View<'_>) -> Decision {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let found = || Step::Do(Effect::Found(machine.to_owned()));
    let Some(founder) = snapshot.founder() else {
        return match &snapshot.api {
            ApiSeen::Answers { .. } => view.wait_for_others(format!(
                "{machine}: a cluster answers that was started before, and who started it is not noted here"
            )),
            _ => found(),
        };
    };
    let is_it =
        snapshot.is_founder(machine) && Some(founder.requested_at.0) == snapshot.requested_at(machine);
    if is_it {
        return Step::Do(Effect::Deliver {
            machine: machine.to_owned(),
            init: true,
        });
    }
    if snapshot.saved_snapshot().is_some() && !snapshot.has_saved_data(founder) {
        return found();
    }
    // The machine that was given it before is gone, or has been installed anew, and nobody ever got an answer of its cluster.
    let gone = founder.machine == machine || !snapshot.is_founder(&founder.machine);
    if founder.answered_at.is_none() && gone {
        return found();
    }
    fail(format!(
        "the cluster was started by the installation of {} that asked at {}, and kubeadm init is not given a second time: it \
         would start a second etcd",
        founder.machine, founder.requested_at.0
    ))
}

/// Why etcd can't take another member now.
fn etcd_takes_nobody(etcd: &EtcdSeen) -> Option<String> {
    match etcd {
        EtcdSeen::NotAsked => Some("etcd was not asked yet".to_owned()),
        EtcdSeen::Silent(why) => Some(format!("etcd has no quorum ({why})")),
        EtcdSeen::Members(view) => {
            let voting = view.voters().all(|voter| voter.health == Health::Healthy);
            (!voting).then(|| {
                format!(
                    "etcd takes no new member while one does not answer ({})",
                    view.faults()
                )
            })
        }
    }
}

fn node_seen(view: View<'_>, node: &NodeView, how: How) -> Decision {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    if snapshot.wanted.is_none() {
        return done();
    }
    let wanted = labels_and_taints::wanted_of(snapshot, machine);
    let labelled = wanted.is_none_or(|wanted| labels_and_taints::has(node, &wanted));
    let known = snapshot
        .machines
        .get(machine)
        .and_then(|machine| machine.spec.provider_id.clone());
    if known != node.provider_id || !labelled {
        return Step::Do(Effect::AdoptNode(machine.to_owned()));
    }
    if how != How::Init && !node.ready {
        let why = node.reason.as_deref().unwrap_or("no reason given");
        return view.wait(format!("{machine}: node {} is not Ready yet: {why}", node.name));
    }
    if how == How::ControlPlane
        && let Some(why) = does_not_vote(view)
    {
        return first_boot::without_vote(view, &why)
            .unwrap_or_else(|| view.wait(format!("{machine}: {why}")));
    }
    if node.ready && snapshot.bootstrap.contains_key(machine) && snapshot.first_boot_ended(machine) {
        return Step::Do(Effect::DropBootstrap(machine.to_owned()));
    }
    done()
}

/// Why the machine is no voting member of a healthy etcd yet.
fn does_not_vote(view: View<'_>) -> Option<String> {
    let etcd: &EtcdView = match &view.snapshot.etcd {
        EtcdSeen::Members(etcd) => etcd,
        EtcdSeen::Silent(why) => return Some(format!("etcd does not say whether it votes ({why})")),
        EtcdSeen::NotAsked => return Some("etcd was not asked whether it votes".to_owned()),
    };
    let is_it = |member: &&etcd::MemberView| is_subject(view.snapshot, member, view.machine());
    let Some(member) = etcd.members.iter().find(is_it) else {
        return Some("it is no member of etcd yet".to_owned());
    };
    if member.learner {
        return Some("it is a learner of etcd and does not vote yet".to_owned());
    }
    let faults = etcd.faults();
    (!faults.is_empty()).then(|| format!("etcd is not healthy: {faults}"))
}

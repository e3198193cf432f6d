//! One machine from nothing to an installed system that asks for its bootstrap data: image ready -> machine made -> its
//! driver installs it.

use resources::gantry::{Image, ImageState, MachineRole, ProviderMachinePhase};
use steps::Step;

use crate::execute::decision::{Decision, Effect, View, done, fail};
use crate::observe::{ApiSeen, image_fault, named};
use crate::plan::{Founding, Pool};

pub(super) fn decide(view: View<'_>) -> Decision {
    asks(view).unwrap_or_else(done)
}

/// What is to be done until the machine asks; `None` when it does.
pub(super) fn asks(view: View<'_>) -> Option<Decision> {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let Some(provider) = snapshot.provider_machines.get(machine) else {
        return Some(begin(view));
    };
    if provider.metadata.deletion_timestamp.is_some() {
        return Some(fail(format!("{machine} is being given back")));
    }
    if !snapshot.machines.contains_key(machine) {
        return Some(make(view, &provider.spec.pool));
    }
    let status = provider.status.clone().unwrap_or_default();
    let reason = status.reason.unwrap_or_else(|| "waits for its driver".to_owned());
    if status.phase == ProviderMachinePhase::Failed {
        return Some(fail(reason));
    }
    let waits = || {
        view.wait(format!("{machine}: {reason}"))
            .with_percent(status.percent)
    };
    status.bootstrap_requested_at.is_none().then(waits)
}

/// The first thing to do for a machine that is not there.
fn begin(view: View<'_>) -> Decision {
    let (machine, snapshot) = (view.machine(), view.snapshot);
    let Some(wanted) = &snapshot.wanted else {
        return view.wait("waits for the cluster's documents");
    };
    let Some(pool) = view.step.pool.as_deref().and_then(|pool| wanted.pool(pool)) else {
        return fail(format!("{machine} is not wanted any more"));
    };
    // What was made for an earlier installation is not there for the next one to find, least of all a `kubeadm init`.
    if snapshot.bootstrap.contains_key(machine) {
        return Step::Do(Effect::DropBootstrap(machine.to_owned()));
    }
    let is_silent = !matches!(snapshot.api, ApiSeen::Answers { .. });
    if snapshot.founding() == Founding::Done && is_silent && snapshot.saved_snapshot().is_none() {
        return view.wait_for_others(format!(
            "{machine}: is not made while the cluster's API does not answer: it may have machines that are not known here"
        ));
    }
    if let Some(first) = waits_for_its_turn(view, pool) {
        return view.wait_for_others(format!("{machine}: {first} chooses its server first"));
    }
    if pool.plugin.is_some() {
        // Its driver gets the image.
        return make(view, &pool.name);
    }
    match snapshot.images.get(&pool.image_url) {
        None => Step::Do(Effect::MakeImage(pool.image_url.clone())),
        Some(image) => image_ready(view, image, &pool.version).unwrap_or_else(|| make(view, &pool.name)),
    }
}

fn make(view: View<'_>, pool: &str) -> Decision {
    Step::Do(Effect::MakeMachine {
        name: view.machine().to_owned(),
        pool: pool.to_owned(),
        replacement: view.step.replacement,
    })
}

/// In a new cluster the control plane chooses its servers before the workers do: without it there is no cluster, and the
/// choices may overlap. The machine that has not chosen yet.
fn waits_for_its_turn(view: View<'_>, pool: &Pool) -> Option<String> {
    let snapshot = view.snapshot;
    if pool.role == MachineRole::ControlPlane || snapshot.founding() == Founding::Done {
        return None;
    }
    let members = || {
        let machines = snapshot.provider_machines.iter();
        machines.filter(|(_, machine)| machine.spec.role == MachineRole::ControlPlane)
    };
    if members().count() == 0 {
        return Some("the control plane".to_owned());
    }
    let mut undecided = members().filter(|(_, machine)| {
        let status = machine.status.as_ref();
        !status.is_some_and(|status| {
            // Who asks for data has a host, or takes none away from others.
            let has_chosen = status.host.is_some() || status.bootstrap_requested_at.is_some();
            has_chosen || status.phase == ProviderMachinePhase::Failed
        })
    });
    undecided.next().map(|(name, _)| name.clone())
}

/// `None` when the image can be installed. One that is not there or holds something else may be put right, so it is waited
/// for; the report says what is wrong with it.
fn image_ready(view: View<'_>, image: &Image, version: &str) -> Option<Decision> {
    if let Some(fault) = image_fault(image, version) {
        return Some(view.wait(fault));
    }
    let status = image.status.clone().unwrap_or_default();
    let waits = || {
        let reason = named(&image.spec.url, status.reason.as_deref());
        view.wait(reason).with_percent(status.percent)
    };
    (status.state != ImageState::Ready || status.manifest.is_none()).then(waits)
}

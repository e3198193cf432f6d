//! What is done for other machines while a step waits.

use super::*;

#[test]
fn the_others_are_installed_side_by_side_with_the_first_member() {
    let mut seen = asked("demo-cp-0");
    seen.images.insert(URL.to_owned(), image(ImageState::Ready, None));
    let first = init(&seen);
    assert!(matches!(first, Decision::Do(Effect::Mint { .. })), "{first:?}");
    seen.bootstrap
        .insert("demo-cp-0".to_owned(), minted("2026-01-02T03:10:00Z", true));
    seen.api = ApiSeen::Silent("connection refused".to_owned());
    assert_eq!(
        init(&seen),
        Decision::Do(Effect::MakeMachine("demo-md-0-0".to_owned()))
    );
    waits(&init(&with_worker(seen)), "kubeadm init runs");
    // Not only while it starts: also while it is installed. It chooses its server before the others do.
    let mut seen = asked("demo-cp-0");
    seen.images.insert(URL.to_owned(), image(ImageState::Ready, None));
    let mut install = provider("demo-cp-0", ProviderMachineState::Installing, false);
    seen.provider_machines
        .insert("demo-cp-0".to_owned(), install.clone());
    assert_eq!(
        init(&seen),
        Decision::Do(Effect::MakeMachine("demo-md-0-0".to_owned()))
    );
    install.status.as_mut().unwrap().host = None;
    seen.provider_machines.insert("demo-cp-0".to_owned(), install);
    waits(&init(&seen), "demo-cp-0: action stream-image");
    // An image that is not there does not hinder the first member.
    let mut seen = asked("demo-cp-0");
    seen.images
        .insert(URL.to_owned(), image(ImageState::Failed, None));
    seen.bootstrap
        .insert("demo-cp-0".to_owned(), minted("2026-01-02T03:10:00Z", true));
    seen.api = ApiSeen::Silent("connection refused".to_owned());
    waits(&init(&seen), "kubeadm init runs");
}

#[test]
fn workers_join_side_by_side_while_a_step_waits() {
    let worker = "demo-md-0-0";
    let cni = |seen: &Snapshot| decided(PlanStepKind::InstallCni, None, seen);
    let join = |seen: &Snapshot| decided(PlanStepKind::JoinWorker, Some("demo-md-0-1"), seen);
    let mut seen = asked(worker);
    let desired = seen.desired.as_mut().unwrap();
    desired.machines.push(machine("demo-md-0-1", MachineRole::Worker));
    seen.images
        .insert(URL.to_owned(), image(ImageState::Fetching, None));
    let system = SystemView {
        cni_applied: true,
        ..SystemView::default()
    };
    seen.api = ApiSeen::Answers {
        nodes: Vec::new(),
        system,
    };
    let mint = Decision::Do(Effect::Mint {
        machine: worker.to_owned(),
        init: false,
    });
    assert_eq!(
        cni(&seen),
        mint,
        "the CNI waits for a node, the worker does not wait for the CNI"
    );
    assert_eq!(
        join(&seen),
        mint,
        "one worker's image is no reason for another to wait"
    );
    seen.bootstrap
        .insert(worker.to_owned(), minted("2026-01-02T03:10:00Z", true));
    waits(&cni(&seen), "waits for a node");
    waits(&join(&seen), "no route");
    seen.images.insert(URL.to_owned(), image(ImageState::Ready, None));
    let made = Decision::Do(Effect::MakeMachine("demo-md-0-1".to_owned()));
    assert_eq!(cni(&seen), made);
}

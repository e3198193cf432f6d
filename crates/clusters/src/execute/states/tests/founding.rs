//! `kubeadm init` is given once, and a node counts only for the installation that it is of.

use super::*;

#[test]
fn the_founder_is_written_before_the_first_init() {
    let mut seen = with_worker(asked("demo-cp-0"));
    seen.control_plane.as_mut().unwrap().spec.initialized_by = None;
    assert_eq!(init(&seen), Decision::Do(Effect::Found("demo-cp-0".to_owned())));
    seen.control_plane = None;
    assert_eq!(init(&seen), Decision::Do(Effect::MakeParents));
    seen.control_plane = Some(founded_by("demo-cp-0"));
    let mint = Decision::Do(Effect::Mint {
        machine: "demo-cp-0".to_owned(),
        init: true,
    });
    assert_eq!(init(&seen), mint);
}

#[test]
fn another_installation_is_never_given_init() {
    let mut seen = with_worker(asked("demo-cp-0"));
    seen.control_plane = Some(founded_by("demo-cp-1"));
    fails(&init(&seen), "kubeadm init is not given a second time");
    // The same machine, installed anew.
    let mut founded = founded_by("demo-cp-0");
    let founder = founded.spec.initialized_by.as_mut().unwrap();
    founder.requested_at = Time("2026-01-02T02:00:00Z".parse().unwrap());
    seen.control_plane = Some(founded);
    fails(&init(&seen), "kubeadm init is not given a second time");
    // Nor is what was made for the earlier installation left for it.
    let mut stale = minted("2026-01-02T03:10:00Z", true);
    stale.requested_at = Some("2026-01-02T02:00:00Z".parse().unwrap());
    seen.bootstrap.insert("demo-cp-0".to_owned(), stale);
    fails(&init(&seen), "kubeadm init is not given a second time");
}

#[test]
fn a_machine_that_is_made_anew_does_not_find_what_was_made_for_the_earlier_one() {
    let mut seen = snapshot();
    seen.images.insert(URL.to_owned(), image(ImageState::Ready, None));
    seen.bootstrap
        .insert("demo-cp-0".to_owned(), minted("2026-01-02T03:10:00Z", true));
    assert_eq!(
        init(&seen),
        Decision::Do(Effect::DropBootstrap("demo-cp-0".to_owned()))
    );
}

#[test]
fn how_far_the_first_member_is_follows_from_specs() {
    let mut seen = asked("demo-cp-0");
    assert_eq!(seen.founding(false), Founding::UnderWay);
    assert_eq!(seen.founding(true), Founding::Done);
    seen.provider_machines.clear();
    assert_eq!(seen.founding(false), Founding::Done, "its founder is lost");
    seen.control_plane = None;
    assert_eq!(seen.founding(false), Founding::NotYet);
    assert_eq!(seen.founding(true), Founding::Done);
}

#[test]
fn a_node_that_an_earlier_installation_left_is_deleted_and_the_data_minted() {
    let join = |seen: &Snapshot| decided(PlanStepKind::JoinWorker, Some("demo-md-0-0"), seen);
    for ready in [false, true] {
        let mut seen = asked("demo-md-0-0");
        let machine = seen.machines.get_mut("demo-md-0-0").unwrap();
        machine.spec.provider_id = Some("tinkerbell://ns/a".to_owned());
        seen.api = node(ready, true);
        if let ApiSeen::Answers { nodes, .. } = &mut seen.api {
            nodes[0].created = Some("2026-01-02T03:04:04Z".parse().unwrap());
        }
        let delete = Decision::Do(Effect::DeleteNode("demo-md-0-0".to_owned()));
        assert_eq!(join(&seen), delete, "ready: {ready}");
        // What was minted for that earlier installation proves nothing.
        let mut stale = minted("2026-01-02T03:10:00Z", true);
        stale.requested_at = Some("2026-01-02T02:00:00Z".parse().unwrap());
        seen.bootstrap.insert("demo-md-0-0".to_owned(), stale);
        assert_eq!(join(&seen), delete, "ready: {ready}");
        let mint = Decision::Do(Effect::Mint {
            machine: "demo-md-0-0".to_owned(),
            init: false,
        });
        if let ApiSeen::Answers { nodes, .. } = &mut seen.api {
            nodes.clear();
        }
        assert_eq!(join(&seen), mint, "ready: {ready}");
    }
}

#[test]
fn a_node_that_was_given_its_data_counts_whatever_the_clocks_say() {
    let join = |seen: &Snapshot| decided(PlanStepKind::JoinWorker, Some("demo-md-0-0"), seen);
    let mut seen = asked("demo-md-0-0");
    let machine = seen.machines.get_mut("demo-md-0-0").unwrap();
    machine.spec.provider_id = Some("tinkerbell://ns/a".to_owned());
    seen.api = node(true, true);
    if let ApiSeen::Answers { nodes, .. } = &mut seen.api {
        nodes[0].created = Some("2026-01-02T02:00:00Z".parse().unwrap());
    }
    seen.bootstrap
        .insert("demo-md-0-0".to_owned(), minted("2026-01-02T03:10:00Z", true));
    assert_eq!(join(&seen), Decision::Done);
}

#[test]
fn the_end_needs_every_wanted_machine() {
    let mut seen = asked("demo-cp-0");
    seen.kubeconfig = true;
    seen.api = node(true, true);
    let finish = decided(PlanStepKind::Finish, None, &seen);
    waits(&finish, "demo-md-0-0: its node is not in the cluster");
}

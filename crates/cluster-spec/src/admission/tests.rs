//! Writes as people make them: one object after the other, beside the clusters that are there.

use std::collections::BTreeSet;

use resources::Digest;
use resources::gantry::{ControlPlaneSpec, EtcdSnapshot, Founder, ReleaseSpec, SavedEtcd};
use resources::keys;
use serde_json::json;

use super::*;
use crate::releases::tests::releases;
use crate::update::ChangeEffect;

fn known_releases() -> Vec<Release> {
    releases(&["v1.35.4"])
}

fn read(text: &str) -> ClusterBundle {
    crate::parse(text, "case.yaml", &releases(&["v1.35.4"])).unwrap_or_else(|problems| panic!("{problems}"))
}

fn base() -> ClusterBundle {
    read(include_str!("../../tests/cases/base.yaml"))
}

/// The ControlPlane of a cluster whose machines are made from this bundle.
fn control_plane(bundle: &ClusterBundle) -> ControlPlane {
    let spec = ControlPlaneSpec {
        documents: Some(Box::new(bundle.documents())),
        release_ref: Some("v1.35.4".to_owned()),
        release: Some(releases(&["v1.35.4"])[0].spec.clone()),
        ..ControlPlaneSpec::default()
    };
    let mut object = ControlPlane::new(&bundle.name(), spec);
    object.metadata.namespace = bundle.cluster.metadata.namespace.clone();
    object
}

fn beside(bundle: &ClusterBundle) -> Vec<ControlPlane> {
    vec![control_plane(bundle)]
}

/// All documents of a bundle in the order in which `kubectl apply` sends them.
fn documents(bundle: &ClusterBundle) -> Vec<Document> {
    let mut all = vec![
        Document::Cluster(Box::new(bundle.cluster.clone())),
        Document::Datacenter(Box::new(bundle.datacenter.clone())),
    ];
    let configs = bundle.machine_configs.values().cloned();
    all.extend(configs.map(|config| Document::MachineConfig(Box::new(config))));
    let templates = bundle.templates.values().cloned();
    all.extend(templates.map(|template| Document::Template(Box::new(template))));
    let providers = bundle.oidc_configs.values().cloned();
    all.extend(providers.map(|provider| Document::Oidc(Box::new(provider))));
    all
}

/// Kind and path of what is refused when the documents of `new` are written over those of `old`.
fn refused(old: &ClusterBundle, new: &ClusterBundle) -> Vec<(&'static str, String)> {
    let before = documents(old);
    let same = |new: &Document| {
        before
            .iter()
            .find(|old| match (old, new) {
                (Document::MachineConfig(old), Document::MachineConfig(new)) => {
                    old.name_any() == new.name_any()
                }
                (old, new) => std::mem::discriminant(*old) == std::mem::discriminant(new),
            })
            .cloned()
    };
    let neighbours = beside(old);
    let violations = documents(new).into_iter().flat_map(|document| {
        admit(
            same(&document).as_ref(),
            &document,
            &neighbours,
            &known_releases(),
        )
    });
    violations.map(|one| (one.kind, one.path)).collect()
}

/// A bundle whose machines would ask another address.
fn elsewhere() -> ClusterBundle {
    let mut bundle = base();
    bundle.datacenter.spec.tinkerbell_ip = "10.9.0.99".to_owned();
    bundle
}

#[test]
fn edits_that_would_have_no_effect_are_refused_by_field() {
    let tinkerbell_ip = ("TinkerbellDatacenterConfig", "spec.tinkerbellIP".to_owned());
    assert_eq!(refused(&base(), &elsewhere()), [tinkerbell_ip]);
    assert_eq!(refused(&base(), &base()), []);
}

#[test]
fn edits_that_replace_machines_pass() {
    for text in [
        include_str!("../../tests/cases/edit-image.yaml"),
        include_str!("../../tests/cases/edit-api-server.yaml"),
        include_str!("../../tests/cases/edit-template.yaml"),
        include_str!("../../tests/cases/edit-identity.yaml"),
    ] {
        let new = read(text);
        assert_eq!(refused(&base(), &new), []);
        let changed = update(&base(), &new, &[]).changed;
        assert!(
            changed
                .iter()
                .all(|change| change.effect == ChangeEffect::NewMachines),
            "{changed:?}"
        );
    }
}

/// A worker group whose machine configuration nobody used before: the recorded documents know neither.
#[test]
fn a_worker_group_comes_with_a_configuration_of_its_own() {
    let mut new = base();
    let mut group = new.cluster.spec.worker_node_group_configurations[0].clone();
    let reference = group.machine_group_ref.as_mut().unwrap();
    let mut config = new.machine_configs[&reference.name].clone();
    let name = "another-config";
    config.metadata.name = Some(name.to_owned());
    reference.name = name.to_owned();
    group.name = Some("another".to_owned());
    new.cluster.spec.worker_node_group_configurations.push(group);
    new.machine_configs.insert(name.to_owned(), config);
    assert_eq!(refused(&base(), &new), []);

    // What is known of the group is checked.
    let groups = &mut new.cluster.spec.worker_node_group_configurations;
    groups
        .last_mut()
        .unwrap()
        .machine_group_ref
        .as_mut()
        .unwrap()
        .kind = "VSphereMachineConfig".to_owned();
    let last = groups.len() - 1;
    let path = format!("spec.workerNodeGroupConfigurations[{last}].machineGroupRef.kind");
    assert_eq!(refused(&base(), &new), [("Cluster", path)]);
}

/// An identity provider of a running cluster is checked like the Cluster that names it.
#[test]
fn a_provider_in_use_meets_the_rules() {
    let known = read(include_str!("../../tests/cases/edit-identity.yaml"));
    let mut broken = known.clone();
    let provider = broken.oidc_configs.get_mut("shed-login").unwrap();
    provider.spec.issuer_url = "http://login.example".to_owned();
    assert_eq!(refused(&known, &broken), [(OIDC, "spec.issuerUrl".to_owned())]);
    // Of a cluster that does not name it, it is nobody's business yet.
    assert_eq!(
        refused(&base(), &{
            let mut other = base();
            other.oidc_configs.clone_from(&broken.oidc_configs);
            other
        }),
        []
    );
}

/// The Cluster is written before the image of its new version, and a version without a Release is refused at once.
#[test]
fn a_new_version_is_one_that_there_is() {
    let known = base();
    let with = |version: &str| {
        let mut cluster = known.cluster.clone();
        cluster.spec.kubernetes_version = version.to_owned();
        Document::Cluster(Box::new(cluster))
    };
    let old = Document::Cluster(Box::new(known.cluster.clone()));
    let said = |version: &str, releases: &[Release]| {
        let found = admit(Some(&old), &with(version), &beside(&known), releases);
        found.into_iter().map(|one| one.message).collect::<Vec<_>>()
    };
    let mut both = known_releases();
    let mut next = both[0].clone();
    next.spec.kubernetes_version = "1.36".to_owned();
    next.spec.patch_version = "v1.36.0".to_owned();
    both.push(next);
    assert_eq!(said("1.36", &both), [""; 0]);
    assert_eq!(
        said("1.36", &known_releases()),
        ["no Release has Kubernetes 1.36"]
    );
    assert_eq!(said("1.37", &both), ["no Release has Kubernetes 1.37"]);
    assert!(said("1.38", &both)[0].contains("goes through 1.37, and no Release has that"));
    assert!(said("1.34", &both)[0].contains("can't go back"));
}

/// `kubectl apply` writes the documents of a file one after the other, and the command line the Cluster last.
#[test]
fn an_image_of_the_next_version_is_written_before_the_version() {
    let known = base();
    let with = |image: &str| {
        let mut datacenter = known.datacenter.clone();
        datacenter.spec.os_image_url = Some(image.to_owned());
        Document::Datacenter(Box::new(datacenter))
    };
    let old = Document::Datacenter(Box::new(known.datacenter.clone()));
    let mut both = known_releases();
    let mut next = both[0].clone();
    next.spec.kubernetes_version = "1.36".to_owned();
    next.spec.patch_version = "v1.36.0".to_owned();
    both.push(next);
    let said = |image: &str, releases: &[Release]| {
        let found = admit(Some(&old), &with(image), &beside(&known), releases);
        found.into_iter().map(|one| one.path).collect::<Vec<_>>()
    };
    let (next, other) = (
        "file:///srv/debian-13-kubernetes-1.36.raw.zst",
        "file:///srv/debian-13.raw.zst",
    );
    assert_eq!(said(next, &both), [""; 0]);
    assert_eq!(said(next, &known_releases()), ["spec.osImageURL"]);
    assert_eq!(said(other, &both), ["spec.osImageURL"]);
}

#[test]
fn before_there_are_machines_everything_may_change() {
    let new = read(include_str!("../../tests/cases/edit-image.yaml"));
    let mut neighbours = beside(&base());
    neighbours[0].spec.documents = None;
    for document in documents(&new) {
        assert_eq!(admit(None, &document, &neighbours, &known_releases()), []);
    }
}

#[test]
fn a_deleted_and_created_document_meets_the_same_rules() {
    let datacenter = Document::Datacenter(Box::new(elsewhere().datacenter));
    let found = admit(None, &datacenter, &beside(&base()), &known_releases());
    assert_eq!(found[0].path, "spec.tinkerbellIP");
    assert!(
        found[0].message.contains("cluster shed has machines"),
        "{}",
        found[0]
    );
}

#[test]
fn a_write_that_leaves_an_old_mistake_alone_passes() {
    // The address was changed while nothing checked it.
    let edited = elsewhere().datacenter;
    let known = base();
    let neighbours = beside(&known);
    let document = |object: &TinkerbellDatacenterConfig| Document::Datacenter(Box::new(object.clone()));
    let said = |new: &TinkerbellDatacenterConfig| {
        admit(
            Some(&document(&edited)),
            &document(new),
            &neighbours,
            &known_releases(),
        )
    };
    let mut labelled = edited.clone();
    labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    assert_eq!(said(&labelled), []);
    assert_eq!(said(&known.datacenter), [], "the way back is open");
    let mut third = edited.clone();
    third.spec.tinkerbell_ip = "10.9.0.98".to_owned();
    let found = said(&third);
    assert_eq!(found.len(), 1, "{found:?}");
    let mut terminating = third.clone();
    terminating.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap());
    assert_eq!(said(&terminating), []);
}

#[test]
fn the_rest_of_the_rules_holds_for_a_cluster_with_machines() {
    let known = base();
    let mut new = known.clone();
    new.cluster.spec.control_plane_configuration.count = 2;
    assert_eq!(
        refused(&known, &new),
        [("Cluster", "spec.controlPlaneConfiguration.count".to_owned())]
    );
    new.cluster.spec.control_plane_configuration.count = 3;
    new.cluster.spec.worker_node_group_configurations[0].count = Some(5);
    assert_eq!(refused(&known, &new), []);
}

#[test]
fn the_founder_of_a_cluster_that_answers_is_fixed() {
    let mut old = ControlPlane::new("lab", ControlPlaneSpec::default());
    let mut new = old.clone();
    let time = || serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap();
    let founder = |machine: &str, answered: bool| {
        Some(Founder {
            machine: machine.to_owned(),
            machine_uid: format!("uid of {machine}"),
            requested_at: time(),
            answered_at: answered.then(time),
            restored_from: None,
        })
    };
    new.spec.initialized_by = founder("lab-cp-0", false);
    assert_eq!(admit_control_plane(&old, &new), []);
    // It was given back before anybody got an answer of its cluster.
    old.spec.initialized_by = founder("lab-cp-1", false);
    assert_eq!(admit_control_plane(&old, &new), []);
    old.spec.initialized_by = founder("lab-cp-0", false);
    new.spec.initialized_by = founder("lab-cp-0", true);
    assert_eq!(admit_control_plane(&old, &new), []);
    old.spec.initialized_by = founder("lab-cp-0", true);
    assert_eq!(admit_control_plane(&old, &new), []);
    for other in [founder("lab-cp-1", true), founder("lab-cp-0", false), None] {
        new.spec.initialized_by = other;
        assert_eq!(admit_control_plane(&old, &new)[0].path, "spec.initializedBy");
    }
    // Another machine starts with the data of the cluster.
    let snapshot = EtcdSnapshot {
        sha256: Digest::new([7; 32]),
        size: 4096,
        taken_at: time(),
        copy: None,
        contents: None,
    };
    old.spec.saved_etcd = Some(SavedEtcd {
        machine: "lab-cp-0".to_owned(),
        given_up: None,
        begun_at: time(),
        snapshot: Some(snapshot),
    });
    let with = |from: [u8; 32], answered: bool| {
        founder("lab-cp-1", answered).map(|founder| Founder {
            restored_from: Some(Digest::new(from)),
            ..founder
        })
    };
    new.spec.initialized_by = with([7; 32], false);
    assert_eq!(admit_control_plane(&old, &new), []);
    for other in [
        with([8; 32], false),
        with([7; 32], true),
        founder("lab-cp-1", false),
        None,
    ] {
        new.spec.initialized_by = other;
        assert_eq!(admit_control_plane(&old, &new)[0].path, "spec.initializedBy");
    }
    old.spec.saved_etcd = None;
    new.spec.initialized_by = old.spec.initialized_by.clone();
    old.spec.cluster_uid = "7c9e6679-7425-40de-944b-e07fc1f90ae7".to_owned();
    assert_eq!(admit_control_plane(&old, &new)[0].path, "spec.clusterUid");
    let mut cluster = base().cluster;
    assert_eq!(
        admit_control_plane_deletion("shed", std::slice::from_ref(&cluster)).len(),
        1
    );
    assert_eq!(
        admit_control_plane_deletion("other", std::slice::from_ref(&cluster)),
        []
    );
    cluster.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap());
    assert_eq!(admit_control_plane_deletion("shed", &[cluster]), []);
}

#[test]
fn a_wrong_holder_of_the_address_is_refused_before_there_are_machines() {
    let with = |key: &str, value: &str| {
        let mut cluster = base().cluster;
        cluster.annotations_mut().insert(key.to_owned(), value.to_owned());
        Document::Cluster(Box::new(cluster))
    };
    let wrong = with(keys::CONTROL_PLANE_VIP, "metallb");
    let found = admit(None, &wrong, &[], &[]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].path,
        "metadata.annotations[gantry.dev/control-plane-vip]"
    );
    assert!(
        found[0].next_step.contains("keepalived or kube-vip"),
        "{}",
        found[0]
    );
    // What an earlier write got in does not block others.
    assert_eq!(admit(Some(&wrong), &wrong, &[], &[]), []);
    assert_eq!(
        admit(None, &with(keys::CONTROL_PLANE_VIP, "kube-vip"), &[], &[]),
        []
    );
}

#[test]
fn a_release_is_chosen_by_version_and_by_what_the_image_holds() {
    let bundle = base();
    let mut known = releases(&["v1.35.10", "v1.35.4", "v1.35.9", "v1.35.11-rc.1", "v1.36.0"]);
    known[4].spec.kubernetes_version = "1.36".to_owned();
    // A release without a node image for this cluster.
    let mut bare = releases(&["v1.35.12"]);
    bare[0].spec.node_images.clear();
    known.append(&mut bare);
    let chosen = |inside: &[&str]| {
        let inside: BTreeSet<String> = inside.iter().map(|version| (*version).to_owned()).collect();
        crate::choose_release(&bundle, "1.35", &known, &inside)
            .map(|release| release.spec.patch_version.clone())
    };
    assert_eq!(chosen(&[]).unwrap(), "v1.35.11-rc.1");
    assert_eq!(chosen(&["v1.35.4"]).unwrap(), "v1.35.4");
    assert!(chosen(&["v1.35.5"]).unwrap_err().contains("holds v1.35.5"));
    assert!(
        chosen(&["v1.35.4", "v1.35.9"])
            .unwrap_err()
            .contains("different versions")
    );
    let order: Vec<&str> = crate::candidates(&bundle, "1.35", &known)
        .iter()
        .map(|release| release.spec.patch_version.as_str())
        .collect();
    assert_eq!(order, ["v1.35.11-rc.1", "v1.35.10", "v1.35.9", "v1.35.4"]);
    let none: [Release; 1] = [Release::new("x", ReleaseSpec::default())];
    assert!(crate::choose_release(&bundle, "1.35", &none, &BTreeSet::new()).is_err());
}

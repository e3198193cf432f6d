//! Worker groups one minor version behind the control plane: what a file may say, what an edit may, in which order its documents
//! may be written, and how they go with an upgrade over several versions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cluster_spec::{
    ChangeEffect, ClusterBundle, Document, Violation, admit, check_update, choose_release, next_pass, update,
    update_in_place, validate,
};
use kube::ResourceExt as _;
use resources::gantry::{
    ControlPlane, ControlPlaneSpec, OlderRelease, Release, ReleaseNodeImage, ReleaseSpec,
};

/// Releases of these minor versions with a Debian image that has flannel in it.
fn releases(minors: &[&str]) -> Vec<Release> {
    let release = |minor: &&str| {
        let spec = ReleaseSpec {
            kubernetes_version: (*minor).to_owned(),
            patch_version: format!("v{minor}.2"),
            components: Vec::new(),
            node_images: vec![ReleaseNodeImage {
                os_family: "debian".to_owned(),
                cni: "flannel".to_owned(),
                image: format!("debian-13-kubernetes-{minor}"),
            }],
            charts: Vec::new(),
        };
        Release::new(&format!("v{minor}.2"), spec)
    };
    minors.iter().map(release).collect()
}

fn all() -> Vec<Release> {
    releases(&["1.33", "1.34", "1.35", "1.36"])
}

fn url(minor: &str) -> String {
    format!("file:///srv/debian-13-kubernetes-{minor}.raw.zst")
}

/// A cluster of one version with a worker group of another one, each with its image.
fn bundle(cluster: &str, group: Option<&str>) -> ClusterBundle {
    let text = include_str!("good.yaml").replace("1.35", cluster);
    let mut bundle = cluster_spec::parse(&text, "good.yaml", &all()).unwrap();
    bundle.datacenter.spec.os_image_url = None;
    for (name, minor) in [("demo-cp", cluster), ("demo-md-0", group.unwrap_or(cluster))] {
        let config = bundle.machine_configs.get_mut(name).unwrap();
        config.spec.os_image_url = Some(url(minor));
    }
    let group = group.map(str::to_owned);
    bundle.cluster.spec.worker_node_group_configurations[0].kubernetes_version = group;
    bundle
}

const PATH: &str = "spec.workerNodeGroupConfigurations[0].kubernetesVersion";

fn said(violations: &[Violation]) -> Vec<String> {
    violations
        .iter()
        .map(|one| format!("{}: {}", one.path, one.message))
        .collect()
}

#[test]
fn a_group_has_the_clusters_version_or_the_one_before() {
    for group in [None, Some("1.35"), Some("1.34"), Some("v1.34")] {
        assert_eq!(validate(&bundle("1.35", group), &all()), [], "{group:?}");
    }
    for (group, wanted) in [
        (
            "1.33",
            "more than one minor version older than the control plane's 1.35",
        ),
        ("1.36", "newer than the control plane's 1.35"),
        ("2.35", "newer than the control plane's 1.35"),
        ("nonsense", "is not a Kubernetes minor version"),
    ] {
        let found = validate(&bundle("1.35", Some(group)), &all());
        let found: Vec<&Violation> = found.iter().filter(|one| one.path == PATH).collect();
        assert_eq!(found.len(), 1, "{group}: {found:?}");
        assert!(found[0].message.contains(wanted), "{}", found[0]);
        assert!(
            found[0].next_step.contains("write \"1.34\", or remove the field"),
            "{}",
            found[0]
        );
    }
}

#[test]
fn each_version_needs_its_release_and_its_image() {
    let found = validate(&bundle("1.35", Some("1.34")), &releases(&["1.35"]));
    assert_eq!(said(&found), [format!("{PATH}: no Release has Kubernetes 1.34")]);
    let mut bare = all();
    bare[1].spec.node_images[0].cni = "cilium".to_owned();
    bare[1].spec.node_images[0].os_family = "ubuntu".to_owned();
    let found = said(&validate(&bundle("1.35", Some("1.34")), &bare));
    assert_eq!(
        found,
        [
            "spec.clusterNetwork.cniConfig.flannel: no node image of Kubernetes 1.34 has flannel in it",
            "spec.osFamily: there is no debian node image of Kubernetes 1.34"
        ]
    );
    let mut one_image = bundle("1.35", Some("1.34"));
    for config in one_image.machine_configs.values_mut() {
        config.spec.os_image_url = None;
    }
    one_image.datacenter.spec.os_image_url = Some(url("1.35"));
    let found = validate(&one_image, &all());
    assert_eq!(
        said(&found),
        ["spec.osImageURL: the URL does not hold the Kubernetes version 1.34"]
    );
    assert!(
        found[0].next_step.contains("in each TinkerbellMachineConfig"),
        "{}",
        found[0]
    );
    let mut one_config = bundle("1.35", Some("1.34"));
    let group = &mut one_config.cluster.spec.worker_node_group_configurations[0];
    group.machine_group_ref.as_mut().unwrap().name = "demo-cp".to_owned();
    one_config.machine_configs.remove("demo-md-0");
    let found = validate(&one_config, &all());
    assert_eq!(
        said(&found),
        ["spec.osImageURL: the URL does not hold the Kubernetes version 1.34"]
    );
    assert!(
        found[0]
            .next_step
            .contains("add a worker group with one of its own"),
        "{}",
        found[0]
    );
    // What is chosen for the one version has nothing to do with the other.
    let bundle = bundle("1.35", Some("1.34"));
    for minor in ["1.35", "1.34"] {
        let all = all();
        let chosen = choose_release(&bundle, minor, &all, &Default::default()).unwrap();
        assert_eq!(chosen.spec.kubernetes_version, minor);
    }
}

#[test]
fn groups_go_up_by_one_and_the_cluster_waits_for_them() {
    // From and to, as cluster and group; and what is refused.
    let cases = [
        (("1.34", None), ("1.35", None), None),
        (("1.34", None), ("1.35", Some("1.34")), None),
        (("1.34", Some("1.34")), ("1.35", Some("1.34")), None),
        (("1.34", Some("1.34")), ("1.35", None), None),
        (("1.35", Some("1.34")), ("1.35", None), None),
        (("1.35", Some("1.34")), ("1.35", Some("1.35")), None),
        (("1.33", None), ("1.35", Some("1.34")), None),
        (
            ("1.35", None),
            ("1.35", Some("1.34")),
            Some((PATH, "do not go back")),
        ),
        (
            ("1.35", Some("1.35")),
            ("1.35", Some("1.34")),
            Some((PATH, "do not go back")),
        ),
        (
            ("1.35", Some("1.34")),
            ("1.36", Some("1.35")),
            Some(("spec.kubernetesVersion", "worker group md-0 has Kubernetes 1.34")),
        ),
        (
            ("1.34", Some("1.33")),
            ("1.35", None),
            Some(("spec.kubernetesVersion", "worker group md-0 has Kubernetes 1.33")),
        ),
    ];
    for (old, new, refused) in cases {
        let (before, after) = (bundle(old.0, old.1), bundle(new.0, new.1));
        let found = check_update(&before, &after, &all());
        let found: Vec<(&str, &str)> = found.iter().map(|one| (&*one.path, &*one.message)).collect();
        match refused {
            None => assert_eq!(found, [], "{old:?} {new:?}"),
            Some((path, message)) => {
                assert_eq!(found.len(), 1, "{old:?} {new:?}: {found:?}");
                assert!(found[0].0 == path && found[0].1.contains(message), "{found:?}");
            }
        }
    }
}

#[test]
fn a_group_that_stays_needs_no_new_machines() {
    let (before, after) = (bundle("1.34", None), bundle("1.35", Some("1.34")));
    let effect = |path: &str| {
        let changed = update(&before, &after, &all()).changed;
        changed.iter().find(|one| one.path == path).map(|one| one.effect)
    };
    assert_eq!(effect(PATH), Some(ChangeEffect::None));
    assert_eq!(effect("spec.kubernetesVersion"), Some(ChangeEffect::NewMachines));
    // While rollouts are paused the cluster keeps its version, and what is left is whole.
    let held = update_in_place(&before, &after, &all()).effective;
    assert_eq!(held.cluster.spec.kubernetes_version, "1.34");
    assert_eq!(validate(&held, &all()), []);
}

#[test]
fn a_group_that_stays_gets_its_own_image_on_the_way() {
    let (known, wanted) = (bundle("1.33", None), bundle("1.35", Some("1.34")));
    let own = url("1.34");
    let images = |release: &Release, _: &str| {
        let minor = &release.spec.kubernetes_version;
        vec![format!("file:///srv/a-{minor}.raw.zst"), url(minor)]
    };
    let pass = next_pass(&known, &wanted, &all(), images).unwrap().unwrap();
    assert_eq!(pass.versions(), ["1.34"]);
    assert_eq!(
        pass.machine_configs["demo-md-0"].spec.os_image_url.as_ref(),
        Some(&own),
        "it is not exchanged a second time"
    );
    assert_eq!(
        pass.machine_configs["demo-cp"].spec.os_image_url.as_deref(),
        Some("file:///srv/a-1.34.raw.zst")
    );
    assert_eq!(check_update(&known, &pass, &all()), []);
    assert_eq!(next_pass(&pass, &wanted, &all(), images), Ok(None));
    assert_eq!(check_update(&pass, &wanted, &all()), []);
}

/// All documents of a bundle.
fn documents(bundle: &ClusterBundle) -> Vec<Document> {
    let configs = bundle.machine_configs.values().cloned();
    [
        Document::Cluster(Box::new(bundle.cluster.clone())),
        Document::Datacenter(Box::new(bundle.datacenter.clone())),
    ]
    .into_iter()
    .chain(configs.map(|config| Document::MachineConfig(Box::new(config))))
    .collect()
}

/// What is refused when each of the documents of `new` is written over that of `old` as the first one.
fn refused(old: &ClusterBundle, new: &ClusterBundle) -> Vec<String> {
    let release = |minor: &str| {
        let all = all();
        let found = all
            .iter()
            .find(|release| release.spec.kubernetes_version == minor);
        found.unwrap().spec.clone()
    };
    let spec = ControlPlaneSpec {
        documents: Some(Box::new(old.documents())),
        release_ref: Some("own".to_owned()),
        release: Some(release(old.versions()[0])),
        older_release: old.older_version().map(|minor| OlderRelease {
            name: "older".to_owned(),
            release: release(minor),
        }),
        ..ControlPlaneSpec::default()
    };
    let mut control_plane = ControlPlane::new(&old.name(), spec);
    control_plane.metadata.namespace = old.cluster.namespace();
    let before = documents(old);
    let written = documents(new);
    let found = before
        .iter()
        .zip(&written)
        .flat_map(|(old, new)| admit(Some(old), new, std::slice::from_ref(&control_plane), &all()));
    said(&found.collect::<Vec<_>>())
}

#[test]
fn documents_of_an_edit_come_in_any_order() {
    let pairs = [
        (bundle("1.34", None), bundle("1.35", Some("1.34"))),
        (bundle("1.35", Some("1.34")), bundle("1.35", None)),
        (bundle("1.35", Some("1.34")), bundle("1.35", Some("1.34"))),
        (bundle("1.33", None), bundle("1.35", Some("1.34"))),
    ];
    for (old, new) in pairs {
        assert_eq!(
            refused(&old, &new),
            [""; 0],
            "{:?} {:?}",
            old.versions(),
            new.versions()
        );
    }
    // A group that comes with the edit meets the rules, too.
    let mut new = bundle("1.35", None);
    let groups = &mut new.cluster.spec.worker_node_group_configurations;
    let mut second = groups[0].clone();
    second.name = Some("md-1".to_owned());
    second.kubernetes_version = Some("1.32".to_owned());
    groups.push(second);
    let found = refused(&bundle("1.35", None), &new);
    assert!(
        found
            .iter()
            .any(|one| one.contains("[1].kubernetesVersion: 1.32 is more than one")),
        "{found:?}"
    );
}

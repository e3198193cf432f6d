//! Files with what EKS Anywhere's generated and documented bare-metal files hold: each loads, with a remark where a field has no
//! effect.

#![allow(clippy::unwrap_used, clippy::panic)]

mod releases;

use cluster_spec::{ClusterBundle, parse, remarks, secrets, selector_terms};
use resources::gantry::SelectorTerm;

use crate::releases::releases;

const ALL_SECTIONS: &str = include_str!("eksa/all-sections.yaml");

fn read(text: &str) -> ClusterBundle {
    parse(text, "cluster.yaml", &releases()).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_file_with_every_section_loads_with_remarks() {
    let bundle = read(ALL_SECTIONS);
    let remarks: Vec<String> = remarks(&bundle, &releases())
        .into_iter()
        .map(|remark| remark.path)
        .collect();
    let expected = [
        "spec.eksaVersion",
        "spec.bundlesRef",
        "spec.licenseToken",
        "spec.gitOpsRef",
        "spec.identityProviderRefs[1]",
        "spec.skipLoadBalancerDeployment",
        "spec.loadBalancerInterface",
        "spec.hookImagesURLPath",
        "spec.hardwareAffinity.preferred",
    ];
    assert_eq!(remarks, expected);
    assert_eq!(
        bundle.service_account_issuer(),
        Some("https://issuer.example.com")
    );
}

#[test]
fn hardware_is_chosen_by_expressions_too() {
    let bundle = read(ALL_SECTIONS);
    let terms = selector_terms(&bundle.machine_configs["warehouse-worker"]);
    assert_eq!(
        SelectorTerm::alternatives(&terms),
        "{type=worker} or {bay in (12,13),!broken}"
    );
    let selects = |labels: &[(&str, &str)]| {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let labels = labels.collect();
        terms.iter().any(|term| term.selects(&labels))
    };
    assert!(selects(&[("type", "worker"), ("broken", "yes")]));
    assert!(selects(&[("bay", "13")]));
    assert!(!selects(&[("bay", "13"), ("broken", "yes")]));
    assert!(!selects(&[("bay", "14")]));
    for (from, to, place) in [
        ("operator: In", "operator: Is", "[0].operator"),
        ("values: [\"12\", \"13\"]", "values: []", "[0].values"),
        (
            "operator: DoesNotExist",
            "operator: Exists\n          values: [a]",
            "[1].values",
        ),
    ] {
        let text = ALL_SECTIONS.replacen(from, to, 1);
        let problems = parse(&text, "cluster.yaml", &releases()).unwrap_err();
        let path = "spec.hardwareAffinity.required[1].labelSelector.matchExpressions";
        let expected = format!("TinkerbellMachineConfig warehouse-worker: {path}{place}");
        let places: Vec<&str> = problems
            .problems
            .iter()
            .map(|problem| problem.place.as_str())
            .collect();
        assert_eq!(places, [expected], "{problems}");
    }
}

#[test]
fn empty_values_are_none() {
    let bundle = read(ALL_SECTIONS);
    for config in bundle.machine_configs.values() {
        assert_eq!(
            (&config.spec.template_ref, &config.spec.os_image_url),
            (&None, &None)
        );
    }
}

#[test]
fn numbers_in_the_place_of_texts_are_taken_as_they_are_written() {
    let text = ALL_SECTIONS.replace("rack: 7", "rack: 0x10\n      gpu: true\n      level: 010");
    let cluster = read(&text).cluster.spec;
    let labels = &cluster.control_plane_configuration.labels;
    let labels: Vec<_> = ["rack", "gpu", "level"]
        .iter()
        .map(|key| labels[*key].as_str())
        .collect();
    assert_eq!(labels, ["0x10", "true", "010"]);
    let mirror = cluster.registry_mirror_configuration.unwrap();
    assert_eq!(mirror.port.as_deref(), Some("443"));
}

#[test]
fn a_secret_of_the_file_is_read_and_checked() {
    let found = secrets(ALL_SECTIONS);
    let names: Vec<_> = found
        .iter()
        .map(|secret| secret.metadata.name.as_deref())
        .collect();
    assert_eq!(names, [Some("registry-credentials")]);
    for (from, to, place) in [
        (
            "stringData:\n  username",
            "stringData:\n  username: [a]\n  other",
            "stringData.username",
        ),
        ("type: Opaque\n", "typ: Opaque\n", "typ"),
        ("stringData:\n", "data: {a: '%'}\nstringData:\n", "data"),
    ] {
        let text = ALL_SECTIONS.replacen(from, to, 1);
        let problems = parse(&text, "cluster.yaml", &releases()).unwrap_err();
        let [problem] = problems.problems.as_slice() else {
            panic!("{problems}");
        };
        assert_eq!(problem.place, format!("Secret registry-credentials: {place}"));
        assert!(!problems.to_string().contains("fake-password"), "{problems}");
    }
}

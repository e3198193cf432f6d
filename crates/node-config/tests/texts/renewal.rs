//! The Pod that renews the certificates of a member of a control plane.

use node_config::{Renewal, renewal_pod, renewal_template};

#[test]
fn the_pod_is_one_that_a_kubelet_takes_and_its_script_stands_in_it() {
    let mut pod = renewal_pod(&Renewal {
        name: "gantry-renewal-7c9e6679-7425-40de-944b-e07fc1f90ae7-12",
        machine: "demo-cp-x7k2p",
        node: "node-1",
        address: "192.0.2.11".parse().unwrap(),
        image: "registry.k8s.io/kube-apiserver:v1.35.4",
    });
    let typed: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod.clone()).unwrap();
    assert_eq!(
        serde_json::to_value(typed).unwrap(),
        pod,
        "no field is misspelled"
    );
    let command = &mut pod["spec"]["containers"][0]["command"];
    let script = command[4].take();
    let text = concat!(
        include_str!("../../src/renewal/files.sh"),
        "\n",
        include_str!("../../src/renewal/restart.sh")
    );
    assert_eq!(script, text);
    command[4] = "SCRIPT".into();
    insta::assert_snapshot!("renewal-pod", serde_json::to_string_pretty(&pod).unwrap());
}

#[test]
fn the_workflow_for_certificates_that_have_ended_is_public_text_and_starts_the_system_again() {
    let text = renewal_template("prod-1-repair-7", "node-1", "/dev/{{ x }}", 2);
    let parsed: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let actions = parsed["tasks"][0]["actions"].as_array().unwrap();
    let images: Vec<_> = actions
        .iter()
        .map(|action| action["image"].as_str().unwrap())
        .collect();
    assert_eq!(images, ["gantry/renew-certificates", "gantry/reboot"]);
    let environment = &actions[0]["environment"];
    let script = concat!(
        include_str!("../../src/renewal/files.sh"),
        "\n",
        include_str!("../../src/renewal/ended.sh")
    );
    assert_eq!(environment["RENEWAL_SCRIPT"], script);
    assert_eq!(environment["NODE_NAME"], "node-1");
    for action in actions {
        assert_eq!(action["environment"]["DEST_DISK"], "/dev/{{ x }}");
    }
    // Braces of names and of the shell open no template.
    assert_eq!(text.matches("{{").count(), 1, "{text}");
    assert_eq!(actions[0]["timeout"], 1200);
    assert_eq!(parsed["global_timeout"], 3000);
}

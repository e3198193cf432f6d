//! Workflows of the user's own, before any machine is claimed for one: whether each can be carried out.

use cluster_spec::{ClusterBundle, Violation, selector_terms};
use driver_metal::check_workflow;
use kube::ResourceExt as _;
use resources::tinkerbell::Hardware;

/// What is wrong with the workflows of a cluster, each looked at with the first hardware that its machines could have. Where there
/// is none, another check says so.
pub(super) fn violations(bundle: &ClusterBundle, hardware: &[Hardware]) -> Vec<Violation> {
    let mut found: Vec<Violation> = Vec::new();
    for group in bundle.groups() {
        let Some(config) = group.metal() else { continue };
        let terms = selector_terms(config);
        let reference = config.spec.template_ref.as_ref();
        let own = reference.and_then(|reference| bundle.templates.get(&reference.name));
        let machine = hardware
            .iter()
            .find(|hardware| terms.iter().any(|term| term.selects(hardware.labels())));
        let (Some(own), Some(machine)) = (own, machine) else {
            continue;
        };
        let is_known = found.iter().any(|known| known.name == own.name_any());
        if let Some(message) = check_workflow(own, machine).err().filter(|_| !is_known) {
            found.push(Violation {
                kind: "TinkerbellTemplateConfig",
                name: own.name_any(),
                path: "spec.template".to_owned(),
                message: format!("on {}: {message}", machine.name_any()),
                next_step: "correct it, or write templateRef: {} for Gantry's own workflow".to_owned(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use resources::gantry::Release;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_action_that_gantry_does_not_have_is_named() {
        let release: Release = serde_json::from_value(json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Release", "metadata": {"name": "v1.35.4"},
            "spec": {"kubernetesVersion": "1.35", "patchVersion": "v1.35.4",
                "components": [{"name": "kube-vip", "image": "ghcr.io/kube-vip/kube-vip:v1.2.0"}],
                "nodeImages": [{"osFamily": "debian", "cni": "flannel", "image": "debian"}]}
        }))
        .unwrap();
        let hardware = |name: &str, label: &str| {
            let spec = json!({
                "disks": [{"device": "/dev/sda"}],
                "interfaces": [{"dhcp": {"mac": "52:54:00:00:00:01", "name_servers": ["192.0.2.1"],
                    "ip": {"address": "192.0.2.11", "netmask": "255.255.255.0", "gateway": "192.0.2.1"}}}],
            });
            let mut hardware = Hardware::new(name, serde_json::from_value(spec).unwrap());
            hardware.labels_mut().insert("type".to_owned(), label.to_owned());
            hardware
        };
        let hardware = [hardware("node-a", "cp"), hardware("node-b", "worker")];
        let file = include_str!("../../../../cluster-spec/tests/eksa/ubuntu-template.yaml");
        let read =
            |text: &str| cluster_spec::parse(text, "cluster.yaml", std::slice::from_ref(&release)).unwrap();
        assert_eq!(violations(&read(file), &hardware), []);
        let cexec = file.replacen("tinkerbell/writefile:v0.26.0", "tinkerbell/cexec:v0.26.0", 1);
        let found = violations(&read(&cexec), &hardware);
        let [violation] = found.as_slice() else {
            panic!("{found:?}");
        };
        let said = violation.to_string();
        for part in [
            "shop",
            "node-a",
            "tasks[0].actions[1].image",
            "cexec",
            "supported are image2disk",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

//! What is said before a cluster is created about how its control-plane machines prove which machines they are.

use cluster_spec::ClusterBundle;
use kube::ResourceExt as _;
use resources::gantry::{MachineRole, SelectorTerm};
use resources::tinkerbell::Hardware;

/// Remarks for the operator: by what the machines that may become control planes are told from others.
pub(super) fn remarks(bundle: &ClusterBundle, hardware: &[Hardware]) -> Vec<String> {
    let groups = bundle.groups();
    let control_plane = groups
        .iter()
        .find(|group| group.role == MachineRole::ControlPlane);
    control_plane.map_or_else(Vec::new, |group| of(&group.selector_terms(), hardware))
}

fn of(terms: &[SelectorTerm], hardware: &[Hardware]) -> Vec<String> {
    let wanted = |hardware: &&Hardware| terms.iter().any(|term| term.selects(hardware.labels()));
    let (proven, others): (Vec<_>, Vec<_>) = hardware
        .iter()
        .filter(wanted)
        .partition(|hardware| hardware.spec.bmc_ref.is_some());
    let names = |hardware: &[&Hardware]| {
        let names: Vec<String> = hardware.iter().map(|hardware| hardware.name_any()).collect();
        names.join(", ")
    };
    let mut remarks = Vec::new();
    if !proven.is_empty() {
        remarks.push(format!(
            "control plane: {} must be confirmed by their BMCs (UUID or serial number, network interfaces) before they \
             get keys, unless the appliance runs with controlPlaneProof: none",
            names(&proven)
        ));
    }
    if !others.is_empty() {
        remarks.push(format!(
            "control plane: {} have no BMC, so which machines they are rests on what they say on the network",
            names(&others)
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn machine(name: &str, kind: &str, bmc: bool) -> Hardware {
        let spec = if bmc {
            json!({"bmcRef": {"apiGroup": "bmc.tinkerbell.org", "kind": "Machine", "name": name}})
        } else {
            json!({})
        };
        serde_json::from_value(json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
            "metadata": {"name": name, "labels": {"type": kind}}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn control_planes_are_named_by_how_they_prove_themselves() {
        let hardware = [
            machine("a", "cp", true),
            machine("b", "cp", false),
            machine("c", "worker", false),
        ];
        let terms = [SelectorTerm {
            match_labels: [("type".to_owned(), "cp".to_owned())].into(),
            ..SelectorTerm::default()
        }];
        let said = of(&terms, &hardware);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].starts_with("control plane: a must be confirmed by their BMCs"),
            "{said:?}"
        );
        assert!(said[1].starts_with("control plane: b have no BMC"), "{said:?}");
        assert_eq!(of(&terms, &hardware[2..]), [""; 0]);
    }
}

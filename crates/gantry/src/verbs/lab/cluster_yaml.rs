//! A cluster.yaml for a rack, in EKS Anywhere's format with Gantry's two additions (`osFamily: debian`, flannel).

use lab::Facts;

/// The file. The numbers of machines follow from the rack: one control plane, all others workers.
pub(crate) fn render(facts: &Facts, kubernetes: &str, image: &str) -> String {
    let name = &facts.cluster_name;
    let workers = facts.machines.len().saturating_sub(1);
    let groups = if workers == 0 {
        String::new()
    } else {
        format!(
            "  workerNodeGroupConfigurations:\n    - name: md-0\n      count: {workers}\n      machineGroupRef:\n        \
             kind: TinkerbellMachineConfig\n        name: {name}-worker\n"
        )
    };
    let selector = |label: &str| label.replacen('=', ": ", 1);
    let control_plane = facts
        .machines
        .first()
        .map(|machine| selector(&machine.labels))
        .unwrap_or_default();
    let mut text = format!(
        "apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: Cluster
metadata:
  name: {name}
  namespace: eksa-system
spec:
  kubernetesVersion: \"{kubernetes}\"
  managementCluster:
    name: {name}
  controlPlaneConfiguration:
    count: 1
    endpoint:
      host: {endpoint}
    machineGroupRef:
      kind: TinkerbellMachineConfig
      name: {name}-cp
{groups}  datacenterRef:
    kind: TinkerbellDatacenterConfig
    name: {name}
  clusterNetwork:
    cniConfig:
      flannel: {{}}
    pods:
      cidrBlocks: [{pods}]
    services:
      cidrBlocks: [{services}]
---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellDatacenterConfig
metadata:
  name: {name}
  namespace: eksa-system
spec:
  tinkerbellIP: {tinkerbell}
  osImageURL: {image}
",
        endpoint = facts.control_plane_endpoint,
        pods = facts.pod_cidr,
        services = facts.service_cidr,
        tinkerbell = facts.tinkerbell_ip,
    );
    text.push_str(&machine_config(&format!("{name}-cp"), &control_plane));
    if let Some(worker) = facts.machines.get(1) {
        text.push_str(&machine_config(
            &format!("{name}-worker"),
            &selector(&worker.labels),
        ));
    }
    text
}

fn machine_config(name: &str, selector: &str) -> String {
    format!(
        "---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellMachineConfig
metadata:
  name: {name}
  namespace: eksa-system
spec:
  hardwareSelector:
    {selector}
  osFamily: debian
"
    )
}

#[cfg(test)]
mod tests {
    use lab::{RackPlan, UpOptions};
    use resources::gantry::{Release, ReleaseNodeImage, ReleaseSpec};

    use super::*;

    #[test]
    fn the_file_is_a_valid_cluster() {
        let release = Release::new(
            "r",
            ReleaseSpec {
                kubernetes_version: "1.35".to_owned(),
                patch_version: "v1.35.4".to_owned(),
                node_images: vec![ReleaseNodeImage {
                    os_family: "debian".to_owned(),
                    cni: "flannel".to_owned(),
                    image: "debian-13-kubernetes-1.35".to_owned(),
                }],
                charts: Vec::new(),
                ..ReleaseSpec::default()
            },
        );
        for machines in [1, 2, 4] {
            let plan = RackPlan::derive(
                "test",
                &UpOptions {
                    machines,
                    ..UpOptions::default()
                },
            );
            let text = render(
                &plan.facts(),
                "1.35",
                "file:///images/debian-13-kubernetes-1.35.raw.zst",
            );
            let parsed = cluster_spec::parse(&text, "cluster.yaml", std::slice::from_ref(&release));
            assert_eq!(
                parsed
                    .map(|bundle| bundle.groups().len())
                    .map_err(|e| e.to_string()),
                Ok(machines.min(2))
            );
        }
    }
}

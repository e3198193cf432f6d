//! A small cluster of one control plane and one worker.

use cluster_spec::ClusterBundle;
use resources::gantry::{ComponentImage, Release, ReleaseNodeImage, ReleaseSpec};

const YAML: &str = "
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: Cluster
metadata:
  name: demo
spec:
  clusterNetwork:
    cniConfig: {flannel: {}}
    pods: {cidrBlocks: [10.244.0.0/16]}
    services: {cidrBlocks: [10.96.0.0/12]}
  controlPlaneConfiguration:
    count: 1
    endpoint: {host: 192.0.2.10}
    machineGroupRef: {kind: TinkerbellMachineConfig, name: demo-cp}
  datacenterRef: {kind: TinkerbellDatacenterConfig, name: demo}
  kubernetesVersion: \"1.35\"
  workerNodeGroupConfigurations:
  - count: 1
    name: md-0
    labels: {pool: small}
    machineGroupRef: {kind: TinkerbellMachineConfig, name: demo-md}
---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellDatacenterConfig
metadata: {name: demo}
spec:
  tinkerbellIP: 192.0.2.5
  osImageURL: file:///srv/debian-13-kubernetes-1.35.raw.zst
---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellMachineConfig
metadata: {name: demo-cp}
spec:
  hardwareSelector: {type: cp}
  osFamily: debian
---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellMachineConfig
metadata: {name: demo-md}
spec:
  hardwareSelector: {type: worker}
  osFamily: debian
";

/// The Release of Kubernetes 1.35.
pub(crate) fn release() -> Release {
    let image = |name: &str, image: &str| ComponentImage {
        name: name.to_owned(),
        image: image.to_owned(),
        digest: None,
    };
    Release::new(
        "v1.35.4",
        ReleaseSpec {
            kubernetes_version: "1.35".to_owned(),
            patch_version: "v1.35.4".to_owned(),
            components: vec![
                image("etcd", "registry.k8s.io/etcd:3.6.6-0"),
                image("coredns", "registry.k8s.io/coredns/coredns:v1.13.1"),
                image("flannel", "ghcr.io/flannel-io/flannel:v0.26.7"),
                image("keepalived", "gantry.dev/keepalived:trixie"),
            ],
            node_images: vec![ReleaseNodeImage {
                os_family: "debian".to_owned(),
                cni: "flannel".to_owned(),
                image: "debian-13-kubernetes-1.35".to_owned(),
            }],
        },
    )
}

/// The cluster with its defaults.
pub(crate) fn bundle() -> ClusterBundle {
    cluster_spec::parse(YAML, "cluster.yaml", &[release()]).unwrap_or_else(|problems| panic!("{problems}"))
}

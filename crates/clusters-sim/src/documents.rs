//! Documents of small clusters, and the Release that they are made from.

use std::net::Ipv4Addr;

use cluster_spec::ClusterBundle;
use resources::gantry::{ComponentImage, Release, ReleaseChart, ReleaseNodeImage, ReleaseSpec};

/// A cluster that is to be made. Its servers are chosen by their label `type`.
#[derive(Debug, Clone)]
pub struct NewCluster {
    /// Name.
    pub name: String,
    /// Where its API will answer.
    pub endpoint: Ipv4Addr,
    /// Type of the servers of its control plane.
    pub control_plane: String,
    /// Type of the servers of its workers and how many of them, in one group `md-0`. None: it has no workers.
    pub workers: Option<(String, usize)>,
}

impl Default for NewCluster {
    /// Cluster `demo` of one control plane and one worker.
    fn default() -> Self {
        Self {
            name: "demo".to_owned(),
            endpoint: Ipv4Addr::new(192, 0, 2, 10),
            control_plane: "cp".to_owned(),
            workers: Some(("worker".to_owned(), 1)),
        }
    }
}

impl NewCluster {
    /// Its documents with their defaults.
    #[must_use]
    pub fn documents(&self) -> ClusterBundle {
        let yaml = self.yaml();
        cluster_spec::parse(&yaml, "cluster.yaml", &[release()])
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn yaml(&self) -> String {
        let Self {
            name,
            endpoint,
            control_plane,
            workers,
        } = self;
        let group = workers.as_ref().map(|(_, count)| {
            format!(
                "
  workerNodeGroupConfigurations:
  - count: {count}
    name: md-0
    labels: {{pool: small}}
    machineGroupRef: {{kind: TinkerbellMachineConfig, name: {name}-md}}"
            )
        });
        let mut yaml = format!(
            "
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: Cluster
metadata:
  name: {name}
spec:
  clusterNetwork:
    cniConfig: {{flannel: {{}}}}
    pods: {{cidrBlocks: [10.244.0.0/16]}}
    services: {{cidrBlocks: [10.96.0.0/12]}}
  controlPlaneConfiguration:
    count: 1
    endpoint: {{host: {endpoint}}}
    machineGroupRef: {{kind: TinkerbellMachineConfig, name: {name}-cp}}
  datacenterRef: {{kind: TinkerbellDatacenterConfig, name: {name}}}
  kubernetesVersion: \"1.35\"{}
---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellDatacenterConfig
metadata: {{name: {name}}}
spec:
  tinkerbellIP: 192.0.2.5
  osImageURL: file:///srv/debian-13-kubernetes-1.35.raw.zst
",
            group.unwrap_or_default()
        );
        yaml += &machine_config(&format!("{name}-cp"), control_plane);
        if let Some((kind, _)) = workers {
            yaml += &machine_config(&format!("{name}-md"), kind);
        }
        yaml
    }
}

fn machine_config(name: &str, kind: &str) -> String {
    format!(
        "---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellMachineConfig
metadata: {{name: {name}}}
spec:
  hardwareSelector: {{type: {kind}}}
  osFamily: debian
"
    )
}

/// What clusters of virtual machines have in common: one control plane, and one worker in a group `md-0`.
fn virtual_cluster(kind: &str, groups: [&str; 2]) -> String {
    let [control_plane, worker] = groups;
    format!(
        "
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: Cluster
metadata: {{name: demo}}
spec:
  clusterNetwork:
    cniConfig: {{flannel: {{}}}}
    pods: {{cidrBlocks: [10.244.0.0/16]}}
    services: {{cidrBlocks: [10.96.0.0/12]}}
  controlPlaneConfiguration: {{count: 1, endpoint: {{host: 192.0.2.10}}{control_plane}}}
  datacenterRef: {{kind: {kind}, name: demo}}
  kubernetesVersion: \"1.35\"
  workerNodeGroupConfigurations: [{{count: 1, name: md-0{worker}}}]
---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: {kind}
metadata: {{name: demo}}
"
    )
}

/// Cluster `demo` of containers.
#[must_use]
pub fn docker_documents() -> ClusterBundle {
    let yaml = virtual_cluster("DockerDatacenterConfig", ["", ""]) + "spec: {}\n";
    cluster_spec::parse(&yaml, "docker.yaml", &[release()]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Cluster `demo` of machines of a vCenter that are cloned from this template.
#[must_use]
pub fn vsphere_documents(template: &str) -> ClusterBundle {
    let reference = ", machineGroupRef: {kind: VSphereMachineConfig, name: demo}";
    let yaml = virtual_cluster("VSphereDatacenterConfig", [reference, reference])
        + "spec: {datacenter: dc, network: lan, server: vc.example}\n";
    let yaml = format!(
        "{yaml}---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: VSphereMachineConfig
metadata: {{name: demo}}
spec: {{datastore: ssd, folder: nodes, resourcePool: pool, osFamily: ubuntu, template: {template}}}
"
    );
    cluster_spec::parse(&yaml, "vsphere.yaml", &[release()]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The Release of Kubernetes 1.36.
#[must_use]
pub fn next_release() -> Release {
    let mut next = release();
    next.metadata.name = Some("v1.36.0".to_owned());
    next.spec.kubernetes_version = "1.36".to_owned();
    next.spec.patch_version = "v1.36.0".to_owned();
    for component in &mut next.spec.components {
        let image = component.image.replace("coredns:v1.13.1", "coredns:v1.14.0");
        component.image = image.replace("flannel:v0.26.7", "flannel:v0.27.4");
    }
    next
}

/// The Release of Kubernetes 1.35.
#[must_use]
pub fn release() -> Release {
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
                image("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.2.0"),
            ],
            node_images: [
                ("debian", "debian-13-kubernetes-1.35"),
                ("docker", "ubuntu-24.04"),
            ]
            .map(|(family, image)| ReleaseNodeImage {
                os_family: family.to_owned(),
                cni: "flannel".to_owned(),
                image: image.to_owned(),
            })
            .to_vec(),
            charts: vec![ReleaseChart {
                name: "cilium".to_owned(),
                version: "0.1.0".to_owned(),
                source: "cilium.tgz".to_owned(),
                digest: None,
            }],
        },
    )
}

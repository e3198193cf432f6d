//! What every field does when a cluster is made: an example of it is taken, or it is refused by its name.

use super::*;
use crate::remarks::remarks;
use crate::rules::validate;

/// What a field does when a cluster is made.
pub(super) enum AtCreation {
    /// What it decides, and an example of it.
    Decides(&'static str, &'static str),
    /// It is taken and does nothing, as a remark says; an example of it.
    Nothing(&'static str),
    /// It is refused; an example of it.
    Refused(&'static str),
}

use AtCreation::{Decides, Nothing, Refused};

pub(super) type CreationRow = (&'static str, AtCreation);

pub(super) const PEM: &str = r#""-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----\n""#;
const REFERENCE: &str = r#"{"kind": "TinkerbellMachineConfig", "name": "shed-worker"}"#;
const TAINTS: &str = r#"[{"key": "dedicated", "effect": "PreferNoSchedule"}]"#;
const HEALTH: &str = r#"{"maxUnhealthy": "50%", "nodeStartupTimeout": "30m0s"}"#;
const ROLLING: &str = r#"{"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}"#;
const IMAGE: &str = r#""http://192.0.2.9:8000/other-1.35.raw.zst""#;

const CLUSTER_AT_CREATION: &[CreationRow] = &[
    (
        "spec.kubernetesVersion",
        Decides("which Release is installed", "\"1.35\""),
    ),
    (
        "spec.controlPlaneConfiguration.count",
        Decides("members of the control plane", "3"),
    ),
    (
        "spec.controlPlaneConfiguration.endpoint",
        Decides("address of the API", r#"{"host": "192.0.2.51"}"#),
    ),
    (
        "spec.controlPlaneConfiguration.machineGroupRef",
        Decides("hardware and system of the control plane", REFERENCE),
    ),
    (
        "spec.controlPlaneConfiguration.taints",
        Decides("taints of its nodes", TAINTS),
    ),
    (
        "spec.controlPlaneConfiguration.labels",
        Decides("labels of its nodes", r#"{"rack": "r1"}"#),
    ),
    (
        "spec.controlPlaneConfiguration.upgradeRolloutStrategy",
        Decides("how its machines are exchanged later", ROLLING),
    ),
    (
        "spec.controlPlaneConfiguration.skipLoadBalancerDeployment",
        Decides(
            "nothing on the machines holds the endpoint: a load balancer of yours does",
            "true",
        ),
    ),
    (
        "spec.controlPlaneConfiguration.certSans",
        Decides("more names in the API's certificate", r#"["api.example.com"]"#),
    ),
    (
        "spec.controlPlaneConfiguration.machineHealthCheck",
        Decides("when its machines are replaced", HEALTH),
    ),
    (
        "spec.controlPlaneConfiguration.apiServerExtraArgs",
        Decides("flags of kube-apiserver", r#"{"v": "2"}"#),
    ),
    (
        "spec.controlPlaneConfiguration.kubeletConfiguration",
        Decides(
            "settings of its kubelets, by a patch of kubeadm",
            r#"{"maxPods": 50}"#,
        ),
    ),
    (
        "spec.controlPlaneConfiguration.auditPolicyContent",
        Decides(
            "policy of the audit log; without it one that notes no contents",
            r#""apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n""#,
        ),
    ),
    (
        "spec.controlPlaneConfiguration.skipAdmissionForSystemResources",
        Refused("true"),
    ),
    (
        "spec.workerNodeGroupConfigurations[].name",
        Decides("name of the group", "\"md-7\""),
    ),
    (
        "spec.workerNodeGroupConfigurations[].count",
        Decides("machines of the group", "2"),
    ),
    (
        "spec.workerNodeGroupConfigurations[].autoscalingConfiguration",
        Decides(
            "between which counts an autoscaler may choose, by the MachineDeployment of the group",
            r#"{"minCount": 1, "maxCount": 3}"#,
        ),
    ),
    (
        "spec.workerNodeGroupConfigurations[].machineGroupRef",
        Decides(
            "hardware and system of the group",
            r#"{"kind": "TinkerbellMachineConfig", "name": "shed-cp"}"#,
        ),
    ),
    (
        "spec.workerNodeGroupConfigurations[].taints",
        Decides("taints of its nodes", TAINTS),
    ),
    (
        "spec.workerNodeGroupConfigurations[].labels",
        Decides("labels of its nodes", r#"{"rack": "r1"}"#),
    ),
    (
        "spec.workerNodeGroupConfigurations[].upgradeRolloutStrategy",
        Decides("how its machines are exchanged later", ROLLING),
    ),
    (
        "spec.workerNodeGroupConfigurations[].kubernetesVersion",
        Decides(
            "version of its machines: the cluster's, which is meant without it, or the minor version before",
            "\"1.35\"",
        ),
    ),
    (
        "spec.workerNodeGroupConfigurations[].machineHealthCheck",
        Decides("when its machines are replaced", HEALTH),
    ),
    (
        "spec.workerNodeGroupConfigurations[].kubeletConfiguration",
        Decides(
            "settings of its kubelets, by a patch of kubeadm",
            r#"{"maxPods": 50}"#,
        ),
    ),
    (
        "spec.workerNodeGroupConfigurations[].failureDomains",
        Refused(r#"["a"]"#),
    ),
    (
        "spec.datacenterRef",
        Decides(
            "the site",
            r#"{"kind": "TinkerbellDatacenterConfig", "name": "shed"}"#,
        ),
    ),
    (
        "spec.identityProviderRefs",
        Decides(
            "an OIDCConfig: the oidc flags of kube-apiserver",
            r#"[{"kind": "OIDCConfig", "name": "shed-login"}]"#,
        ),
    ),
    (
        "spec.gitOpsRef",
        Nothing(r#"{"kind": "FluxConfig", "name": "x"}"#),
    ),
    (
        "spec.clusterNetwork.pods",
        Decides("range of the pods", r#"{"cidrBlocks": ["10.40.0.0/16"]}"#),
    ),
    (
        "spec.clusterNetwork.services",
        Decides("range of the services", r#"{"cidrBlocks": ["10.112.0.0/16"]}"#),
    ),
    (
        "spec.clusterNetwork.nodes",
        Decides("range of each node", r#"{"cidrMaskSize": 25}"#),
    ),
    (
        "spec.clusterNetwork.dns",
        Decides("resolv.conf of pods", r#"{"resolvConf": {"path": "/etc/x"}}"#),
    ),
    (
        "spec.clusterNetwork.cni",
        Decides(
            "the CNI by its old spelling, in place of cniConfig: cilium",
            "\"cilium\"",
        ),
    ),
    (
        "spec.clusterNetwork.cniConfig",
        Decides(
            "the CNI: flannel, or cilium with its fields",
            r#"{"cilium": {"policyEnforcementMode": "default"}}"#,
        ),
    ),
    (
        "spec.managementCluster",
        Decides(
            "the cluster that has to be there before this one is made, and is not deleted before it; their versions are independent",
            r#"{"name": "other"}"#,
        ),
    ),
    (
        "spec.proxyConfiguration",
        Decides(
            "proxy of containerd and the kubelet",
            r#"{"httpProxy": "proxy.example:3128", "httpsProxy": "proxy.example:3128"}"#,
        ),
    ),
    (
        "spec.registryMirrorConfiguration",
        Decides(
            "registries of containerd",
            r#"{"endpoint": "mirror.example", "authenticate": true}"#,
        ),
    ),
    ("spec.externalEtcdConfiguration", Refused(r#"{"count": 3}"#)),
    (
        "spec.podIamConfig",
        Decides(
            "issuer of the tokens of service accounts, for pods that log in to AWS",
            r#"{"serviceAccountIssuer": "https://issuer.example/x"}"#,
        ),
    ),
    ("spec.packages", Nothing(r#"{"disable": false}"#)),
    ("spec.bundlesRef", Nothing(r#"{"name": "x"}"#)),
    ("spec.eksaVersion", Nothing("\"v0.26.1\"")),
    (
        "spec.machineHealthCheck",
        Decides("when machines are replaced", HEALTH),
    ),
    ("spec.etcdEncryption", Refused(r#"[{"resources": ["secrets"]}]"#)),
    ("spec.licenseToken", Nothing("\"x\"")),
];

const DATACENTER_AT_CREATION: &[CreationRow] = &[
    (
        "spec.tinkerbellIP",
        Decides("address of the appliance", "\"192.0.2.6\""),
    ),
    ("spec.osImageURL", Decides("image of all machines", IMAGE)),
    ("spec.hookImagesURLPath", Nothing("\"http://192.0.2.9\"")),
    ("spec.skipLoadBalancerDeployment", Nothing("true")),
    ("spec.loadBalancerInterface", Nothing("\"eth0\"")),
    ("spec.isoBoot", Refused("true")),
    ("spec.hookIsoURL", Refused("\"http://192.0.2.9/x.iso\"")),
];

const MACHINE_CONFIG_AT_CREATION: &[CreationRow] = &[
    (
        "spec.hardwareSelector",
        Decides("which hardware is taken", r#"{"type": "other"}"#),
    ),
    (
        "spec.hardwareAffinity",
        Decides(
            "which hardware is taken, in place of the selector",
            r#"{"required": [{"labelSelector": {"matchLabels": {"type": "x"}}}]}"#,
        ),
    ),
    (
        "spec.templateRef",
        Decides(
            "workflow that installs the machines",
            r#"{"kind": "TinkerbellTemplateConfig", "name": "shed-t"}"#,
        ),
    ),
    (
        "spec.osFamily",
        Decides(
            "system of the image: debian for one of Gantry's own, ubuntu or redhat for one of yours",
            "\"debian\"",
        ),
    ),
    ("spec.osImageURL", Decides("image of these machines", IMAGE)),
    (
        "spec.users",
        Decides(
            "users of the system, several with several keys each",
            r#"[{"name": "a", "sshAuthorizedKeys": ["ssh-ed25519 AAAA a", "ssh-ed25519 BBBB b"]}, {"name": "b"}]"#,
        ),
    ),
    (
        "spec.hostOSConfiguration.ntpConfiguration",
        Decides(
            "time servers that the system asks, before it becomes a node and later",
            r#"{"servers": ["192.0.2.1", "ntp.example.com"]}"#,
        ),
    ),
    (
        "spec.hostOSConfiguration.certBundles",
        Decides("authorities that the system trusts", PEM),
    ),
    (
        "spec.hostOSConfiguration.bottlerocketConfiguration",
        Refused(r#"{"kernel": {}}"#),
    ),
];

const TEMPLATE_AT_CREATION: &[CreationRow] = &[(
    "spec.template",
    Decides("the workflow", r#"{"version": "0.1", "name": "x", "tasks": []}"#),
)];

const OIDC_CONFIG_AT_CREATION: &[CreationRow] = &[
    ("spec.clientId", Decides("audience of the tokens", "\"x\"")),
    (
        "spec.issuerUrl",
        Decides("who issues them", "\"https://login.example/x\""),
    ),
    ("spec.groupsClaim", Decides("claim with the groups", "\"groups\"")),
    (
        "spec.groupsPrefix",
        Decides("what goes in front of them", "\"oidc:\""),
    ),
    (
        "spec.requiredClaims",
        Decides(
            "a claim that tokens must have",
            r#"[{"claim": "team", "value": "x"}]"#,
        ),
    ),
    (
        "spec.usernameClaim",
        Decides("claim with the name of the user", "\"email\""),
    ),
    (
        "spec.usernamePrefix",
        Decides("what goes in front of it", "\"oidc:\""),
    ),
];

/// The rules of a kind: its name, what its fields do at creation, what becomes of a change, and access to its spec.
pub(super) type KindOfDocument = (&'static str, &'static [CreationRow], &'static [Row], Spec);

/// Those of bare metal.
pub(super) fn kinds() -> [KindOfDocument; 5] {
    let [cluster, datacenter, machine_config, template, provider] = specs();
    [
        ("Cluster", CLUSTER_AT_CREATION, CLUSTER, cluster),
        (
            "TinkerbellDatacenterConfig",
            DATACENTER_AT_CREATION,
            DATACENTER,
            datacenter,
        ),
        (
            "TinkerbellMachineConfig",
            MACHINE_CONFIG_AT_CREATION,
            MACHINE_CONFIG,
            machine_config,
        ),
        (
            "TinkerbellTemplateConfig",
            TEMPLATE_AT_CREATION,
            TEMPLATE,
            template,
        ),
        (OIDC, OIDC_CONFIG_AT_CREATION, OIDC_CONFIG, provider),
    ]
}

/// The bundle with a value in a field, and the field's path as people read it.
pub(super) fn with(kind: &str, row: &str, example: &str, (read, write): Spec) -> (ClusterBundle, String) {
    let mut bundle = bundle();
    let mut spec = read(&bundle);
    let value = serde_json::from_str(example).unwrap();
    // Fields that exclude each other.
    match (kind, row) {
        ("Cluster", "spec.clusterNetwork.cni") => spec["clusterNetwork"]["cniConfig"] = json!(null),
        ("TinkerbellMachineConfig", "spec.hardwareAffinity") => spec["hardwareSelector"] = json!({}),
        ("TinkerbellMachineConfig", "spec.osImageURL") => {
            for config in bundle.machine_configs.values_mut() {
                config.spec.os_image_url = bundle.datacenter.spec.os_image_url.clone();
            }
            bundle.datacenter.spec.os_image_url = None;
        }
        _ => {}
    }
    let (place, path) = field(&mut spec, row);
    *place = match row {
        "spec.hostOSConfiguration.certBundles" => json!([{ "name": "site", "data": value }]),
        _ => value,
    };
    write(&mut bundle, spec);
    (bundle, path)
}

/// What is said of a field, by these violations.
pub(super) fn said(found: &[Violation], kind: &str, path: &str) -> Option<String> {
    let mut found = found.iter();
    let of_field = found.find(|violation| violation.kind == kind && violation.path.starts_with(path));
    of_field.map(|violation| violation.message.clone())
}

#[test]
fn every_field_does_what_the_table_says_when_a_cluster_is_made() {
    let releases = crate::releases::tests::releases(&["v1.35.4"]);
    for (kind, rows, decisions, spec) in kinds() {
        let named: Vec<&str> = rows.iter().map(|(row, _)| *row).collect();
        let decided: Vec<&str> = decisions.iter().map(|(row, _)| *row).collect();
        assert_eq!(
            named, decided,
            "{kind}: one row for each field, in the same order"
        );
        for (row, effect) in rows {
            let (Decides(_, example) | Nothing(example) | Refused(example)) = effect;
            let (bundle, path) = with(kind, row, example, spec);
            let (found, noted) = (validate(&bundle, &releases), remarks(&bundle, &releases));
            let (refused, remark) = (said(&found, kind, &path), said(&noted, kind, &path));
            match effect {
                Decides(..) => assert_eq!((found, remark), (vec![], None), "{kind} {row}"),
                Nothing(_) => {
                    assert_eq!(found, [], "{kind} {row}");
                    assert!(remark.is_some(), "{kind} {row}: {noted:?}");
                }
                Refused(_) => assert!(refused.is_some(), "{kind} {row}: {found:?}"),
            }
        }
    }
}

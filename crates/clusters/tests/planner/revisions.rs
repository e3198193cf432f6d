//! Every field whose change is rolled out is part of what machines are made of: it changes the revision of the pools that it is
//! about, and of no other.

use std::collections::{BTreeMap, BTreeSet};

use cluster_spec::{ChangeEffect, ClusterBundle, OIDC, update, with_defaults};
use clusters::Wanted;
use clusters_sim::{NewCluster, release};
use kube::ResourceExt as _;
use resources::anywhere::{
    ControlPlaneConfiguration, ObjectRef, OidcConfig, OidcConfigSpec, RequiredClaim,
    TinkerbellMachineConfigSpec, TinkerbellTemplateConfig, TinkerbellTemplateConfigSpec,
};
use resources::keys;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::vsphere_changes;

/// The page that says of each field what becomes of its change; cluster-spec writes it from the table that it carries out.
const PAGE: &str = include_str!("../../../../docs/cluster-fields.md");

/// Fields of the page whose change exchanges machines, with their kind.
fn rolled_out() -> BTreeSet<(String, String)> {
    let mut kind = "";
    let mut found = BTreeSet::new();
    for line in PAGE.lines() {
        kind = line.strip_prefix("## ").unwrap_or(kind);
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, field, _, "machines are exchanged", _] = columns.as_slice() {
            found.insert((kind.to_owned(), field.trim_matches('`').to_owned()));
        }
    }
    found
}

fn reference(kind: &str, name: &str) -> ObjectRef {
    ObjectRef {
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// A cluster with a workflow of its own for its workers and an identity provider.
fn base() -> ClusterBundle {
    let mut bundle = NewCluster::default().documents();
    let spec = OidcConfigSpec {
        client_id: "demo".to_owned(),
        issuer_url: "https://login.example".to_owned(),
        ..OidcConfigSpec::default()
    };
    for name in ["login", "other"] {
        let provider = OidcConfig::new(name, spec.clone());
        bundle.oidc_configs.insert(name.to_owned(), provider);
        let template = TinkerbellTemplateConfigSpec {
            template: json!({ "name": name }),
        };
        let template = TinkerbellTemplateConfig::new(name, template);
        bundle.templates.insert(name.to_owned(), template);
    }
    bundle.cluster.spec.identity_provider_refs = vec![reference(OIDC, "login")];
    let annotations = bundle.cluster.annotations_mut();
    annotations.insert(keys::CONTROL_PLANE_VIP.to_owned(), "kube-vip".to_owned());
    workers(&mut bundle).template_ref = Some(reference("TinkerbellTemplateConfig", "login"));
    with_defaults(bundle)
}

fn workers(bundle: &mut ClusterBundle) -> &mut TinkerbellMachineConfigSpec {
    &mut bundle.machine_configs.get_mut("demo-md").unwrap().spec
}

fn control(bundle: &mut ClusterBundle) -> &mut ControlPlaneConfiguration {
    &mut bundle.cluster.spec.control_plane_configuration
}

fn provider(bundle: &mut ClusterBundle) -> &mut OidcConfigSpec {
    &mut bundle.oidc_configs.get_mut("login").unwrap().spec
}

pub(crate) fn parsed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A change of a field, and the pools whose machines are made of it.
pub(crate) type Change = (
    &'static str,
    &'static str,
    fn(&mut ClusterBundle),
    &'static [&'static str],
);

const CHANGES: &[Change] = &[
    (
        "Cluster",
        "controlPlaneConfiguration.certSans",
        |b| control(b).cert_sans.push("api.example.com".to_owned()),
        &["cp"],
    ),
    (
        "Cluster",
        "controlPlaneConfiguration.apiServerExtraArgs",
        |b| {
            control(b)
                .api_server_extra_args
                .extend([("v".to_owned(), "2".to_owned())])
        },
        &["cp"],
    ),
    (
        "Cluster",
        "controlPlaneConfiguration.kubeletConfiguration",
        |b| control(b).kubelet_configuration = Some(json!({ "maxPods": 50 })),
        &["cp"],
    ),
    (
        "Cluster",
        "controlPlaneConfiguration.auditPolicyContent",
        |b| control(b).audit_policy_content = Some("a policy".to_owned()),
        &["cp"],
    ),
    (
        "Cluster",
        "workerNodeGroupConfigurations[].kubeletConfiguration",
        |b| {
            let group = &mut b.cluster.spec.worker_node_group_configurations[0];
            group.kubelet_configuration = Some(json!({ "maxPods": 50 }));
        },
        &["md-0"],
    ),
    (
        "Cluster",
        "identityProviderRefs",
        |b| b.cluster.spec.identity_provider_refs.clear(),
        &["cp"],
    ),
    (
        "Cluster",
        "proxyConfiguration",
        |b| b.cluster.spec.proxy_configuration = parsed(json!({ "httpProxy": "p:1", "httpsProxy": "p:1" })),
        &["cp", "md-0"],
    ),
    (
        "Cluster",
        "registryMirrorConfiguration",
        |b| b.cluster.spec.registry_mirror_configuration = parsed(json!({ "endpoint": "mirror" })),
        &["cp", "md-0"],
    ),
    (
        "TinkerbellDatacenterConfig",
        "osImageURL",
        |b| b.datacenter.spec.os_image_url = Some("file:///srv/other-1.35.raw".to_owned()),
        &["cp", "md-0"],
    ),
    (
        "TinkerbellMachineConfig",
        "templateRef",
        |b| workers(b).template_ref = Some(reference("TinkerbellTemplateConfig", "other")),
        &["md-0"],
    ),
    (
        "TinkerbellMachineConfig",
        "osImageURL",
        |b| workers(b).os_image_url = Some("file:///srv/other-1.35.raw".to_owned()),
        &["md-0"],
    ),
    (
        "TinkerbellMachineConfig",
        "hostOSConfiguration.ntpConfiguration",
        |b| {
            let settings = json!({ "ntpConfiguration": { "servers": ["192.0.2.123"] } });
            workers(b).host_os_configuration = parsed(settings);
        },
        &["md-0"],
    ),
    (
        "TinkerbellMachineConfig",
        "hostOSConfiguration.certBundles",
        |b| {
            let settings = json!({ "certBundles": [{ "name": "site", "data": "certificates" }] });
            workers(b).host_os_configuration = parsed(settings);
        },
        &["md-0"],
    ),
    (
        "TinkerbellTemplateConfig",
        "template",
        |b| b.templates.get_mut("login").unwrap().spec.template = json!({ "name": "new" }),
        &["md-0"],
    ),
    (
        ANNOTATION,
        keys::KUBE_VIP_IMAGE,
        |b| {
            let image = "mirror.example/kube-vip:v1.2.1".to_owned();
            b.cluster
                .annotations_mut()
                .insert(keys::KUBE_VIP_IMAGE.to_owned(), image);
        },
        &["cp"],
    ),
    (OIDC, "clientId", |b| provider(b).client_id.push('x'), &["cp"]),
    (OIDC, "issuerUrl", |b| provider(b).issuer_url.push('x'), &["cp"]),
    (
        OIDC,
        "groupsClaim",
        |b| provider(b).groups_claim = Some("x".to_owned()),
        &["cp"],
    ),
    (
        OIDC,
        "groupsPrefix",
        |b| provider(b).groups_prefix = Some("x".to_owned()),
        &["cp"],
    ),
    (
        OIDC,
        "requiredClaims",
        |b| {
            provider(b).required_claims.push(RequiredClaim {
                claim: "team".to_owned(),
                value: "rack".to_owned(),
            });
        },
        &["cp"],
    ),
    (
        OIDC,
        "usernameClaim",
        |b| provider(b).username_claim = Some("x".to_owned()),
        &["cp"],
    ),
    (
        OIDC,
        "usernamePrefix",
        |b| provider(b).username_prefix = Some("x".to_owned()),
        &["cp"],
    ),
];

/// Where the page names annotations.
const ANNOTATION: &str = "Annotations of a Cluster";

fn json_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn what_is_rolled_out_is_part_of_what_machines_are_made_of() {
    let all = [CHANGES, vsphere_changes::CHANGES];
    let named: BTreeSet<(String, String)> = all
        .iter()
        .copied()
        .flatten()
        .map(|(kind, field, ..)| ((*kind).to_owned(), (*field).to_owned()))
        .collect();
    assert_eq!(
        named,
        rolled_out(),
        "one change for each field that is rolled out"
    );
    check(&base(), CHANGES);
    check(&vsphere_changes::base(), vsphere_changes::CHANGES);
}

fn check(old: &ClusterBundle, changes: &[Change]) {
    let release = release().spec;
    let revisions = |bundle: &ClusterBundle| Wanted::new(bundle, &release, None).revisions();
    let before: BTreeMap<String, String> = revisions(old);
    for (kind, field, change, pools) in changes {
        let mut new = old.clone();
        change(&mut new);
        let new = with_defaults(new);
        let compared = update(old, &new, &[]);
        let (of_kind, wanted_path) = match *kind {
            ANNOTATION => ("Cluster", format!("metadata.annotations[{field}]")),
            kind => (kind, format!("spec.{field}")),
        };
        let at = |path: &str| path.replace("[0]", "[]") == wanted_path;
        assert!(
            compared.changed.iter().all(|changed| {
                changed.kind == of_kind && at(&changed.path) && changed.effect == ChangeEffect::NewMachines
            }) && !compared.changed.is_empty(),
            "{kind} {field}: {:?}",
            compared.changed
        );
        let after = revisions(&compared.effective);
        let changed: Vec<&str> = before
            .iter()
            .filter(|(pool, revision)| after[*pool] != **revision)
            .map(|(pool, _)| pool.as_str())
            .collect();
        assert_eq!(
            changed,
            *pools,
            "{kind} {field}: {}",
            json_of(&compared.effective.cluster.spec)
        );
    }
}

//! What every field of a vCenter's documents does: when a cluster is made it shows in what the driver is to make, in a remark, or
//! it is refused by its name; and what becomes of a change.

use resources::anywhere::{DockerDatacenterConfig, VSphereDatacenterConfig, VSphereMachineConfig};
use resources::gantry::ComponentImage;

use super::creation::AtCreation::{self, Decides, Nothing, Refused};
use super::creation::{CreationRow, KindOfDocument, PEM, said};
use super::*;
use crate::remarks::remarks;
use crate::rules::validate;
use crate::virtual_site::VSphereSite;

const DATACENTER_AT_CREATION: &[CreationRow] = &[
    (
        "spec.datacenter",
        Decides("datacenter of the machines", "\"hall-2\""),
    ),
    (
        "spec.network",
        Decides("network of the machines", "\"/hall-1/network/other\""),
    ),
    ("spec.server", Nothing("\"other.example.com\"")),
    ("spec.thumbprint", Nothing("\"AA:BB:CC\"")),
    ("spec.insecure", Nothing("true")),
    (
        "spec.failureDomains",
        Decides(
            "other places, of which a worker group names one; what they say goes before the machine configuration",
            r#"[{"name": "fd-1", "computeCluster": "c", "resourcePool": "p", "datastore": "d", "folder": "f", "network": "n"}]"#,
        ),
    ),
];

const MACHINE_CONFIG_AT_CREATION: &[CreationRow] = &[
    (
        "spec.diskGiB",
        Decides("size of the root disk; 25 without it", "40"),
    ),
    ("spec.datastore", Decides("datastore of the disks", "\"hdd\"")),
    ("spec.folder", Decides("folder of the machines", "\"other\"")),
    ("spec.numCPUs", Decides("virtual processors; 2 without it", "4")),
    ("spec.memoryMiB", Decides("memory; 8192 without it", "4096")),
    (
        "spec.osFamily",
        Decides(
            "system of the template, the same for all machines: ubuntu or redhat for one of yours, debian for one of Gantry's",
            "\"redhat\"",
        ),
    ),
    (
        "spec.resourcePool",
        Decides("resource pool of the machines", "\"other\""),
    ),
    (
        "spec.storagePolicyName",
        Decides("storage policy of the disks", "\"gold\""),
    ),
    (
        "spec.template",
        Decides(
            "what the machines are cloned from; nothing is imported",
            "\"other-1-35\"",
        ),
    ),
    (
        "spec.users",
        Decides(
            "users of the system; capv without it",
            r#"[{"name": "a", "sshAuthorizedKeys": ["ssh-ed25519 AAAA a"]}]"#,
        ),
    ),
    (
        "spec.tags",
        Decides(
            "tags of the machines, by id",
            r#"["urn:vmomi:InventoryServiceTag:1:GLOBAL"]"#,
        ),
    ),
    (
        "spec.cloneMode",
        Decides("how the template is cloned", "\"fullClone\""),
    ),
    (
        "spec.networks",
        Decides(
            "up to two networks of workers, instead of that of the datacenter",
            r#"["/hall-1/network/a", "/hall-1/network/b"]"#,
        ),
    ),
    (
        "spec.hostOSConfiguration.ntpConfiguration",
        Decides(
            "time servers that the system asks, before it becomes a node and later",
            r#"{"servers": ["192.0.2.1"]}"#,
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

/// Releases with everything that a cluster in a vCenter needs.
pub(super) fn releases() -> Vec<Release> {
    let mut releases = crate::releases::tests::releases(&["v1.35.4"]);
    for release in &mut releases {
        release.spec.components.push(ComponentImage {
            name: "kube-vip".to_owned(),
            image: "ghcr.io/kube-vip/kube-vip:v1.2.0".to_owned(),
            digest: None,
        });
    }
    releases
}

fn bundle() -> ClusterBundle {
    let text = include_str!("../../../tests/eksa/vsphere.yaml");
    let bundle = crate::parse(text, "vsphere.yaml", &releases());
    bundle.unwrap_or_else(|problems| panic!("{problems}"))
}

/// The cluster in which a field shows. What a failure domain says goes before a machine configuration, so there is none where that
/// is looked at.
fn base(row: &str) -> ClusterBundle {
    let mut bundle = bundle();
    if row != "spec.failureDomains" {
        for group in &mut bundle.cluster.spec.worker_node_group_configurations {
            group.failure_domains.clear();
        }
    }
    bundle
}

fn site(bundle: &ClusterBundle) -> &VSphereSite {
    bundle.virtual_site.as_ref().unwrap().vsphere().unwrap()
}

fn site_mut(bundle: &mut ClusterBundle) -> &mut VSphereSite {
    match &mut bundle.virtual_site {
        Some(VirtualSite::VSphere(site)) => site,
        other => panic!("{other:?}"),
    }
}

/// The kinds of a vCenter.
pub(super) fn kinds() -> [KindOfDocument; 2] {
    [
        (
            "VSphereDatacenterConfig",
            DATACENTER_AT_CREATION,
            VSPHERE_DATACENTER,
            (
                |bundle| json!(site(bundle).datacenter.spec),
                |bundle, spec| site_mut(bundle).datacenter.spec = serde_json::from_value(spec).unwrap(),
            ),
        ),
        (
            "VSphereMachineConfig",
            MACHINE_CONFIG_AT_CREATION,
            VSPHERE_MACHINE_CONFIG,
            (
                |bundle| json!(site(bundle).machine_configs["shed"].spec),
                |bundle, spec| {
                    let config = site_mut(bundle).machine_configs.get_mut("shed").unwrap();
                    config.spec = serde_json::from_value(spec).unwrap();
                },
            ),
        ),
    ]
}

/// The bundle with a value in a field, and the field's path as people read it.
pub(super) fn with(_: &str, row: &str, example: &str, (read, write): Spec) -> (ClusterBundle, String) {
    let mut bundle = base(row);
    let mut spec = read(&bundle);
    let value: Value = serde_json::from_str(example).unwrap();
    let (place, path) = field(&mut spec, row);
    *place = match row {
        "spec.hostOSConfiguration.certBundles" => json!([{ "name": "site", "data": value }]),
        _ => value.clone(),
    };
    write(&mut bundle, spec);
    if row == "spec.osFamily" {
        // All machines of a cluster have the same.
        let family: resources::anywhere::OsFamily = serde_json::from_value(value).unwrap();
        for config in site_mut(&mut bundle).machine_configs.values_mut() {
            config.spec.os_family = Some(family);
        }
    }
    (crate::with_defaults(bundle), path)
}

/// What the driver and the systems of all machines are told.
fn made(bundle: &ClusterBundle) -> Value {
    let release = &releases()[0].spec;
    let groups = bundle.groups();
    let all = groups.iter().map(|group| {
        json!({
            "machine": bundle.plugin_machine(group), "source": bundle.source_of(group, release),
            "domain": bundle.failure_domain(group).map(|domain| &domain.name), "system": group.os_family(),
            "users": group.users(), "settings": group.host_os(),
        })
    });
    all.collect()
}

#[test]
fn every_field_of_a_vcenter_shows_in_its_machines_in_a_remark_or_is_refused() {
    let releases = releases();
    for (kind, rows, decisions, spec) in kinds() {
        let named: Vec<&str> = rows.iter().map(|(row, _)| *row).collect();
        let decided: Vec<&str> = decisions.iter().map(|(row, _)| *row).collect();
        assert_eq!(
            named, decided,
            "{kind}: one row for each field, in the same order"
        );
        for (row, effect) in rows {
            let (AtCreation::Decides(_, example) | Nothing(example) | Refused(example)) = effect;
            let (bundle, path) = with(kind, row, example, spec);
            let (found, noted) = (validate(&bundle, &releases), remarks(&bundle, &releases));
            let is_seen = made(&bundle) != made(&base(row));
            match effect {
                Decides(..) => assert_eq!((found, is_seen), (vec![], true), "{kind} {row}"),
                Nothing(_) => {
                    assert_eq!((found, is_seen), (vec![], false), "{kind} {row}");
                    assert!(said(&noted, kind, &path).is_some(), "{kind} {row}: {noted:?}");
                }
                Refused(_) => assert!(said(&found, kind, &path).is_some(), "{kind} {row}: {found:?}"),
            }
        }
    }
}

#[test]
fn every_field_of_a_vcenter_has_a_row_and_docker_has_no_field() {
    check_rows(&schema::<VSphereDatacenterConfig>(), VSPHERE_DATACENTER);
    check_rows(&schema::<VSphereMachineConfig>(), VSPHERE_MACHINE_CONFIG);
    let docker = schema::<DockerDatacenterConfig>();
    assert_eq!(docker.get("properties"), None, "{docker}");
}

#[test]
fn a_change_of_any_field_of_a_vcenter_is_carried_out_or_refused_by_its_name() {
    let [datacenter, machine_config] = kinds();
    let (of_datacenter, of_machines) = (
        schema::<VSphereDatacenterConfig>(),
        schema::<VSphereMachineConfig>(),
    );
    check_changes(bundle, &of_datacenter, VSPHERE_DATACENTER, datacenter.3);
    check_changes(bundle, &of_machines, VSPHERE_MACHINE_CONFIG, machine_config.3);
}

#[test]
fn recorded_documents_make_the_same_cluster_again() {
    let bundle = bundle();
    let again = ClusterBundle::from_documents(&bundle.name(), "eksa-system", &bundle.documents());
    assert_eq!(made(&again), made(&bundle));
    assert_eq!(update(&again, &bundle, &[]).changed, []);
}

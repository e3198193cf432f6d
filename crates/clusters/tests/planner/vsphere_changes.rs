//! Changes of the documents of a cluster in a vCenter, each of one field that is rolled out.

use cluster_spec::{ClusterBundle, VSphereSite, VirtualSite, with_defaults};
use clusters_sim::vsphere_documents;
use resources::anywhere::{CloneMode, VSphereMachineConfigSpec};
use serde_json::json;

use crate::revisions::{Change, parsed};

const DATACENTER: &str = "VSphereDatacenterConfig";
const MACHINE: &str = "VSphereMachineConfig";
const BOTH: &[&str] = &["cp", "md-0"];

/// One kind of machine for all, and workers in another place.
pub(crate) fn base() -> ClusterBundle {
    let mut bundle = vsphere_documents("templates/ubuntu-1.35");
    site(&mut bundle).datacenter.spec.failure_domains = vec![parsed(json!({ "name": "east" }))];
    bundle.cluster.spec.worker_node_group_configurations[0].failure_domains = vec!["east".to_owned()];
    with_defaults(bundle)
}

fn site(bundle: &mut ClusterBundle) -> &mut VSphereSite {
    match &mut bundle.virtual_site {
        Some(VirtualSite::VSphere(site)) => site,
        other => panic!("no vCenter: {other:?}"),
    }
}

fn machines(bundle: &mut ClusterBundle) -> &mut VSphereMachineConfigSpec {
    &mut site(bundle).machine_configs.get_mut("demo").unwrap().spec
}

pub(crate) const CHANGES: &[Change] = &[
    (
        DATACENTER,
        "failureDomains",
        |b| site(b).datacenter.spec.failure_domains[0].datastore = "fast".to_owned(),
        &["md-0"],
    ),
    (MACHINE, "diskGiB", |b| machines(b).disk_gib = Some(40), BOTH),
    (
        MACHINE,
        "datastore",
        |b| machines(b).datastore = "slow".to_owned(),
        BOTH,
    ),
    (
        MACHINE,
        "folder",
        |b| machines(b).folder = Some("other".to_owned()),
        BOTH,
    ),
    (MACHINE, "numCPUs", |b| machines(b).num_cpus = Some(8), BOTH),
    (
        MACHINE,
        "memoryMiB",
        |b| machines(b).memory_mib = Some(16384),
        BOTH,
    ),
    (
        MACHINE,
        "resourcePool",
        |b| machines(b).resource_pool = "other".to_owned(),
        BOTH,
    ),
    (
        MACHINE,
        "template",
        |b| machines(b).template = Some("templates/ubuntu-1.35-b".to_owned()),
        BOTH,
    ),
    (
        MACHINE,
        "tags",
        |b| machines(b).tags = vec!["urn:vmomi:InventoryServiceTag:1".to_owned()],
        BOTH,
    ),
    (
        MACHINE,
        "cloneMode",
        |b| machines(b).clone_mode = Some(CloneMode::LinkedClone),
        BOTH,
    ),
    (
        MACHINE,
        "networks",
        |b| machines(b).networks = vec!["storage".to_owned()],
        BOTH,
    ),
    (
        MACHINE,
        "hostOSConfiguration.ntpConfiguration",
        |b| {
            let settings = json!({ "ntpConfiguration": { "servers": ["192.0.2.123"] } });
            machines(b).host_os_configuration = parsed(settings);
        },
        BOTH,
    ),
    (
        MACHINE,
        "hostOSConfiguration.certBundles",
        |b| {
            let settings = json!({ "certBundles": [{ "name": "site", "data": "certificates" }] });
            machines(b).host_os_configuration = parsed(settings);
        },
        BOTH,
    ),
];

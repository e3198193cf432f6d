//! Machines that nodes are already.

use resources::bmc::BmcInventory;
use resources::gantry::{AdoptedNode, CertificateRepair, Inventory, Quarantine, Restored};
use resources::tinkerbell::{Dhcp, HardwareInterface, Ip};

use super::*;
use crate::status::observed;

const UUID: &str = "22988ada-3f61-4c68-932c-a630b89284e0";
const OTHER: &str = "22988ada-3f61-4c68-932c-a630b89284e1";

/// A pending machine that is to be the node on `node-a`, whose record is from a backup.
fn adopting() -> Snapshot {
    let mut snapshot = snapshot(MetalState::Pending);
    snapshot.machine.spec.installation = 1;
    snapshot.machine.spec.adopts = Some(AdoptedNode {
        node: "node-a".into(),
        provider_id: "tinkerbell://site/node-a".into(),
        address: "192.0.2.11".into(),
        system_uuid: Some(UUID.into()),
    });
    snapshot.servers.retain(|server| server.name_any() == "node-a");
    snapshot.servers[0].metadata.namespace = Some("site".into());
    snapshot.servers[0].spec.restored = Some(Restored {
        backup_at: Some(Time(START)),
        at: Time(START),
    });
    let interface = HardwareInterface {
        dhcp: Some(Dhcp {
            mac: Some("52:54:00:00:00:01".parse().unwrap()),
            hostname: Some("node-a".into()),
            ip: Some(Ip {
                address: Some("192.0.2.11".into()),
                ..Ip::default()
            }),
            ..Dhcp::default()
        }),
        ..HardwareInterface::default()
    };
    snapshot.hardware.get_mut("node-a").unwrap().spec.interfaces = vec![interface];
    told_by_bmc(&mut snapshot, Some(UUID));
    snapshot
}

fn told_by_bmc(snapshot: &mut Snapshot, uuid: Option<&str>) {
    let mut bmc: bmc::Machine = serde_json::from_value(serde_json::json!({
        "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": "bmc"},
        "spec": {"connection": {"host": "192.0.2.21", "authSecretRef": {"name": "a", "namespace": "n"}}}
    }))
    .unwrap();
    let known = BmcInventory {
        host: "192.0.2.21".into(),
        uuid: uuid.map(str::to_owned),
        serial: None,
        macs: Vec::new(),
        problem: None,
        at: Time(START),
    };
    let known = serde_json::to_string(&known).unwrap();
    bmc.annotations_mut().insert(keys::BMC_INVENTORY.into(), known);
    snapshot.bmc = Some(bmc);
}

fn told_by_installer(snapshot: &mut Snapshot, uuid: &str) {
    let status = snapshot.servers[0].status.as_mut().unwrap();
    status.inventory = Some(Inventory {
        uuid: Some(uuid.into()),
        ..Inventory::default()
    });
}

fn taken(mut snapshot: Snapshot) -> Snapshot {
    snapshot.servers[0].spec.claim = Some(Claim {
        kind: "ProviderMachine".into(),
        name: "blue-cp-0".into(),
        namespace: "site".into(),
        adopted: true,
        at: Some(Time(at(2))),
        ..Claim::default()
    });
    snapshot.servers[0].spec.restored = None;
    snapshot
}

fn claim() -> Step {
    Step::Do(Effect::Claim {
        server: "node-a".into(),
    })
}

#[track_caller]
fn refused(change: impl Fn(&mut Snapshot), part: &str) {
    let mut snapshot = adopting();
    change(&mut snapshot);
    match decide(&snapshot, at(1)) {
        Step::Go { state, reason, .. } => {
            assert_eq!(state, MetalState::Failed);
            assert!(reason.contains(part), "{part:?}: {reason}");
        }
        step => panic!("{part:?}: {step:?}"),
    }
}

#[test]
fn the_server_of_the_node_is_claimed_and_nothing_is_installed() {
    assert_eq!(decide(&adopting(), at(1)), claim());
    // As SMBIOS stores it.
    let mut swapped = adopting();
    told_by_bmc(&mut swapped, Some("DA8A9822-613F-684C-932C-A630B89284E0"));
    assert_eq!(decide(&swapped, at(1)), claim());
    let mut by_installer = adopting();
    by_installer.bmc = None;
    told_by_installer(&mut by_installer, UUID);
    assert_eq!(decide(&by_installer, at(1)), claim());

    let mut running = taken(adopting());
    assert_eq!(go(&decide(&running, at(3))), Some(MetalState::Running));
    running.machine.status = Some(observed(&running));
    let status = running.machine.status.as_mut().unwrap();
    assert_eq!(status.host.as_deref(), Some("node-a"));
    assert_eq!(status.provider_id.as_deref(), Some("tinkerbell://site/node-a"));
    assert_eq!(status.addresses.len(), 2);
    assert_eq!((status.installation, status.workflow.clone()), (Some(1), None));
    assert_eq!(status.bootstrap_done_at, Some(Time(at(2))));
    assert_eq!(status.bootstrap_requested_at, Some(Time(at(2))));
    MetalState::Running.enter(status);
    assert_eq!(decide(&running, at(4)), Step::done("runs"));
    assert_eq!(
        observed(&running).bootstrap_done_at,
        Some(Time(at(2))),
        "it stays what it was"
    );
}

#[test]
fn a_node_is_never_installed_anew_or_repaired() {
    let mut running = taken(adopting());
    running.machine.status = Some(observed(&running));
    MetalState::Running.enter(running.machine.status.as_mut().unwrap());
    running.machine.spec.installation = 2;
    let Step::Done { reason: Some(reason) } = decide(&running, at(4)) else {
        panic!("{:?}", decide(&running, at(4)))
    };
    assert!(reason.contains("was adopted and is left alone"), "{reason}");
    running.machine.spec.installation = 1;
    running.machine.spec.certificate_repair = Some(CertificateRepair {
        number: 7,
        node: "node-a".into(),
    });
    let answer = observed(&running).certificate_repair.unwrap();
    assert_eq!(answer.number, 7);
    assert!(answer.failure.unwrap().contains("kubeadm certs renew all"));
    running.machine.status = Some(observed(&running));
    assert_eq!(decide(&running, at(5)), Step::done("runs"));
}

/// No attempt says that anything ever ran on its server.
#[test]
fn an_adopted_node_runs_until_its_power_is_off() {
    let mut releasing = taken(adopting());
    MetalState::Releasing.enter(releasing.machine.status.as_mut().unwrap());
    releasing.machine.metadata.deletion_timestamp = Some(Time(at(5)));
    assert!(matches!(
        decide(&releasing, at(5)),
        Step::Do(Effect::PowerOff { .. })
    ));
    (releasing.bmc, releasing.servers[0].spec.bmc) = (None, None);
    let Step::Wait { reason, .. } = decide(&releasing, at(5)) else {
        panic!("{:?}", decide(&releasing, at(5)))
    };
    assert!(
        reason.contains("nobody but you can tell that it is off"),
        "{reason}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    refused(
        |s| s.servers.clear(),
        "no server is named by tinkerbell://site/node-a",
    );
    refused(
        |s| node(s).address = "192.0.2.12".into(),
        "Hardware node-a names 192.0.2.11",
    );
    refused(|s| node(s).node = "node-b".into(), "the node is called node-b");
    refused(|s| node(s).system_uuid = None, "tells no UUID");
    refused(
        |s| node(s).system_uuid = Some("00000000-0000-0000-0000-000000000000".into()),
        "tells no UUID",
    );
    refused(
        |s| told_by_bmc(s, Some(OTHER)),
        &format!("has {OTHER} by the word of its BMC"),
    );
    refused(
        |s| {
            s.bmc = None;
            told_by_installer(s, OTHER);
        },
        "by the word of an installer",
    );
    refused(
        |s| s.servers[0].status.as_mut().unwrap().power = Some("off".into()),
        "says that it is off",
    );
    refused(
        |s| s.servers[0].metadata.deletion_timestamp = Some(Time(START)),
        "is being deleted",
    );
    refused(
        |s| {
            s.servers[0].spec.claim = Some(Claim {
                kind: "ProviderMachine".into(),
                name: "red-md-0-1".into(),
                ..Claim::default()
            });
        },
        "is claimed by ProviderMachine red-md-0-1",
    );
    refused(
        |s| {
            let hardware = s.hardware.get_mut("node-a").unwrap();
            hardware
                .labels_mut()
                .insert(keys::OWNER_NAME.into(), "capi".into());
        },
        "is owned by capi",
    );
    refused(
        |s| {
            s.servers[0].spec.quarantine = Some(Quarantine {
                reason: "fan".into(),
                at: None,
            });
        },
        "is quarantined (fan)",
    );
    refused(
        |s| {
            s.servers[0].spec.attempt = Some(Attempt {
                number: 3,
                workflow: "mine".into(),
                ..Attempt::default()
            });
        },
        "workflow mine works on node-a",
    );
}

fn node(snapshot: &mut Snapshot) -> &mut AdoptedNode {
    snapshot.machine.spec.adopts.as_mut().unwrap()
}

#[test]
fn evidence_that_is_missing_is_waited_for() {
    for without in [
        (|s| told_by_bmc(s, None)) as fn(&mut Snapshot),
        |s| s.bmc = None,
        |s| told_by_bmc(s, Some("03000200-0400-0500-0006-000700080009")),
        |s| s.hardware.clear(),
    ] {
        let mut snapshot = adopting();
        without(&mut snapshot);
        match decide(&snapshot, at(1)) {
            Step::Wait { until, .. } => assert_eq!(until, at(10)),
            step => panic!("{step:?}"),
        }
        assert_eq!(go(&decide(&snapshot, at(10))), Some(MetalState::Failed));
    }
}

#[test]
fn a_provider_id_names_a_server_of_its_own_namespace() {
    let of = |id: &'static str| crate::adoption::server_of("site", id);
    assert_eq!(of("tinkerbell://site/node-a"), Some("node-a"));
    for id in [
        "tinkerbell://other/node-a",
        "vsphere://site/node-a",
        "tinkerbell://site/",
        "tinkerbell://site/a/b",
        "node-a",
    ] {
        assert_eq!(of(id), None, "{id}");
    }
}

//! Claims of somebody else, and of a machine that is not what it was: refused, recorded, and without a trace in the
//! session.

use agent_protocol::v1::{ClaimRequest, Inventory, Nic};
use resources::gantry::{BootSession, Server};
use resources::keys::{ACCEPT_MAINBOARD, ALLOW_CLAIM_WITHOUT_BOOT};
use serde_json::json;

use crate::site::{ADDRESS, MAC, NAMESPACE, Site, key_and_request};
use crate::{armed, ask, claim_request, granted, refused};

fn session(server: &Server) -> Option<BootSession> {
    server.status.as_ref()?.boot_session.clone()
}

/// The machine's own claim with another mainboard.
fn with_mainboard(boot_id: &str, csr: &str, uuid: &str, serial: &str) -> ClaimRequest {
    let mut request = claim_request(boot_id, csr);
    request.inventory = request.inventory.map(|inventory| Inventory {
        uuid: uuid.into(),
        serial: serial.into(),
        ..inventory
    });
    request
}

/// A site with an armed machine that has not started.
async fn waiting() -> (Site, String) {
    let site = Site::start().await;
    site.hardware("node-1").await;
    let boot_id = armed(&site, 1, "install-1").await;
    site.knows(&boot_id).await;
    (site, boot_id)
}

fn starts(site: &Site, boot_id: &str) {
    site.hear(MAC.parse().unwrap());
    site.fetch_installer(boot_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_the_machine_changes_nothing() {
    let (site, boot_id) = waiting().await;
    let (theirs, _) = key_and_request();
    let own = || claim_request(&boot_id, &theirs);
    let before = session(&site.server("node-1", |_| true).await);
    for (address, reason) in [
        (ADDRESS, "ClaimBeforeStart"),
        ("10.88.0.9", "ForeignClaim"),
        ("192.0.2.12", "ForeignClaim"),
    ] {
        refused(ask(&site, own(), address).await);
        let text = site.event("node-1", reason).await;
        assert_eq!(text, site.server_event("node-1", reason).await);
        assert!(text.starts_with("claim refused: "), "{text}");
    }
    starts(&site, &boot_id);
    let other = |mac: &str| Nic {
        name: "eth0".into(),
        mac: mac.into(),
        ..Nic::default()
    };
    let foreign_nics = Inventory {
        nics: vec![other("02:00:00:00:00:99")],
        ..Inventory::default()
    };
    for (request, part) in [
        (
            ClaimRequest {
                boot_mac: "02:00:00:00:00:99".into(),
                ..own()
            },
            "02:00:00:00:00:99",
        ),
        (
            ClaimRequest {
                boot_mac: String::new(),
                ..own()
            },
            "missing",
        ),
        (
            ClaimRequest {
                inventory: None,
                ..own()
            },
            "no inventory",
        ),
        (
            ClaimRequest {
                inventory: Some(foreign_nics),
                ..own()
            },
            "the inventory has",
        ),
    ] {
        refused(ask(&site, request, ADDRESS).await);
        let text = site.event("node-1", "MisfitClaim").await;
        assert!(text.contains(part), "{text}");
    }
    let after = session(&site.server("node-1", |_| true).await);
    let claim = |session: &Option<BootSession>| {
        let session = session.clone().unwrap();
        (session.phase, session.boot_id, session.claim, session.contender)
    };
    assert_eq!(claim(&after), claim(&before));
    let (mine, _) = key_and_request();
    assert_eq!(
        granted(ask(&site, claim_request(&boot_id, &mine), ADDRESS).await).attempt,
        1
    );
    // Nor does a thief beside the holder get anybody frozen.
    refused(ask(&site, own(), "192.0.2.12").await);
    let held = session(&site.server("node-1", |_| true).await).unwrap();
    assert_eq!(held.contender, None);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_mainboard_is_accepted_by_an_operator() {
    let (site, boot_id) = waiting().await;
    starts(&site, &boot_id);
    let (csr, _) = key_and_request();
    granted(ask(&site, claim_request(&boot_id, &csr), ADDRESS).await);
    let end = json!({"status": {"state": "FAILED", "reason": "its board died"}});
    site.merge_workflow("install-1", end).await;
    let boot_id = armed(&site, 2, "install-2").await;
    site.knows(&boot_id).await;
    starts(&site, &boot_id);
    let new = |uuid: &str, serial: &str| with_mainboard(&boot_id, &csr, uuid, serial);
    for (uuid, serial) in [
        ("9999-1", "S9"),
        ("4c4c4544-0001", "S9"),
        ("9999-1", "S1"),
        ("", ""),
    ] {
        let answer = refused(ask(&site, new(uuid, serial), ADDRESS).await);
        assert!(answer.contains(ACCEPT_MAINBOARD), "{answer}");
    }
    site.event("node-1", "MisfitClaim").await;
    let accept = json!({"metadata": {"annotations": {ACCEPT_MAINBOARD: "9999-1"}}});
    site.merge_server("node-1", accept).await;
    refused(ask(&site, new("9999-2", "S9"), ADDRESS).await);
    granted(ask(&site, new("9999-1", "S9"), ADDRESS).await);
    let known = site.server("node-1", |_| true).await.status.unwrap().inventory;
    let known = known.unwrap();
    assert_eq!(
        (known.uuid.as_deref(), known.serial.as_deref()),
        (Some("9999-1"), Some("S9"))
    );
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_fetched_no_installer_is_held_where_it_counts() {
    for (role, held) in [("worker", false), ("controlPlane", true)] {
        let site = Site::start().await;
        site.hardware("node-1").await;
        site.server("node-1", |server| server.status.is_some()).await;
        let owner =
            json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": NAMESPACE, "role": role});
        site.merge_server("node-1", json!({"spec": {"claim": owner}}))
            .await;
        let confirmed =
            json!({"host": "192.0.2.9", "serial": "S1", "macs": [MAC], "at": "2026-01-01T00:00:00Z"});
        site.bmc("bmc-node-1", "on").await;
        site.annotate_bmc("bmc-node-1", &confirmed.to_string()).await;
        let boot_id = armed(&site, 1, "install-1").await;
        site.knows(&boot_id).await;
        site.hear(MAC.parse().unwrap());
        let (csr, _) = key_and_request();
        let claim = || ask(&site, claim_request(&boot_id, &csr), ADDRESS);
        if held {
            let answer = refused(claim().await);
            assert!(answer.contains(ALLOW_CLAIM_WITHOUT_BOOT), "{answer}");
            site.event("node-1", "ClaimWithoutBoot").await;
            let allow = json!({"metadata": {"annotations": {ALLOW_CLAIM_WITHOUT_BOOT: "1"}}});
            site.merge_server("node-1", allow).await;
        }
        granted(claim().await);
        let text = site.event("node-1", "ClaimWithoutBoot").await;
        assert!(text.starts_with("claim granted, but "), "{text}");
        site.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_goes_only_to_the_machine_that_its_bmc_confirms() {
    let (site, boot_id) = waiting().await;
    site.bmc("bmc-node-1", "on").await;
    let claim = json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": NAMESPACE, "cluster": "prod",
        "role": "controlPlane"});
    site.merge_server("node-1", json!({"spec": {"claim": claim}}))
        .await;
    starts(&site, &boot_id);
    let (csr, _) = key_and_request();
    let own = || claim_request(&boot_id, &csr);
    let says = |serial: &str, mac: &str| {
        json!({"host": "192.0.2.9", "serial": serial, "macs": [mac], "at": "2026-01-01T00:00:00Z"})
            .to_string()
    };

    refused(ask(&site, own(), ADDRESS).await);
    let text = site.event("node-1", "OutOfBandMissing").await;
    assert!(
        text.contains("has not said yet") && text.contains("controlPlaneProof: none"),
        "{text}"
    );
    for (said, part) in [
        (says("S2", MAC), "serial number is S1, by the BMC S2"),
        (says("S1", "02:00:00:00:00:99"), "none of its network interfaces"),
    ] {
        site.annotate_bmc("bmc-node-1", &said).await;
        let answer = refused(ask(&site, own(), ADDRESS).await);
        assert!(!answer.contains("S2") && !answer.contains("02:00"), "{answer}");
        let text = site.event("node-1", "OutOfBandMismatch").await;
        assert!(text.contains(part), "{text}");
        assert_eq!(text, site.server_event("node-1", "OutOfBandMismatch").await);
    }
    let held = session(&site.server("node-1", |_| true).await).unwrap();
    assert_eq!((held.claim, held.contender), (None, None));

    site.annotate_bmc("bmc-node-1", &says("s1", MAC)).await;
    assert_eq!(granted(ask(&site, own(), ADDRESS).await).attempt, 1);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_fetched_no_installer_is_refused_if_its_bmc_contradicts_it() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| server.status.is_some()).await;
    site.bmc("bmc-node-1", "on").await;
    let owner =
        json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": NAMESPACE, "role": "worker"});
    site.merge_server("node-1", json!({"spec": {"claim": owner}}))
        .await;
    let boot_id = armed(&site, 1, "install-1").await;
    site.knows(&boot_id).await;
    site.hear(MAC.parse().unwrap());
    let says = |serial: &str| {
        json!({"host": "192.0.2.9", "serial": serial, "macs": [MAC], "at": "2026-01-01T00:00:00Z"})
            .to_string()
    };
    let (csr, _) = key_and_request();
    let claim = || ask(&site, claim_request(&boot_id, &csr), ADDRESS);

    site.annotate_bmc("bmc-node-1", &says("S2")).await;
    refused(claim().await);
    let text = site.event("node-1", "OutOfBandMismatch").await;
    assert!(text.contains("serial number is S1, by the BMC S2"), "{text}");

    site.annotate_bmc("bmc-node-1", &says("S1")).await;
    granted(claim().await);
    let text = site.event("node-1", "ClaimWithoutBoot").await;
    assert!(text.starts_with("claim granted, but "), "{text}");
    site.end().await;
}

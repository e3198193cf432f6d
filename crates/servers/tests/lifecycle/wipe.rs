//! A server whose disks are wiped before its owner gives it back: the workflow engine and the agent are played, and the
//! appliance is ended and started again in every phase.

use resources::gantry::{ServerState, SessionPhase};
use serde_json::json;

use crate::site::{NAMESPACE, Site, key_and_request};
use crate::{claim, granted, phase, state};

/// A claimed server that has run a system from its disk.
async fn installed() -> Site {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    let owner = json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": NAMESPACE});
    let pin = json!({"name": "/dev/vda", "serial": "A", "size": 1 << 30, "attempt": 1});
    let last = json!({"number": 1, "workflow": "install-1", "closed": true});
    let spec = json!({"spec": {"claim": owner, "disks": [pin], "attempt": last}});
    site.merge_server("node-1", spec).await;
    site.server("node-1", |server| state(server) == Some(ServerState::Claimed))
        .await;
    let local = json!({"status": {"localBoot": {"firmware": "uefi", "disk": "/dev/disk/by-id/a"}}});
    site.merge_server_status("node-1", local).await;
    site
}

/// Raises an attempt to wipe, as the workflow engine does; the boot id once it is armed.
async fn wiping(site: &Site, number: u64, workflow: &str) -> String {
    site.workflow(workflow, "node-1", "PENDING").await;
    let attempt = json!({"number": number, "workflow": workflow, "purpose": "wipe", "closed": false});
    site.merge_server("node-1", json!({"spec": {"attempt": attempt}}))
        .await;
    let is_armed = |server: &resources::gantry::Server| {
        let session = server
            .status
            .as_ref()
            .and_then(|status| status.boot_session.as_ref());
        let armed =
            session.is_some_and(|session| session.attempt == number && session.phase == SessionPhase::Armed);
        armed && state(server) == Some(ServerState::Wiping)
    };
    let server = site.server("node-1", is_armed).await;
    server.status.unwrap().boot_session.unwrap().boot_id
}

async fn ends(site: &Site, workflow: &str, end: &str, reason: &str) {
    let closed = json!({"spec": {"attempt": {"closed": true}}});
    site.merge_workflow(workflow, json!({"status": {"state": end, "reason": reason}}))
        .await;
    site.merge_server("node-1", closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wipe_runs_to_its_end_wherever_the_appliance_is_killed() {
    let mut site = installed().await;
    let boot_id = wiping(&site, 2, "wipe-1").await;
    site = site.restart().await;
    let (csr, _) = key_and_request();
    let agent = granted(claim(&site, &boot_id, &csr).await);
    assert_eq!(agent.attempt, 2);
    let claimed = site
        .server("node-1", |server| phase(server) == Some(SessionPhase::Claimed))
        .await;
    assert_eq!(state(&claimed), Some(ServerState::Wiping));
    site = site.restart().await;
    ends(
        &site,
        "wipe-1",
        "FAILED",
        "action wipe-disk-1 failed: disk is gone",
    )
    .await;
    let failed = site
        .server("node-1", |server| state(server) == Some(ServerState::Failed))
        .await;
    assert!(failed.status.unwrap().reason.unwrap().contains("disk is gone"));
    assert!(failed.spec.claim.is_some(), "nobody else gets it");
    let text = site.event("node-1", "ServerFailed").await;
    assert!(text.contains("its disks were not wiped"), "{text}");

    site = site.restart().await;
    wiping(&site, 3, "wipe-2").await;
    site = site.restart().await;
    ends(&site, "wipe-2", "SUCCESS", "every action has succeeded").await;
    let wiped = site
        .server("node-1", |server| state(server) == Some(ServerState::Claimed))
        .await;
    let status = wiped.status.unwrap();
    assert_eq!(status.local_boot, None, "there is nothing to boot any more");
    let reason = status.reason.unwrap_or_default();
    assert!(reason.contains("wiped"), "{reason}");
    site = site.restart().await;
    site.merge_server("node-1", json!({"spec": {"claim": null}}))
        .await;
    let free = site
        .server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    assert_eq!(free.status.unwrap().boot_session, None);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_given_back_unwiped_says_so_while_it_is_free() {
    let site = installed().await;
    let unwiped = json!({"owner": "prod-1", "reason": "disk is gone", "at": "2026-01-01T00:00:00Z"});
    site.merge_server("node-1", json!({"spec": {"claim": null, "unwiped": unwiped}}))
        .await;
    let says = |server: &resources::gantry::Server| {
        let reason = server.status.as_ref().and_then(|status| status.reason.clone());
        state(server) == Some(ServerState::Available)
            && reason.is_some_and(|reason| reason.contains("prod-1") && reason.contains("disk is gone"))
    };
    site.server("node-1", says).await;
    site.end().await;
}

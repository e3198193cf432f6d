//! Two keys on one machine: a machine that was reset, and a thief.

use std::time::Duration;

use pki::Identity;
use resources::gantry::{Server, SessionPhase};
use serde_json::json;
use tonic::Code;

use crate::site::{Site, key_and_request};
use crate::{armed, claim, granted, phase, refused, renew};

const BEYOND_THE_LEASE: Duration = Duration::from_secs(46);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_reset_within_the_lease_continues_with_the_next_boot() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    let boot_id = armed(&site, 1, "install-1").await;
    let (before, _) = key_and_request();
    let first = granted(claim(&site, &boot_id, &before).await);
    let agent = site.identity(&first.certificate_pem);

    // Back within the lease, with the same kernel arguments and a new key: it has to wait, and nobody is frozen.
    let (after, _) = key_and_request();
    assert!(refused(claim(&site, &boot_id, &after).await).contains("its lease ends in"));
    site.event("node-1", "SecondAgent").await;
    site.forward(BEYOND_THE_LEASE);
    let second = granted(claim(&site, &boot_id, &after).await);
    assert_eq!(second.attempt, 1, "the attempt goes on");
    let live = site
        .server("node-1", |server| phase(server) == Some(SessionPhase::Claimed))
        .await;
    let session = live.status.unwrap().boot_session.unwrap();
    assert_eq!((session.boot, session.contender), (2, None));
    assert_eq!(session.superseded, std::slice::from_ref(&boot_id));
    assert_eq!(session.claim.unwrap().certificate, second.certificate_pem);
    assert_eq!(
        renew(&site, &before, &agent).await,
        Err(Code::PermissionDenied),
        "boot 1 is revoked"
    );
    let agent = site.identity(&second.certificate_pem);
    assert!(renew(&site, &after, &agent).await.is_ok(), "boot 2 works");
    site.event("node-1", "AgentLost").await;
    let told = site.events("node-1").await;
    assert!(
        told.iter().all(|(reason, _)| reason != "SessionFrozen"),
        "{told:?}"
    );
    site.end().await;
}

/// The holder goes on with its work and is heard, until the session is frozen.
async fn frozen_while_heard(site: &Site, agent: &Identity) -> Server {
    let mut heard = tokio::time::interval(Duration::from_millis(200));
    let frozen = site.server("node-1", |server| phase(server) == Some(SessionPhase::Frozen));
    tokio::pin!(frozen);
    loop {
        tokio::select! {
            server = &mut frozen => return server,
            _ = heard.tick() => site.hear_agent(agent),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thief_beside_a_living_holder_freezes_both_until_a_new_attempt() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    let boot_id = armed(&site, 1, "install-1").await;
    let (mine, _) = key_and_request();
    let (theirs, _) = key_and_request();
    let first = granted(claim(&site, &boot_id, &mine).await);
    let agent = site.identity(&first.certificate_pem);
    assert!(refused(claim(&site, &boot_id, &theirs).await).contains("another agent"));
    let server = frozen_while_heard(&site, &agent).await;
    let reason = server.status.unwrap().reason.unwrap();
    assert!(reason.contains("second machine"), "{reason}");
    for csr in [&mine, &theirs] {
        assert!(refused(claim(&site, &boot_id, csr).await).contains("two agents"));
    }
    assert_eq!(
        renew(&site, &mine, &agent).await,
        Err(Code::PermissionDenied),
        "frozen"
    );
    site.event("node-1", "SecondAgent").await;
    assert!(
        site.event("node-1", "SessionFrozen")
            .await
            .contains("new Workflow")
    );

    // What the operator does: the attempt ends, another one arms the machine anew, and both old keys are fenced.
    site.merge_workflow(
        "install-1",
        json!({"status": {"state": "FAILED", "reason": "frozen"}}),
    )
    .await;
    let boot_id = armed(&site, 2, "install-2").await;
    let (fresh, _) = key_and_request();
    assert_eq!(granted(claim(&site, &boot_id, &fresh).await).attempt, 2);
    assert_eq!(
        renew(&site, &mine, &agent).await,
        Err(Code::PermissionDenied),
        "fenced"
    );
    site.end().await;
}

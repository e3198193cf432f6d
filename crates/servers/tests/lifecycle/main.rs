//! A server from its Hardware to its release, against the embedded API: the workflow engine, the agent and the installed
//! system are played by the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod claims;
mod first_boot;
mod growth;
mod release;
mod rivals;
mod site;
mod window;
mod wipe;

use std::time::Duration;

use agent_protocol::v1::sessions_server::Sessions as _;
use agent_protocol::v1::{
    ClaimRequest, FirstBootRequest, Granted, Inventory, Nic, RenewRequest, claim_response::Outcome,
};
use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode};
use pki::Identity;
use resources::Mac;
use resources::gantry::{Server, ServerState, SessionPhase};
use resources::keys::OWNER_NAME;
use serde_json::json;
use site::{ADDRESS, MAC, NAMESPACE, Site, key_and_request};
use tonic::{Code, Request};
use tower::ServiceExt as _;

fn phase(server: &Server) -> Option<SessionPhase> {
    Some(server.status.as_ref()?.boot_session.as_ref()?.phase)
}

fn state(server: &Server) -> Option<ServerState> {
    Some(server.status.as_ref()?.state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_derived_once_and_goes_with_its_hardware() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    let server = site
        .server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    assert_eq!(server.spec.bmc.as_deref(), Some("bmc-node-1"));
    uuid::Uuid::parse_str(&server.spec.machine_id).unwrap();

    site.merge_hardware(
        "node-1",
        json!({"spec": {"bmcRef": {"kind": "Machine", "name": "bmc-other"}}}),
    )
    .await;
    let changed = site
        .server("node-1", |server| server.spec.bmc.as_deref() == Some("bmc-other"))
        .await;
    assert_eq!(
        changed.spec.machine_id, server.spec.machine_id,
        "the identity is minted once"
    );

    site.delete_hardware("node-1").await;
    site.gone("node-1").await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owner_labels_mirror_a_claim_and_take_one_in() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    site.merge_server(
        "node-1",
        json!({"spec": {"claim": {"kind": "ProviderMachine", "name": "prod-1", "namespace": NAMESPACE}}}),
    )
    .await;
    site.server("node-1", |server| state(server) == Some(ServerState::Claimed))
        .await;
    site.hardware_when("node-1", |labels| {
        labels.get(OWNER_NAME).map(String::as_str) == Some("prod-1")
    })
    .await;
    site.merge_server("node-1", json!({"spec": {"claim": null}}))
        .await;
    site.server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    site.hardware_when("node-1", |labels| !labels.contains_key(OWNER_NAME))
        .await;

    site.merge_hardware(
        "node-1",
        json!({"metadata": {"labels": {OWNER_NAME: "capi-machine"}}}),
    )
    .await;
    let taken = site.server("node-1", |server| server.spec.claim.is_some()).await;
    assert_eq!(
        taken.spec.claim.map(|claim| claim.name).as_deref(),
        Some("capi-machine")
    );
    site.end().await;
}

/// What the agent with this request gets for a boot id, after its machine has booted the installer.
async fn claim(site: &Site, boot_id: &str, csr: &str) -> Outcome {
    if boot_id.len() == 32 {
        site.knows(boot_id).await;
        site.hear(MAC.parse().unwrap());
        site.fetch_installer(boot_id);
    }
    ask(site, claim_request(boot_id, csr), ADDRESS).await
}

/// A claim of the machine.
fn claim_request(boot_id: &str, csr: &str) -> ClaimRequest {
    let nic = Nic {
        name: "eth0".into(),
        mac: MAC.into(),
        ..Nic::default()
    };
    ClaimRequest {
        boot_id: boot_id.to_owned(),
        csr_pem: csr.to_owned(),
        boot_mac: MAC.into(),
        inventory: Some(Inventory {
            uuid: "4c4c4544-0001".into(),
            serial: "S1".into(),
            cpus: 4,
            nics: vec![nic],
            ..Inventory::default()
        }),
        ..ClaimRequest::default()
    }
}

async fn ask(site: &Site, request: ClaimRequest, address: &str) -> Outcome {
    let answer = site.sessions.claim(site.call(request, address)).await;
    answer.unwrap().into_inner().outcome.unwrap()
}

fn granted(outcome: Outcome) -> Granted {
    match outcome {
        Outcome::Granted(granted) => granted,
        Outcome::Refused(refused) => panic!("{refused:?}"),
    }
}

fn refused(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(refused) => refused.reason,
        Outcome::Granted(granted) => panic!("{granted:?}"),
    }
}

async fn renew(site: &Site, csr: &str, identity: &Identity) -> Result<String, Code> {
    let request = RenewRequest {
        csr_pem: csr.to_owned(),
    };
    let answer = site.sessions.renew(site.request(request, identity)).await;
    answer
        .map(|answer| answer.into_inner().certificate_pem)
        .map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_what_was_heard_of_its_machine() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    site.merge_server("node-1", json!({"spec": {"postMinutes": 7}}))
        .await;
    armed(&site, 1, "w").await;
    let session = |server: &Server| server.status.as_ref()?.boot_session.clone();
    let stranger = Mac::new([2, 0, 0, 0, 0, 9]);
    site.hear(stranger);
    // Any change wakes the controller; otherwise it looks every ten seconds.
    let touch = |minutes: u32| json!({"spec": {"postMinutes": minutes}});
    site.merge_server("node-1", touch(8)).await;
    let lonely = site
        .server("node-1", |server| {
            session(server).is_some_and(|session| session.strangers == [stranger])
        })
        .await;
    let lonely = session(&lonely).unwrap();
    assert_eq!((lonely.post_minutes, lonely.last_packet), (Some(7), None));
    site.hear("52:54:00:00:00:01".parse().unwrap());
    site.merge_server("node-1", touch(9)).await;
    let heard = site
        .server("node-1", |server| {
            session(server).is_some_and(|session| session.last_packet.is_some())
        })
        .await;
    let heard = session(&heard).unwrap();
    assert_eq!(heard.last_packet.unwrap().text, "DHCP: DISCOVER");
    assert!(heard.strangers.is_empty());
    site.end().await;
}

/// Raises the attempt as the workflow engine does; the boot id once it is armed.
async fn armed(site: &Site, number: u64, workflow: &str) -> String {
    site.server("node-1", |server| state(server).is_some()).await;
    site.workflow(workflow, "node-1", "PENDING").await;
    raised(site, number, workflow).await
}

/// As [`armed`], for a Workflow that is there.
async fn raised(site: &Site, number: u64, workflow: &str) -> String {
    let attempt = json!({"number": number, "workflow": workflow});
    site.merge_server("node-1", json!({"spec": {"attempt": attempt}}))
        .await;
    let is_armed = |server: &Server| {
        let session = server
            .status
            .as_ref()
            .and_then(|status| status.boot_session.as_ref());
        session.is_some_and(|session| session.attempt == number && session.phase == SessionPhase::Armed)
    };
    let server = site.server("node-1", is_armed).await;
    assert_eq!(state(&server), Some(ServerState::Provisioning));
    server.status.unwrap().boot_session.unwrap().boot_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_boot_belongs_to_the_first_key_also_after_a_restart() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    let (csr, _) = key_and_request();
    assert!(
        refused(claim(&site, "00ff", &csr).await).contains("restart the machine"),
        "not armed"
    );
    let boot_id = armed(&site, 1, "install-1").await;
    assert_eq!(boot_id.len(), 32);
    let first = granted(claim(&site, &boot_id, &csr).await);
    assert_eq!((first.attempt, first.machine.as_str()), (1, "node-1"));
    let live = site
        .server("node-1", |server| phase(server) == Some(SessionPhase::Claimed))
        .await;
    let status = live.status.unwrap();
    assert_eq!(status.inventory.unwrap().cpus, Some(4));
    let committed = status.boot_session.unwrap().claim.unwrap().certificate;
    assert_eq!(committed, first.certificate_pem, "committed before the reply");
    assert_eq!(
        granted(claim(&site, &boot_id, &csr).await).certificate_pem,
        first.certificate_pem
    );

    // The reply may be lost with the process.
    let site = site.restart().await;
    assert_eq!(
        granted(claim(&site, &boot_id, &csr).await).certificate_pem,
        first.certificate_pem
    );
    let (other, _) = key_and_request();
    assert!(refused(claim(&site, &boot_id, &other).await).contains("another agent"));
    site.server("node-1", |server| {
        let session = server
            .status
            .as_ref()
            .and_then(|status| status.boot_session.as_ref());
        session.is_some_and(|session| session.contender.is_some())
    })
    .await;
    // Both are alive: nobody is served.
    assert!(refused(claim(&site, &boot_id, &csr).await).contains("two agents"));
    site.server("node-1", |server| phase(server) == Some(SessionPhase::Frozen))
        .await;
    let agent = site.identity(&first.certificate_pem);
    assert_eq!(
        renew(&site, &csr, &agent).await,
        Err(Code::PermissionDenied),
        "frozen"
    );

    let end = json!({"status": {"state": "FAILED", "reason": "frozen"}});
    site.merge_workflow("install-1", end).await;
    armed(&site, 2, "install-2").await;
    assert_eq!(
        renew(&site, &csr, &agent).await,
        Err(Code::PermissionDenied),
        "fenced"
    );
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_from_claim_to_release() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    let owner = json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": NAMESPACE,
        "bootstrapSecret": "prod-1-data"});
    site.merge_server("node-1", json!({"spec": {"claim": owner}}))
        .await;
    let (agent, system) = installs(&site).await;
    leaves(&site).await;
    shows_itself(&site, &agent, &system).await;
    site.merge_server("node-1", json!({"spec": {"claim": null}}))
        .await;
    let free = site
        .server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    let status = free.status.as_ref().unwrap();
    assert!(status.boot_session.is_none() && status.first_boot.is_none());
    assert!(
        status.local_boot.is_some(),
        "the machine still boots what is on its disk"
    );
    assert_eq!(free.spec.attempt.as_ref().unwrap().number, 1, "the fence stays");
    for (state, text) in [
        ("Claimed", "claimed by ProviderMachine prod-1"),
        ("Provisioning", "workflow install runs"),
        ("Running", "the installed system asked for its data"),
        ("Releasing", "its owner gave it back"),
        ("Available", "free"),
    ] {
        assert_eq!(site.server_event("node-1", state).await, text, "{state}");
    }
    tokio::time::timeout(Duration::from_secs(10), site.end())
        .await
        .unwrap();
}

/// Claim, renewal and the certificate of the first boot; gives the agent and the installed system.
async fn installs(site: &Site) -> (Identity, Identity) {
    let (csr, _) = key_and_request();
    let boot_id = armed(site, 1, "install").await;
    let first = site.identity(&granted(claim(site, &boot_id, &csr).await).certificate_pem);
    let agent = site.identity(&renew(site, &csr, &first).await.unwrap());
    assert_eq!(
        renew(site, &csr, &first).await,
        Err(Code::PermissionDenied),
        "the old serial is revoked"
    );
    let nobody = site
        .sessions
        .renew(Request::new(RenewRequest { csr_pem: csr.clone() }))
        .await;
    assert_eq!(nobody.unwrap_err().code(), Code::Unauthenticated);

    let (seed, _) = key_and_request();
    let ask = || {
        site.request(
            FirstBootRequest {
                csr_pem: seed.clone(),
            },
            &agent,
        )
    };
    let answer = site.sessions.first_boot(ask()).await.unwrap().into_inner();
    assert_eq!(answer.site_name, site::SITE);
    let same = site.sessions.first_boot(ask()).await.unwrap().into_inner();
    assert_eq!(same.certificate_pem, answer.certificate_pem);
    let system = site.identity(&answer.certificate_pem);
    (agent, system)
}

async fn leaves(site: &Site) {
    site.merge_server("node-1", json!({"spec": {"attempt": {"handover": true}}}))
        .await;
    site.server("node-1", |server| phase(server) == Some(SessionPhase::Disarmed))
        .await;
    let facts = json!({"firmware": "uefi", "disk": "/dev/disk/by-id/x"});
    site.merge_workflow("install", json!({"status": {"state": "SUCCESS", "facts": facts}}))
        .await;
    site.merge_server("node-1", json!({"spec": {"attempt": {"closed": true}}}))
        .await;
    let waiting = site
        .server("node-1", |server| phase(server) == Some(SessionPhase::Closed))
        .await;
    assert_eq!(
        state(&waiting),
        Some(ServerState::Provisioning),
        "no sign of the installed system yet"
    );
}

async fn shows_itself(site: &Site, agent: &Identity, system: &Identity) {
    let post = |path: &str, identity: Option<&Identity>| {
        let mut request = HttpRequest::post(path).body(Body::empty()).unwrap();
        if let Some(identity) = identity {
            request.extensions_mut().insert(identity.clone());
        }
        site.first_boot.clone().oneshot(request)
    };
    for wrong in [None, Some(agent)] {
        assert_eq!(
            post("/v1/first-boot", wrong).await.unwrap().status(),
            StatusCode::UNAUTHORIZED
        );
    }
    let asking = tokio::spawn(post("/v1/first-boot", Some(system)));
    let running = site
        .server("node-1", |server| state(server) == Some(ServerState::Running))
        .await;
    let status = running.status.unwrap();
    assert!(status.local_boot.is_some(), "what was installed is recorded");
    let first = status.first_boot.unwrap();
    assert!(first.requested_at.is_some() && first.delivered_at.is_none());
    site.secret("prod-1-data", "join me").await;
    let response = asking.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
    assert_eq!(&body[..], b"join me");
    let again = post("/v1/first-boot", Some(system)).await.unwrap();
    assert_eq!(again.status(), StatusCode::OK, "the same key may ask again");
    for _ in 0..2 {
        assert_eq!(
            post("/v1/first-boot/done", Some(system)).await.unwrap().status(),
            StatusCode::NO_CONTENT
        );
    }
    assert_eq!(
        post("/v1/first-boot", Some(system)).await.unwrap().status(),
        StatusCode::FORBIDDEN,
        "revoked"
    );
    assert_eq!(site.secret_value("prod-1-data").await, None, "the value is gone");
}

//! A server from its Hardware to its release, against the embedded API: the workflow engine, the agent and the installed
//! system are played by the test.

mod site;

use std::time::Duration;

use agent_protocol::v1::sessions_server::Sessions as _;
use agent_protocol::v1::{ClaimRequest, FirstBootRequest, Inventory, RenewRequest, claim_response::Outcome};
use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode};
use kube::ResourceExt as _;
use resources::gantry::{Server, ServerState, SessionPhase};
use resources::keys::OWNER_NAME;
use serde_json::json;
use site::{NAMESPACE, Site, key_and_request};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_from_arming_to_the_first_boot() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server) == Some(ServerState::Available))
        .await;
    let claim = json!({"kind": "ProviderMachine", "name": "prod-1", "namespace": NAMESPACE, "bootstrapSecret": "prod-1-data"});
    site.merge_server("node-1", json!({"spec": {"claim": claim}}))
        .await;
    let (csr, _) = key_and_request();
    let claim = |boot_id: &str, csr: &str| {
        let inventory = Inventory {
            cpus: 4,
            ..Inventory::default()
        };
        Request::new(ClaimRequest {
            boot_id: boot_id.to_owned(),
            csr_pem: csr.to_owned(),
            inventory: Some(inventory),
            ..ClaimRequest::default()
        })
    };
    let outcome = site
        .sessions
        .claim(claim("00ff", &csr))
        .await
        .unwrap()
        .into_inner()
        .outcome;
    assert!(
        matches!(outcome, Some(Outcome::Refused(_))),
        "not armed: {outcome:?}"
    );

    site.workflow("install-1", "node-1", "PENDING").await;
    site.merge_server(
        "node-1",
        json!({"spec": {"attempt": {"number": 1, "workflow": "install-1"}}}),
    )
    .await;
    let armed = site
        .server("node-1", |server| phase(server) == Some(SessionPhase::Armed))
        .await;
    assert_eq!(state(&armed), Some(ServerState::Provisioning));
    let boot_id = armed.status.unwrap().boot_session.unwrap().boot_id;
    assert_eq!(boot_id.len(), 32);

    let granted = |outcome: Option<Outcome>| match outcome {
        Some(Outcome::Granted(granted)) => granted,
        other => panic!("{other:?}"),
    };
    let first = granted(
        site.sessions
            .claim(claim(&boot_id, &csr))
            .await
            .unwrap()
            .into_inner()
            .outcome,
    );
    assert_eq!((first.attempt, first.machine.as_str()), (1, "node-1"));
    let live = site
        .server("node-1", |server| phase(server) == Some(SessionPhase::Claimed))
        .await;
    let status = live.status.unwrap();
    assert_eq!(status.inventory.unwrap().cpus, Some(4));
    assert_eq!(
        status.boot_session.unwrap().claim.unwrap().certificate,
        first.certificate_pem,
        "committed before the reply"
    );
    let again = granted(
        site.sessions
            .claim(claim(&boot_id, &csr))
            .await
            .unwrap()
            .into_inner()
            .outcome,
    );
    assert_eq!(again.certificate_pem, first.certificate_pem);
    let (other, _) = key_and_request();
    let outcome = site
        .sessions
        .claim(claim(&boot_id, &other))
        .await
        .unwrap()
        .into_inner()
        .outcome;
    assert!(
        matches!(outcome, Some(Outcome::Refused(ref refused)) if refused.reason.contains("another agent")),
        "{outcome:?}"
    );

    // A second key was seen; the first is heard after it: frozen, unless it is the same instant. Take another attempt
    // for the rest.
    site.merge_workflow(
        "install-1",
        json!({"status": {"state": "FAILED", "reason": "second key"}}),
    )
    .await;
    site.workflow("install-2", "node-1", "PENDING").await;
    site.merge_server(
        "node-1",
        json!({"spec": {"attempt": {"number": 2, "workflow": "install-2"}}}),
    )
    .await;
    let armed = site
        .server("node-1", |server| {
            let session = server
                .status
                .as_ref()
                .and_then(|status| status.boot_session.as_ref());
            session.is_some_and(|session| session.attempt == 2 && session.phase == SessionPhase::Armed)
        })
        .await;
    let boot_id = armed.status.unwrap().boot_session.unwrap().boot_id;
    let first_identity = site.identity(&first.certificate_pem);
    let fenced = site
        .sessions
        .renew(site.request(RenewRequest { csr_pem: csr.clone() }, &first_identity))
        .await;
    assert_eq!(
        fenced.unwrap_err().code(),
        Code::PermissionDenied,
        "attempt 1 is fenced"
    );
    let grant = granted(
        site.sessions
            .claim(claim(&boot_id, &csr))
            .await
            .unwrap()
            .into_inner()
            .outcome,
    );
    let identity = site.identity(&grant.certificate_pem);

    let renewed = site
        .sessions
        .renew(site.request(RenewRequest { csr_pem: csr.clone() }, &identity))
        .await
        .unwrap();
    let identity_after = site.identity(&renewed.into_inner().certificate_pem);
    let old = site
        .sessions
        .renew(site.request(RenewRequest { csr_pem: csr.clone() }, &identity))
        .await;
    assert_eq!(
        old.unwrap_err().code(),
        Code::PermissionDenied,
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
            &identity_after,
        )
    };
    let first_boot = site.sessions.first_boot(ask()).await.unwrap().into_inner();
    assert_eq!(first_boot.site_name, site::SITE);
    let same = site.sessions.first_boot(ask()).await.unwrap().into_inner();
    assert_eq!(same.certificate_pem, first_boot.certificate_pem);

    site.merge_server("node-1", json!({"spec": {"attempt": {"handover": true}}}))
        .await;
    site.server("node-1", |server| phase(server) == Some(SessionPhase::Disarmed))
        .await;
    let facts = json!({"firmware": "uefi", "disk": "/dev/disk/by-id/x"});
    site.merge_workflow(
        "install-2",
        json!({"status": {"state": "SUCCESS", "facts": facts}}),
    )
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

    let system = site.identity(&first_boot.certificate_pem);
    let post = |path: &str, identity: Option<&pki::Identity>| {
        let mut request = HttpRequest::post(path).body(Body::empty()).unwrap();
        if let Some(identity) = identity {
            request.extensions_mut().insert(identity.clone());
        }
        site.first_boot.clone().oneshot(request)
    };
    assert_eq!(
        post("/v1/first-boot", None).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        post("/v1/first-boot", Some(&identity_after))
            .await
            .unwrap()
            .status(),
        StatusCode::UNAUTHORIZED
    );
    let asking = tokio::spawn(post("/v1/first-boot", Some(&system)));
    let asked = |server: &Server| {
        let first = server
            .status
            .as_ref()
            .and_then(|status| status.first_boot.as_ref());
        first.is_some_and(|first| first.requested_at.is_some())
    };
    let running = site
        .server("node-1", |server| {
            asked(server) && state(server) == Some(ServerState::Running)
        })
        .await;
    assert!(
        running.status.as_ref().unwrap().local_boot.is_some(),
        "what was installed is recorded"
    );
    assert!(running.status.unwrap().first_boot.unwrap().delivered_at.is_none());
    site.secret("prod-1-data", "join me").await;
    let response = asking.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
    assert_eq!(&body[..], b"join me");
    let again = post("/v1/first-boot", Some(&system)).await.unwrap();
    assert_eq!(again.status(), StatusCode::OK, "the same key may ask again");
    for _ in 0..2 {
        assert_eq!(
            post("/v1/first-boot/done", Some(&system)).await.unwrap().status(),
            StatusCode::NO_CONTENT
        );
    }
    assert_eq!(
        post("/v1/first-boot", Some(&system)).await.unwrap().status(),
        StatusCode::FORBIDDEN,
        "revoked"
    );
    assert_eq!(site.secret_value("prod-1-data").await, None, "the value is gone");

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
    assert_eq!(free.spec.attempt.as_ref().unwrap().number, 2, "the fence stays");
    assert_eq!(free.name_any(), "node-1");
    tokio::time::timeout(Duration::from_secs(10), site.end())
        .await
        .unwrap();
}

//! What follows when an installation cannot begin, or has failed.

use apiserver::RecordKind;
use store::records::{NewRecord, Ring};

use super::*;

#[tokio::test]
async fn a_machine_that_failed_for_good_is_an_alarm() {
    let site = Site::start(NAMESPACE).await;
    machine_in(&site, "prod-1", 0).await;
    let (driver, cancel) = drive(&site);
    let failed = |machine: &ProviderMachine| {
        machine.status.as_ref().map(|status| status.phase) == Some(ProviderMachinePhase::Failed)
    };
    let machine = site.when("prod-1", failed).await;
    let reason = machine.status.unwrap().reason.unwrap();
    let text = site.event("ProviderMachine", "prod-1", "MachineFailed").await;
    assert_eq!(text, format!("ProviderMachine prod-1: {reason}"));
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn an_installation_that_lacks_something_waits_for_it_and_says_so() {
    let site = Site::start(NAMESPACE).await;
    server(&site, "a", "worker").await;
    site.make::<Image>(json!({
        "apiVersion": "gantry.dev/v1alpha1", "kind": "Image", "metadata": {"name": "image"},
        "spec": {"url": "file:///image.gz"}
    }))
    .await;
    let digest = format!("sha256:{}", "0".repeat(64));
    let manifest = json!({"name": "image", "compression": "gzip", "rawSize": 1, "rawDigest": digest, "size": 1,
        "digest": digest});
    let ready = json!({"status": {"state": "ready", "manifest": manifest}});
    site.merge_status::<Image>("image", ready).await;
    machine(&site, "prod-1").await;
    let (driver, cancel) = drive(&site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    site.merge_status::<Server>("a", json!({"status": {"state": "claimed"}}))
        .await;
    let asks = |machine: &ProviderMachine| {
        let reason = machine.status.as_ref().and_then(|status| status.reason.clone());
        reason.is_some_and(|reason| reason.contains("cannot make the workflow of prod-1"))
    };
    let waits = site.when("prod-1", asks).await.status.unwrap();
    assert_eq!(
        (waits.phase, waits.driver_state.as_deref()),
        (ProviderMachinePhase::Creating, Some("preparing"))
    );
    assert!(waits.deadline.is_some(), "{waits:?}");
    let text = site.event("ProviderMachine", "prod-1", "Preparing").await;
    assert_eq!(text, "claimed server a");
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn a_server_whose_installation_failed_is_the_last_to_be_taken() {
    let kind = RecordKind {
        kind: "ActionLog".into(),
        plural: "actionlogs".into(),
        columns: Vec::new(),
    };
    let (site, records) = Site::with_records(NAMESPACE, vec![kind]).await;
    server(&site, "a", "worker").await;
    let session = json!({"attempt": 7, "boot": 2, "bootId": "00", "phase": "claimed", "armedAt": "2026-01-01T00:00:00Z",
        "deadline": "2026-01-01T00:30:00Z", "claim": {"publicKey": format!("sha256:{}", "1".repeat(64)), "serial": "01",
            "certificate": "PEM", "at": "2026-01-01T00:01:00Z", "notAfter": "2026-01-01T01:01:00Z"}});
    site.merge_status::<Server>("a", json!({"status": {"power": "on", "bootSession": session}}))
        .await;
    for (workflow, text) in [("prod-0-9", "of another"), ("prod-1-1", "no such disk: /dev/sdz")] {
        let log =
            json!({"workflow": format!("{NAMESPACE}/{workflow}"), "action": "stream-image", "text": text});
        let record = NewRecord {
            kind: "ActionLog".into(),
            machine: "a".into(),
            ring: Ring::Machine,
            at: 0,
            payload: log,
        };
        records.append(record).await.unwrap();
    }
    machine(&site, "prod-1").await;
    let (driver, cancel) = drive(&site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    let workflow = json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow",
        "metadata": {"name": "prod-1-1", "labels": {"gantry.dev/provider-machine": "prod-1"}}, "spec": {}
    });
    site.make::<Workflow>(workflow).await;
    let failed = json!({"state": "FAILED", "reason": "no disk", "attempt": 7, "facts": {"hopeless": "true"}});
    site.merge_status::<Workflow>("prod-1-1", json!({"status": failed}))
        .await;
    let since = Timestamp::now().to_string();
    let installing = json!({"status": {"driverState": "installing", "workflow": "prod-1-1", "since": since}});
    site.merge_status::<ProviderMachine>("prod-1", installing).await;
    site.event("ProviderMachine", "prod-1", "MachineFailed").await;
    let failure = site
        .api::<Server>()
        .get("a")
        .await
        .unwrap()
        .spec
        .last_failure
        .unwrap();
    assert_eq!(
        (
            failure.attempt,
            failure.workflow.as_str(),
            failure.owner.as_str(),
            failure.reason.as_str(),
            failure.count
        ),
        (7, "prod-1-1", "prod-1", "no disk", 1)
    );
    assert_eq!(failure.log, ["stream-image: no such disk: /dev/sdz"]);
    assert_eq!(failure.power.as_deref(), Some("on"));
    let session = failure.boot_session.unwrap();
    assert_eq!(
        (session.boot, session.claim.unwrap().certificate.as_str()),
        (2, ""),
        "the boot, and no certificate"
    );

    site.api::<ProviderMachine>()
        .delete("prod-1", &DeleteParams::default())
        .await
        .unwrap();
    let off = json!({"spec": {"release": {"power": "off", "owner": "prod-1"}}});
    site.merge::<Server>("a", off).await;
    site.gone::<ProviderMachine>("prod-1").await;
    server(&site, "b", "worker").await;
    for (name, server) in [("prod-2", "b"), ("prod-3", "a")] {
        machine(&site, name).await;
        let machine = site
            .when(name, |machine: &ProviderMachine| host(machine).is_some())
            .await;
        assert_eq!(host(&machine).as_deref(), Some(server));
    }
    let text = site.event("ProviderMachine", "prod-3", "Preparing").await;
    assert!(
        text.contains("although its attempt 7 failed") && text.contains("(no disk)"),
        "{text}"
    );
    cancel.cancel();
    driver.await.unwrap();
}

//! Giving a server back.

use super::*;

#[tokio::test]
async fn a_machine_without_bmc_that_ran_comes_back_only_by_a_statement_of_its_own_owner() {
    let site = Site::start(NAMESPACE).await;
    server(&site, "a", "worker").await;
    machine(&site, "prod-1").await;
    let (driver, cancel) = drive(&site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    let session = json!({"attempt": 1, "boot": 1, "bootId": "00", "phase": "closed", "armedAt": "2026-01-01T00:00:00Z",
        "startedAt": "2026-01-01T00:01:00Z", "deadline": "2026-01-01T00:30:00Z"});
    site.merge_status::<Server>(
        "a",
        json!({"status": {"state": "running", "bootSession": session}}),
    )
    .await;
    site.api::<ProviderMachine>()
        .delete("prod-1", &DeleteParams::default())
        .await
        .unwrap();
    let asks = |machine: &ProviderMachine| {
        let reason = machine.status.as_ref().and_then(|status| status.reason.clone());
        reason.is_some_and(|reason| reason.contains("gantry release server a --powered-off"))
    };
    site.when("prod-1", asks).await;
    let state = |owner: &str| json!({"spec": {"release": {"power": "off", "owner": owner}}});
    site.merge::<Server>("a", state("prod-9")).await;
    site.when("prod-1", asks).await;
    let held = site.api::<Server>().get("a").await.unwrap();
    assert_eq!(held.spec.claim.unwrap().name, "prod-1", "stated of another owner");
    site.merge::<Server>("a", state("prod-1")).await;
    site.gone::<ProviderMachine>("prod-1").await;
    assert_eq!(site.api::<Server>().get("a").await.unwrap().spec.claim, None);
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn a_server_is_given_back_when_its_bmc_has_said_off_twice() {
    let site = Site::start(NAMESPACE).await;
    server(&site, "a", "worker").await;
    site.merge::<Server>("a", json!({"spec": {"bmc": "bmc-a"}})).await;
    site.make::<bmc::Machine>(json!({
        "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": "bmc-a"},
        "spec": {"connection": {"host": "192.0.2.9", "insecureTLS": true}}
    }))
    .await;
    machine(&site, "prod-1").await;
    let (driver, cancel) = drive(&site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    // Two attempts since the claim: something may run on it.
    let attempt = json!({"number": 2, "workflow": "prod-1-2"});
    site.merge::<Server>("a", json!({"spec": {"attempt": attempt}}))
        .await;
    site.api::<ProviderMachine>()
        .delete("prod-1", &DeleteParams::default())
        .await
        .unwrap();
    site.when("poweroff-prod-1-0", |_: &Job| true).await;
    let ended = json!({"conditions": [{"type": "Completed", "status": "True"}],
        "startTime": "2026-01-01T00:00:00Z", "completionTime": Timestamp::now().to_string()});
    site.merge_status::<Job>("poweroff-prod-1-0", json!({"status": ended}))
        .await;
    let asked = |bmc: &bmc::Machine| {
        let wish = bmc.annotations().get(keys::POLL_REQUESTED);
        wish.is_some_and(|wish| wish == "poweroff-prod-1-0")
    };
    site.when("bmc-a", asked).await;
    let held = site.api::<Server>().get("a").await.unwrap();
    assert_eq!(held.spec.claim.unwrap().name, "prod-1", "said off once");
    let polled = json!({"powerState": "off", "lastPolled": Timestamp::now().to_string()});
    site.merge_status::<bmc::Machine>("bmc-a", json!({"status": polled}))
        .await;
    site.gone::<ProviderMachine>("prod-1").await;
    assert_eq!(site.api::<Server>().get("a").await.unwrap().spec.claim, None);
    cancel.cancel();
    driver.await.unwrap();
}

#[tokio::test]
async fn a_server_in_quarantine_is_kept_off_with_its_claim_and_given_to_nobody() {
    let site = Site::start(NAMESPACE).await;
    server(&site, "a", "worker").await;
    machine(&site, "prod-1").await;
    let (driver, cancel) = drive(&site);
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    site.merge::<Server>("a", json!({"spec": {"quarantine": {"reason": "fan"}}}))
        .await;
    site.api::<ProviderMachine>()
        .delete("prod-1", &DeleteParams::default())
        .await
        .unwrap();
    let kept = |machine: &ProviderMachine| {
        let reason = machine.status.as_ref().and_then(|status| status.reason.clone());
        reason.is_some_and(|reason| reason.contains("a is off and kept for inspection (fan)"))
    };
    let waits = site.when("prod-1", kept).await.status.unwrap();
    assert!(waits.deadline.is_some());
    let held = site.api::<Server>().get("a").await.unwrap();
    assert_eq!(held.spec.claim.unwrap().name, "prod-1");
    site.merge::<Server>("a", json!({"spec": {"quarantine": null}}))
        .await;
    site.gone::<ProviderMachine>("prod-1").await;

    site.merge::<Server>("a", json!({"spec": {"quarantine": {"reason": "fan"}}}))
        .await;
    machine(&site, "prod-2").await;
    let waits = |machine: &ProviderMachine| {
        let reason = machine.status.as_ref().and_then(|status| status.reason.clone());
        reason.is_some_and(|reason| reason.contains("a is quarantined (fan)"))
    };
    site.when("prod-2", waits).await;
    site.merge::<Server>("a", json!({"spec": {"quarantine": null}}))
        .await;
    site.when("prod-2", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    cancel.cancel();
    driver.await.unwrap();
}

//! Wiping before a server is given back; BMC and workflow engine are played by the test.

use resources::gantry::Server;
use resources::tinkerbell::Template;

use super::*;

/// Ends the driver and starts it again, as after a crash.
async fn killed(
    site: &Site,
    driver: (JoinHandle<()>, CancellationToken),
) -> (JoinHandle<()>, CancellationToken) {
    driver.0.abort();
    let _ = driver.0.await;
    drive_wiping(site)
}

fn drive_wiping(site: &Site) -> (JoinHandle<()>, CancellationToken) {
    drive_with(site, WipePolicy::Quick)
}

/// The BMC carries the power-off Job out and confirms it when it is asked.
async fn switched_off(site: &Site, job: &str) {
    site.when(job, |_: &Job| true).await;
    let ended = json!({"conditions": [{"type": "Completed", "status": "True"}],
        "startTime": "2026-01-01T00:00:00Z", "completionTime": Timestamp::now().to_string()});
    site.merge_status::<Job>(job, json!({"status": ended})).await;
    let asked = |bmc: &bmc::Machine| {
        let wish = bmc.annotations().get(keys::POLL_REQUESTED);
        wish.is_some_and(|wish| wish == job)
    };
    site.when("bmc-a", asked).await;
    let polled = json!({"powerState": "off", "lastPolled": Timestamp::now().to_string()});
    site.merge_status::<bmc::Machine>("bmc-a", json!({"status": polled}))
        .await;
}

/// A claimed server whose disk attempt 1 has written to, with its machine being deleted.
async fn given_up(site: &Site, driver: &mut Option<(JoinHandle<()>, CancellationToken)>) {
    server(site, "a", "worker").await;
    site.make::<bmc::Machine>(json!({
        "apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": {"name": "bmc-a"},
        "spec": {"connection": {"host": "192.0.2.9", "insecureTLS": true}}
    }))
    .await;
    machine(site, "prod-1").await;
    *driver = Some(drive_wiping(site));
    site.when("prod-1", |machine: &ProviderMachine| host(machine).is_some())
        .await;
    let pin = json!({"name": "/dev/sda", "serial": "A", "size": 1 << 30, "attempt": 2});
    site.merge::<Server>(
        "a",
        json!({"spec": {"bmc": "bmc-a", "attempt": {"number": 2, "workflow": "prod-1-2"}, "disks": [pin]}}),
    )
    .await;
    site.api::<ProviderMachine>()
        .delete("prod-1", &DeleteParams::default())
        .await
        .unwrap();
}

fn driver_state(state: &'static str) -> impl Fn(&ProviderMachine) -> bool {
    move |machine| {
        let status = machine.status.as_ref();
        status.and_then(|status| status.driver_state.as_deref()) == Some(state)
    }
}

async fn claimed(site: &Site) -> bool {
    site.api::<Server>().get("a").await.unwrap().spec.claim.is_some()
}

#[tokio::test]
async fn a_server_keeps_its_claim_until_it_is_wiped_and_off_wherever_the_driver_is_killed() {
    let site = Site::start(NAMESPACE).await;
    let mut driver = None;
    given_up(&site, &mut driver).await;
    let mut driver = driver.unwrap();
    switched_off(&site, "poweroff-prod-1-0").await;
    site.when("prod-1-wipe-1", |_: &Workflow| true).await;
    driver = killed(&site, driver).await;
    let wiping = site.when("prod-1", driver_state("wiping")).await.status.unwrap();
    assert_eq!(wiping.workflow.as_deref(), Some("prod-1-wipe-1"));
    assert_eq!(wiping.phase, ProviderMachinePhase::Deleting);
    let template = site.api::<Template>().get("prod-1-wipe-1").await.unwrap();
    let text = template.spec.data.unwrap();
    assert!(
        text.contains("image: gantry/wipe") && text.contains("DEST_DISK: \"/dev/sda\""),
        "{text}"
    );

    // The first try fails, the second one comes by itself after its pause.
    let ago = Timestamp::now() - SignedDuration::from_mins(5);
    let failed = json!({"status": {"state": "FAILED", "reason": "disk is gone", "since": ago.to_string()}});
    site.merge_status::<Workflow>("prod-1-wipe-1", failed).await;
    driver = killed(&site, driver).await;
    assert!(claimed(&site).await);
    switched_off(&site, "poweroff-prod-1-wipe1-0").await;
    site.when("prod-1-wipe-2", |_: &Workflow| true).await;
    driver = killed(&site, driver).await;
    assert!(claimed(&site).await);
    let done = json!({"status": {"state": "SUCCESS", "since": Timestamp::now().to_string()}});
    site.merge_status::<Workflow>("prod-1-wipe-2", done).await;
    site.when("poweroff-prod-1-wipe2-0", |_: &Job| true).await;
    driver = killed(&site, driver).await;
    assert!(claimed(&site).await, "wiped, and still on");
    switched_off(&site, "poweroff-prod-1-wipe2-0").await;
    site.gone::<ProviderMachine>("prod-1").await;
    let free = site.api::<Server>().get("a").await.unwrap();
    assert_eq!((free.spec.claim, free.spec.unwiped), (None, None));
    for name in ["prod-1-wipe-1", "prod-1-wipe-2"] {
        site.gone::<Workflow>(name).await;
        site.gone::<Template>(name).await;
    }
    driver.1.cancel();
    driver.0.await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_given_back_unwiped_says_so_until_a_wipe_succeeds() {
    let site = Site::start(NAMESPACE).await;
    let mut driver = None;
    given_up(&site, &mut driver).await;
    let driver = driver.unwrap();
    switched_off(&site, "poweroff-prod-1-0").await;
    site.when("prod-1-wipe-1", |_: &Workflow| true).await;
    let hopeless = json!({"state": "FAILED", "reason": "disk is gone", "facts": {"hopeless": "true"},
        "since": Timestamp::now().to_string()});
    site.merge_status::<Workflow>("prod-1-wipe-1", json!({"status": hopeless}))
        .await;
    switched_off(&site, "poweroff-prod-1-wipe1-0").await;
    let asks = |machine: &ProviderMachine| {
        let reason = machine.status.as_ref().and_then(|status| status.reason.clone());
        reason.is_some_and(|reason| reason.contains("gantry release server a --powered-off --unwiped"))
    };
    site.when("prod-1", asks).await;
    assert!(claimed(&site).await);
    let later = Timestamp::now() + SignedDuration::from_secs(2);
    let words = json!({"power": "off", "owner": "prod-1", "unwiped": true, "reason": "shredded", "at": later.to_string()});
    site.merge::<Server>("a", json!({"spec": {"release": words}}))
        .await;
    site.gone::<ProviderMachine>("prod-1").await;
    let free = site.api::<Server>().get("a").await.unwrap();
    assert_eq!(free.spec.claim, None);
    let unwiped = free.spec.unwiped.unwrap();
    assert_eq!(
        (unwiped.owner.as_str(), unwiped.reason.as_str()),
        ("prod-1", "disk is gone; shredded")
    );
    driver.1.cancel();
    driver.0.await.unwrap();
}

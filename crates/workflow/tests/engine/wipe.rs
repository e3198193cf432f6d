//! Workflows that wipe.

use resources::gantry::Purpose;

use super::*;

const WIPE: &str = r#"version: "0.1"
name: wipe
global_timeout: 600
tasks:
- name: wipe
  worker: "{{.device_1}}"
  actions:
  - name: wipe-disk-1
    image: gantry/wipe
    timeout: 60
    environment: {DEST_DISK: /dev/vda}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wipe_gets_the_disk_of_the_installation_and_waits_while_it_is_not_there() {
    let site = Site::start().await;
    site.machine("node-1").await;
    let pin = json!({"name": "/dev/vda", "serial": "A", "size": 1 << 30, "attempt": 1});
    site.merge_server("node-1", json!({"spec": {"disks": [pin]}}))
        .await;
    // The Hardware means another disk by now.
    site.annotate(
        "node-1",
        resources::keys::ROOT_DEVICE_HINTS,
        r#"{"serialNumber": "B"}"#,
    )
    .await;
    site.template("wipe", WIPE).await;
    site.make_workflow("wipe-1", "wipe", json!({})).await;
    let server = site.server("node-1", attempt_is(1)).await;
    assert_eq!(server.spec.attempt.unwrap().purpose, Purpose::Wipe);
    site.session("node-1", 1, SessionPhase::Claimed).await;
    site.workflow("wipe-1", |workflow| {
        state(workflow) == Some(WorkflowState::Pending)
    })
    .await;

    let waits = next_with(&site, vec![disk("vda", "B")]).await.unwrap();
    assert!(
        matches!(&waits, Step::Wait(wait) if wait.reason.contains("serial number A")),
        "{waits:?}"
    );
    site.workflow("wipe-1", |workflow| {
        let held = workflow
            .status
            .as_ref()
            .and_then(|status| status.held_back.clone());
        held.is_some_and(|held| held.contains("no such disk now"))
    })
    .await;
    let wipe = action(
        next_with(&site, vec![disk("vda", "B"), disk("vdb", "A")])
            .await
            .unwrap(),
    );
    assert_eq!(wipe.kind, "wipe");
    let disks: Vec<_> = wipe
        .disks
        .iter()
        .map(|disk| (disk.name.as_str(), disk.serial.as_str()))
        .collect();
    assert_eq!(disks, [("/dev/vda", "A")]);
    let after = site.server("node-1", |_| true).await;
    assert_eq!(
        after.spec.disks[0].attempt, 1,
        "the pin stays that of the installation"
    );
    site.workflows
        .report(site.request(report(&wipe, ActionState::Success)).await)
        .await
        .unwrap();
    site.workflow("wipe-1", |workflow| {
        state(workflow) == Some(WorkflowState::Success)
    })
    .await;
    site.end().await;
}

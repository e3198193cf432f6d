//! Workflows that repair an installed system.

use resources::gantry::Purpose;

use super::*;

const REPAIR: &str = r#"version: "0.1"
name: repair
global_timeout: 600
tasks:
- name: repair
  worker: "{{.device_1}}"
  actions:
  - name: renew-certificates
    image: gantry/renew-certificates
    timeout: 60
    environment: {DEST_DISK: /dev/vda, NODE_NAME: node-1, RENEWAL_SCRIPT: "true"}
  - name: restart
    image: gantry/reboot
    timeout: 60
    environment: {DEST_DISK: /dev/vda}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_gets_the_disk_of_the_installation_and_pins_no_other() {
    let site = Site::start().await;
    site.machine("node-1").await;
    let pin = json!({"name": "/dev/vda", "serial": "A", "size": 1 << 30, "attempt": 1});
    site.merge_server("node-1", json!({"spec": {"disks": [pin]}}))
        .await;
    site.template("repair", REPAIR).await;
    site.make_workflow("repair-1", "repair", json!({})).await;
    let server = site.server("node-1", attempt_is(1)).await;
    assert_eq!(server.spec.attempt.unwrap().purpose, Purpose::Repair);
    site.session("node-1", 1, SessionPhase::Claimed).await;
    site.workflow("repair-1", |workflow| {
        state(workflow) == Some(WorkflowState::Pending)
    })
    .await;
    let waits = next_with(&site, vec![disk("vda", "B")]).await.unwrap();
    assert!(
        matches!(&waits, Step::Wait(wait) if wait.reason.contains("serial number A")),
        "{waits:?}"
    );
    let given = next_with(&site, vec![disk("vda", "B"), disk("vdb", "A")]).await;
    let given = action(given.unwrap());
    assert_eq!(given.kind, "renew-certificates");
    assert_eq!(given.disks[0].serial, "A");
    let after = site.server("node-1", |_| true).await;
    assert_eq!(after.spec.disks.len(), 1);
    assert_eq!(after.spec.disks[0].attempt, 1);
}

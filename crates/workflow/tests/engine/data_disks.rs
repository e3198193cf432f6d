//! Disks that keep their data.

use resources::Digest;
use resources::keys::DATA_DISKS;

use super::*;

fn with_ends(name: &str, serial: &str, ends: u8) -> Disk {
    Disk {
        ends: Digest::new([ends; 32]).to_string(),
        ..disk(name, serial)
    }
}

/// Status, reason and message of the condition.
fn kept(workflow: &Workflow) -> Option<(String, String, String)> {
    let status = workflow.status.as_ref()?;
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.kind == "DataDisksKept")?;
    Some((
        found.status.clone(),
        found.reason.clone().unwrap_or_default(),
        found.message.clone().unwrap_or_default(),
    ))
}

async fn waits(site: &Site, disks: Vec<Disk>) -> String {
    match next_with(site, disks).await.unwrap() {
        Step::Wait(wait) => wait.reason,
        other => panic!("{other:?}"),
    }
}

/// An installation whose agent has claimed, of a machine with a data disk B.
async fn installing() -> Site {
    let site = Site::start().await;
    site.machine("node-1").await;
    site.annotate("node-1", DATA_DISKS, r#"[{"serialNumber": "B"}]"#)
        .await;
    site.template("install", TEMPLATE).await;
    site.make_workflow("install-1", "install", json!({})).await;
    site.server("node-1", attempt_is(1)).await;
    site.session("node-1", 1, SessionPhase::Claimed).await;
    site.workflow("install-1", |workflow| {
        state(workflow) == Some(WorkflowState::Pending)
    })
    .await;
    site
}

/// The first action is done, and the machine may leave its installer.
async fn written(site: &Site, disks: Vec<Disk>) {
    let stream = action(next_with(site, disks).await.unwrap());
    assert_eq!(stream.name, "stream");
    site.workflows
        .report(site.request(report(&stream, ActionState::Success)).await)
        .await
        .unwrap();
    site.server("node-1", |server| {
        server
            .spec
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.handover)
    })
    .await;
    site.session("node-1", 1, SessionPhase::Disarmed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_disk_is_recorded_before_the_first_write_and_verified_before_the_installer_is_left() {
    let site = installing().await;
    let system = || with_ends("vda", "A", 1);
    let unread = waits(&site, vec![system(), disk("vdb", "B")]).await;
    assert!(unread.contains("could not be read"), "{unread}");
    let unclear = site
        .workflow("install-1", |workflow| {
            kept(workflow).is_some_and(|kept| kept.2.contains("could not be read"))
        })
        .await;
    assert_eq!(
        kept(&unclear).map(|kept| (kept.0, kept.1)),
        Some(("Unknown".to_owned(), "DataDiskUnclear".to_owned()))
    );
    let nothing = site.server("node-1", |_| true).await.spec;
    assert_eq!((nothing.disks.len(), nothing.data_disks.len()), (0, 0));

    written(&site, vec![system(), with_ends("vdb", "B", 2)]).await;
    let server = site.server("node-1", |_| true).await;
    let record = &server.spec.data_disks[0];
    assert_eq!(
        (record.serial.as_deref(), record.ends, record.attempt),
        (Some("B"), Digest::new([2; 32]), 1)
    );
    // The system disk is another one by now, and the names have changed.
    let now = vec![with_ends("vdb", "A", 9), with_ends("vda", "B", 2)];
    let leave = action(next_with(&site, now).await.unwrap());
    assert_eq!(leave.name, "leave");
    let (status, reason, message) = kept(&site.workflow("install-1", |_| true).await).unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Unchanged"));
    assert!(
        message.starts_with("1 data disk is as before attempt 1"),
        "{message}"
    );
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_disk_that_has_changed_stops_the_attempt_until_somebody_gives_it_up() {
    let site = installing().await;
    let disks = |ends| vec![with_ends("vda", "A", 1), with_ends("vdb", "B", ends)];
    written(&site, disks(2)).await;
    let changed = waits(&site, disks(3)).await;
    assert!(
        changed.starts_with("data disk with serial number B was changed during attempt 1"),
        "{changed}"
    );
    let stopped = site
        .workflow("install-1", |workflow| {
            kept(workflow).is_some_and(|kept| kept.0 == "False")
        })
        .await;
    assert_eq!(
        kept(&stopped),
        Some(("False".to_owned(), "DataDiskChanged".to_owned(), changed.clone()))
    );
    assert_eq!(
        stopped
            .status
            .as_ref()
            .and_then(|status| status.held_back.clone()),
        Some(changed.clone())
    );
    let event = site.event("Workflow", "install-1", "DataDiskChanged").await;
    assert!(event.contains(&changed), "{event}");
    let record = site.server("node-1", |_| true).await.spec.data_disks;
    assert_eq!(
        record[0].ends,
        Digest::new([2; 32]),
        "what it was stays on record"
    );
    site.annotate("node-1", DATA_DISKS, "[]").await;
    assert_eq!(action(next_with(&site, disks(3)).await.unwrap()).name, "leave");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_not_valid_stops_the_attempt_with_what_is_wrong() {
    let site = installing().await;
    site.annotate("node-1", DATA_DISKS, r#"[{"serialNumber": ""}]"#)
        .await;
    let reason = waits(&site, vec![with_ends("vda", "A", 1)]).await;
    assert!(reason.contains("[0]: serialNumber or wwn is needed"), "{reason}");
    site.end().await;
}

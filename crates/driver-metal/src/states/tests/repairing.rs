//! Certificates that are renewed in the installer, on a machine that is a node.

use resources::gantry::{CertificateRepair, CertificateRepairResult, Purpose};

use super::*;
use crate::repair;
use crate::status::observed;

/// A machine that runs since attempt 4, for which this repair is wanted.
fn wanted(number: u32) -> Snapshot {
    let first = FirstBoot {
        revoked_at: Some(Time(at(5))),
        ..asking(4)
    };
    let snapshot = with_workflow(claimed(MetalState::Running), 1, WorkflowState::Success);
    let mut snapshot = with_first_boot(snapshot, 4, first);
    snapshot.machine.spec.certificate_repair = Some(CertificateRepair {
        number,
        node: "node-a".into(),
    });
    snapshot.machine.spec.installation = 1;
    snapshot.machine.status.as_mut().unwrap().installation = Some(1);
    observed_again(snapshot)
}

/// The status as the driver has it before it decides.
fn observed_again(mut snapshot: Snapshot) -> Snapshot {
    snapshot.machine.status = Some(observed(&snapshot));
    snapshot
}

/// The repair is being carried out as attempt 5, in this state.
fn repairing(number: u32, state: WorkflowState) -> Snapshot {
    let mut snapshot = wanted(number);
    MetalState::Repairing.enter(snapshot.machine.status.as_mut().unwrap());
    let name = format!("blue-cp-0-repair-{number}");
    let mut workflow = Workflow::new(&name, WorkflowSpec::default());
    let digest = |octet| Digest::new([octet; 32]).to_string();
    workflow.status = Some(WorkflowStatus {
        state: Some(state),
        reason: Some("this machine has no kubeadm".into()),
        facts: [
            ("api_server_certificate".to_owned(), digest(1)),
            ("etcd_certificate".to_owned(), digest(2)),
        ]
        .into(),
        ..WorkflowStatus::default()
    });
    snapshot.workflows.insert(name.clone(), workflow);
    snapshot.servers[1].spec.attempt = Some(Attempt {
        number: 5,
        workflow: name,
        purpose: Purpose::Repair,
        closed: state != WorkflowState::Running,
        ..Attempt::default()
    });
    observed_again(snapshot)
}

fn result(snapshot: &Snapshot) -> Option<&CertificateRepairResult> {
    snapshot.machine.status.as_ref()?.certificate_repair.as_ref()
}

#[test]
fn a_repair_that_is_wanted_is_made_once_and_the_node_stays_what_it_is() {
    let snapshot = wanted(7);
    let before = snapshot.machine.status.clone().unwrap();
    assert!(before.bootstrap_done_at.is_some());
    assert_eq!(go(&decide(&snapshot, at(10))), Some(MetalState::Repairing));
    let mut begun = snapshot;
    MetalState::Repairing.enter(begun.machine.status.as_mut().unwrap());
    let workflow = "blue-cp-0-repair-7".to_owned();
    assert_eq!(decide(&begun, at(10)), Step::Do(Effect::Repair { workflow }));

    let runs = repairing(7, WorkflowState::Running);
    assert!(matches!(decide(&runs, at(10)), Step::Wait { reason, .. } if reason.contains("being renewed")));
    assert_eq!(result(&runs), None);
    let done = repairing(7, WorkflowState::Success);
    let known = result(&done).unwrap();
    assert_eq!((known.number, known.failure.as_ref()), (7, None));
    assert_eq!(known.api_server, Some(Digest::new([1; 32])));
    assert_eq!(known.etcd, Some(Digest::new([2; 32])));
    assert_eq!(go(&decide(&done, at(10))), Some(MetalState::Running));

    // The attempt is another one, and the installation and its first boot are the same.
    for snapshot in [&runs, &done] {
        let status = snapshot.machine.status.clone().unwrap();
        assert_eq!(status.phase, before.phase);
        assert_eq!(status.workflow, before.workflow);
        assert_eq!(status.bootstrap_requested_at, before.bootstrap_requested_at);
        assert_eq!(status.bootstrap_done_at, before.bootstrap_done_at);
        assert_eq!(snapshot.installations(), 1);
    }
    let mut after = done;
    MetalState::Running.enter(after.machine.status.as_mut().unwrap());
    assert_eq!(decide(&after, at(10)), Step::done("runs"));
    // Without the Workflow the status remembers it.
    after.workflows.remove("blue-cp-0-repair-7");
    assert_eq!(decide(&observed_again(after.clone()), at(10)), Step::done("runs"));
    // Another installation does not take the node away, and the next repair is another one.
    let mut anew = after.clone();
    anew.machine.spec.installation = 2;
    assert!(
        matches!(decide(&anew, at(10)), Step::Done { reason: Some(reason) } if reason.contains("left alone"))
    );
    after.machine.spec.certificate_repair.as_mut().unwrap().number = 8;
    assert_eq!(go(&decide(&after, at(10))), Some(MetalState::Repairing));
}

#[test]
fn after_a_repair_that_failed_its_system_is_started_once() {
    for state in [WorkflowState::Failed, WorkflowState::Timeout] {
        let failed = repairing(7, state);
        let why = result(&failed).unwrap().failure.clone();
        assert_eq!(why.as_deref(), Some("this machine has no kubeadm"));
        let job = "reset-blue-cp-0-repair-7".to_owned();
        assert_eq!(
            decide(&failed, at(10)),
            Step::Do(Effect::Reset { job: job.clone() })
        );
        let reset = with_job(failed.clone(), &job, ConditionKind::Completed);
        assert!(
            matches!(decide(&reset, at(10)), Step::Go { state: MetalState::Running, reason } if reason.contains("no kubeadm"))
        );
        let mut by_hand = failed;
        by_hand.servers[1].spec.bmc = None;
        assert_eq!(go(&decide(&by_hand, at(10))), Some(MetalState::Running));
    }
}

#[test]
fn no_repair_begins_before_the_first_boot_is_done_and_deletion_ends_one() {
    let mut early = wanted(7);
    let status = early.servers[1].status.as_mut().unwrap();
    status.first_boot.as_mut().unwrap().revoked_at = None;
    assert_eq!(go(&decide(&observed_again(early), at(10))), None);
    let mut deleted = repairing(7, WorkflowState::Running);
    deleted.machine.metadata.deletion_timestamp = Some(Time(at(9)));
    assert_eq!(go(&decide(&deleted, at(10))), Some(MetalState::Releasing));
    let mut taken = repairing(7, WorkflowState::Running);
    taken.servers[1].spec.claim = None;
    assert_eq!(go(&decide(&taken, at(10))), Some(MetalState::Failed));
}

#[test]
fn the_disk_of_the_system_is_one_that_this_claim_has_written_to() {
    use resources::gantry::PinnedDisk;
    let mut snapshot = wanted(7);
    let pin = |name: &str, attempt| PinnedDisk {
        name: name.into(),
        serial: Some(name.into()),
        attempt,
        ..PinnedDisk::default()
    };
    let hardware: Hardware = serde_json::from_value(serde_json::json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": "node-a"},
        "spec": {"disks": [{"device": "/dev/sdb"}]}}))
    .unwrap();
    let server = &mut snapshot.servers[1];
    server.spec.claim.as_mut().unwrap().last_attempt = Some(3);
    server.spec.disks = vec![pin("/dev/sdc", 3)];
    assert_eq!(repair::system_disk(server, &hardware), None);
    server.spec.disks.push(pin("/dev/sda", 4));
    assert_eq!(repair::system_disk(server, &hardware), Some("/dev/sda"));
    server.spec.disks.push(pin("/dev/sdb", 4));
    assert_eq!(repair::system_disk(server, &hardware), Some("/dev/sdb"));
}

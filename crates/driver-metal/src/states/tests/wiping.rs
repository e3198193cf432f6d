//! Wiping the disks of a server before it is given back.

use resources::gantry::{PinnedDisk, Purpose, Quarantine, Unwiped};

use super::releasing::{ended, given_back, releasing, said, stated, try_ended};
use super::*;

/// A machine whose disk was written to in attempt 1, off by evidence, with a policy that asks for a wipe.
fn off() -> Snapshot {
    let mut snapshot = said(
        ended(releasing(), ConditionKind::Completed, 10),
        bmc::PowerState::Off,
        11,
    );
    snapshot.wipe = WipePolicy::Quick;
    server(&mut snapshot).spec.disks = vec![pin("A", 1)];
    snapshot
}

fn pin(serial: &str, attempt: u64) -> PinnedDisk {
    PinnedDisk {
        name: "/dev/sda".into(),
        serial: Some(serial.into()),
        attempt,
        ..PinnedDisk::default()
    }
}

fn server(snapshot: &mut Snapshot) -> &mut Server {
    &mut snapshot.servers[1]
}

/// The wipe with this number is in this state since this minute.
fn wiping(mut snapshot: Snapshot, number: u32, state: WorkflowState, minute: i64) -> Snapshot {
    let name = format!("blue-cp-0-wipe-{number}");
    let mut workflow = Workflow::new(&name, WorkflowSpec::default());
    workflow.status = Some(WorkflowStatus {
        state: Some(state),
        since: Some(Time(at(minute))),
        reason: Some("disk is gone".into()),
        ..WorkflowStatus::default()
    });
    snapshot.workflows.insert(name, workflow);
    snapshot
}

/// The machine is off by evidence once more, after this wipe.
fn off_again(snapshot: Snapshot, wipe: u32, minute: i64) -> Snapshot {
    off_after(snapshot, &format!("wipe{wipe}"), minute)
}

/// The same, after what the Job's name says started it.
fn off_after(snapshot: Snapshot, start: &str, minute: i64) -> Snapshot {
    let name = format!("poweroff-blue-cp-0-{start}-0");
    let mut snapshot = with_job(snapshot, &name, ConditionKind::Completed);
    let job = snapshot.jobs.get_mut(&name).unwrap();
    job.status.as_mut().unwrap().completion_time = Some(Time(at(minute)));
    said(snapshot, bmc::PowerState::Off, minute + 1)
}

fn next(number: u32) -> Step {
    Step::Do(Effect::Wipe {
        workflow: format!("blue-cp-0-wipe-{number}"),
    })
}

#[track_caller]
fn waits(snapshot: &Snapshot, minute: i64) -> (String, Timestamp) {
    match decide(snapshot, at(minute)) {
        Step::Wait { reason, until, .. } => (reason, until),
        step => panic!("must wait: {step:?}"),
    }
}

#[test]
fn a_server_is_wiped_when_it_is_off_and_given_back_when_it_is_off_again() {
    let mut on = off();
    on.jobs.clear();
    assert!(
        matches!(decide(&on, START), Step::Do(Effect::PowerOff { .. })),
        "first it is off"
    );
    assert_eq!(decide(&off(), at(11)), next(1));
    let runs = wiping(off(), 1, WorkflowState::Running, 12);
    assert_eq!(go(&decide(&runs, at(12))), Some(MetalState::Wiping));

    let mut in_wiping = runs;
    in_wiping.machine.status.as_mut().unwrap().driver_state = Some("wiping".into());
    assert!(waits(&in_wiping, 13).0.contains("being wiped"));
    let done = wiping(in_wiping, 1, WorkflowState::Success, 20);
    assert_eq!(go(&decide(&done, at(20))), Some(MetalState::Releasing));

    // What the BMC said of before the wipe counts no more.
    let done = wiping(off(), 1, WorkflowState::Success, 20);
    let power_off = Step::Do(Effect::PowerOff {
        job: "poweroff-blue-cp-0-wipe1-0".into(),
        earlier: Vec::new(),
    });
    assert_eq!(decide(&done, at(20)), power_off);
    assert_eq!(decide(&off_again(done, 1, 21), at(22)), given_back());
}

#[test]
fn only_what_the_policy_asks_for_and_this_claim_has_written_is_wiped() {
    let with = |change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = off();
        change(&mut snapshot);
        decide(&snapshot, at(11))
    };
    let unwiped = Some(Unwiped {
        owner: "red".into(),
        reason: "dead".into(),
        at: Time(START),
    });
    for (what, step, expected) in [
        ("no policy", with(&|s| s.wipe = WipePolicy::None), given_back()),
        (
            "the server's own policy wins",
            with(&|s| {
                s.wipe = WipePolicy::None;
                server(s).spec.wipe = Some(WipePolicy::Quick);
            }),
            next(1),
        ),
        (
            "also against the site's",
            with(&|s| server(s).spec.wipe = Some(WipePolicy::None)),
            given_back(),
        ),
        (
            "nothing written",
            with(&|s| server(s).spec.disks.clear()),
            given_back(),
        ),
        (
            "written by an earlier owner only",
            with(&|s| server(s).spec.claim.as_mut().unwrap().last_attempt = Some(1)),
            given_back(),
        ),
        (
            "a claim that does not say",
            with(&|s| server(s).spec.claim.as_mut().unwrap().last_attempt = None),
            next(1),
        ),
    ] {
        assert_eq!(step, expected, "{what}");
    }
    let mut shared = off();
    let spec = &mut server(&mut shared).spec;
    spec.disks = vec![
        pin("A", 3),
        PinnedDisk {
            name: "/dev/sdb".into(),
            ..pin("A", 2)
        },
        pin("OLD", 1),
    ];
    spec.claim.as_mut().unwrap().last_attempt = Some(1);
    let serials = |server: &Server| -> Vec<String> {
        let disks = crate::wipe::disks(server, None);
        disks.iter().filter_map(|disk| disk.serial.clone()).collect()
    };
    assert_eq!(serials(&shared.servers[1]), ["A"], "one disk under two names");
    server(&mut shared).spec.unwiped = unwiped;
    assert_eq!(
        serials(&shared.servers[1]),
        ["A", "OLD"],
        "what an earlier owner left"
    );
}

#[test]
fn a_disk_that_is_called_a_data_disk_by_now_is_left_alone() {
    let kept = |serials: &[&str]| {
        let mut snapshot = off();
        server(&mut snapshot).spec.disks = vec![pin("A", 1), pin("B", 1)];
        let list: Vec<_> = serials
            .iter()
            .map(|serial| serde_json::json!({"serialNumber": serial}))
            .collect();
        let name = server(&mut snapshot).spec.hardware.clone();
        let hardware = snapshot.hardware.get_mut(&name).unwrap();
        let list = serde_json::to_string(&list).unwrap();
        hardware.annotations_mut().insert(keys::DATA_DISKS.into(), list);
        let written = crate::wipe::disks(&snapshot.servers[1], snapshot.hardware.get(&name));
        let serials: Vec<String> = written.iter().filter_map(|disk| disk.serial.clone()).collect();
        (serials, decide(&snapshot, at(11)))
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(kept(&[]), (names(&["A", "B"]), next(1)));
    assert_eq!(kept(&["A"]), (names(&["B"]), next(1)));
    assert_eq!(kept(&["A", "B"]), (names(&[]), given_back()));
}

#[test]
fn a_wipe_that_fails_is_tried_three_times_with_the_machine_off_in_between() {
    let failed = |number, minute| wiping(off(), number, WorkflowState::Failed, minute);
    let first = off_again(failed(1, 20), 1, 20);
    assert_eq!(waits(&first, 20).1, at(21));
    assert_eq!(decide(&first, at(21)), next(2));
    let second = off_again(wiping(failed(1, 20), 2, WorkflowState::Timeout, 30), 2, 30);
    assert_eq!(waits(&second, 31).1, at(32));
    assert_eq!(decide(&second, at(32)), next(3));
    let third = off_again(
        wiping(
            wiping(failed(1, 20), 2, WorkflowState::Timeout, 30),
            3,
            WorkflowState::Failed,
            40,
        ),
        3,
        40,
    );
    let (reason, until) = waits(&third, 41);
    for part in [
        "node-a keeps its claim",
        "disk is gone",
        "gantry retry server node-a",
        "gantry release server node-a --powered-off --unwiped",
    ] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert_eq!(until, at(24 * 60));

    let mut again = third.clone();
    server(&mut again).spec.retry_requested_at = Some(Time(at(50)));
    assert_eq!(decide(&again, at(50)), next(4));
    let again = off_again(wiping(again, 4, WorkflowState::Failed, 60), 4, 60);
    assert_eq!(waits(&again, 60).1, at(61), "counted from the wish on");

    let mut hopeless = off_again(failed(1, 20), 1, 20);
    let workflow = hopeless.workflows.get_mut("blue-cp-0-wipe-1").unwrap();
    let facts = &mut workflow.status.as_mut().unwrap().facts;
    facts.insert(keys::FACT_HOPELESS.into(), "true".into());
    assert!(waits(&hopeless, 30).0.contains("gantry retry server node-a"));
}

#[test]
fn a_person_gives_back_what_can_not_be_wiped_and_that_is_kept_on_record() {
    let failed = wiping(off(), 1, WorkflowState::Failed, 20);
    let mut as_it_is = stated(failed, StatedPower::Off, "blue-cp-0");
    let release = server(&mut as_it_is).spec.release.as_mut().unwrap();
    (release.unwiped, release.at) = (true, Some(Time(at(30))));
    let unwiped = |reason: &str| {
        Step::Do(Effect::Unclaim {
            unwiped: Some(reason.into()),
        })
    };
    assert_eq!(
        decide(&as_it_is, at(30)),
        unwiped("disk is gone; seen in the rack")
    );
    let given_up = stated(off(), StatedPower::Unknown, "blue-cp-0");
    assert_eq!(
        decide(&given_up, at(30)),
        unwiped("it was not done; seen in the rack")
    );
    let runs = wiping(given_up, 1, WorkflowState::Running, 20);
    assert_eq!(
        decide(&runs, at(30)),
        Step::Do(Effect::RemoveWipes),
        "nothing wipes it for the next owner"
    );
    let mut runs = runs;
    runs.machine.status.as_mut().unwrap().driver_state = Some("wiping".into());
    assert_eq!(go(&decide(&runs, at(30))), Some(MetalState::Releasing));
}

#[test]
fn a_statement_is_no_wipe_and_one_of_before_the_wipe_is_none_of_after_it() {
    let mut said_off = stated(off(), StatedPower::Off, "blue-cp-0");
    said_off.jobs.clear();
    assert_eq!(decide(&said_off, at(11)), next(1), "off is enough to begin");
    server(&mut said_off).spec.release.as_mut().unwrap().at = Some(Time(at(11)));
    let done = wiping(said_off, 1, WorkflowState::Success, 20);
    assert!(matches!(decide(&done, at(20)), Step::Do(Effect::PowerOff { .. })));
    let mut later = done;
    server(&mut later).spec.release.as_mut().unwrap().at = Some(Time(at(21)));
    assert_eq!(decide(&later, at(21)), given_back());
}

#[test]
fn without_a_bmc_the_wipe_needs_no_statement_and_its_end_does() {
    let mut blind = off();
    (blind.bmc, server(&mut blind).spec.bmc) = (None, None);
    assert_eq!(decide(&blind, at(11)), next(1));
    let done = wiping(blind.clone(), 1, WorkflowState::Success, 20);
    assert!(
        waits(&done, 20)
            .0
            .contains("gantry release server node-a --powered-off")
    );
    server(&mut blind).spec.quarantine = Some(Quarantine {
        reason: "fan".into(),
        at: None,
    });
    assert!(
        waits(&blind, 20).0.contains("switch it off"),
        "somebody looks at it first"
    );
}

#[test]
fn a_server_that_is_being_inspected_is_left_on() {
    let mut kept = said(off(), bmc::PowerState::On, 12);
    server(&mut kept).spec.quarantine = Some(Quarantine {
        reason: "fan".into(),
        at: None,
    });
    let attempt = server(&mut kept).spec.attempt.as_mut().unwrap();
    (attempt.number, attempt.purpose) = (2, Purpose::Inspect);
    server(&mut kept).status.as_mut().unwrap().state = ServerState::Provisioning;
    assert!(waits(&kept, 12).0.contains("being inspected"));
    server(&mut kept).status.as_mut().unwrap().state = ServerState::Claimed;
    // It is over. The machine was started, so what the BMC said of before, or by the way, counts no more.
    let over = said(kept, bmc::PowerState::Off, 13);
    let power_off = Step::Do(Effect::PowerOff {
        job: "poweroff-blue-cp-0-inspect2-0".into(),
        earlier: Vec::new(),
    });
    assert_eq!(decide(&over, at(13)), power_off);
    let kept = off_after(over, "inspect2", 14);
    assert!(waits(&kept, 15).0.contains("kept for inspection (fan)"));
}

#[test]
fn what_somebody_wants_to_look_at_is_not_wiped_before_he_is_done() {
    let quarantine = |at_minute: Option<i64>| Quarantine {
        reason: "fan".into(),
        at: at_minute.map(|minute| Time(at(minute))),
    };
    let mut kept = off();
    server(&mut kept).spec.quarantine = Some(quarantine(Some(5)));
    assert!(waits(&kept, 11).0.contains("kept for inspection (fan)"));
    let mut looked_at = stated(kept, StatedPower::Off, "blue-cp-0");
    server(&mut looked_at).spec.release.as_mut().unwrap().at = Some(Time(at(12)));
    assert_eq!(decide(&looked_at, at(12)), next(1));
    let mut wiped = off_again(wiping(looked_at, 1, WorkflowState::Success, 20), 1, 21);
    assert_eq!(
        decide(&wiped, at(22)),
        given_back(),
        "the old statement ended the inspection"
    );
    server(&mut wiped).spec.quarantine = Some(quarantine(Some(22)));
    assert!(
        waits(&wiped, 23).0.contains("kept for inspection (fan)"),
        "a new one"
    );

    let mut failing = try_ended(releasing(), 0, ConditionKind::Failed, 0);
    failing.wipe = WipePolicy::Quick;
    server(&mut failing).spec.disks = vec![pin("A", 1)];
    assert!(
        waits(&failing, 0).0.contains("cannot power node-a off"),
        "not wiped while it may run"
    );
}

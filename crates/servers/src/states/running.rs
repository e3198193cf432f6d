//! Running. Entry: evidence of the installed system. Exits: releasing without a claim, provisioning with a new
//! attempt. Rest: the node needs nothing from us.

use resources::gantry::ServerState;

use super::{Snapshot, Step};

pub(super) fn decide(snapshot: &Snapshot<'_>) -> Step {
    if snapshot.claim().is_none() {
        return Step::go(ServerState::Releasing, "its owner gave it back");
    }
    if let Some(step) = snapshot.owner_step() {
        return step;
    }
    match snapshot.open_attempt() {
        Some(attempt) => Step::go(
            ServerState::Provisioning,
            format!("workflow {} runs", attempt.workflow),
        ),
        None => Step::Done {
            reason: first_boot_failure(snapshot).or_else(|| other_disk(snapshot)),
        },
    }
}

/// How the first boot of the installed system failed.
fn first_boot_failure(snapshot: &Snapshot<'_>) -> Option<String> {
    let first = snapshot.server.status.as_ref()?.first_boot.as_ref()?;
    let attempt = snapshot.attempt()?.number;
    let failure = first.failure.as_ref().filter(|_| first.attempt == attempt)?;
    Some(failure.to_string())
}

/// How the reason begins that another disk is named.
const OTHER_DISK: &str = "its Hardware now names the disk ";

/// The Hardware names another disk than the one that is installed: that is a decision for the next installation.
fn other_disk(snapshot: &Snapshot<'_>) -> Option<String> {
    let attempt = snapshot.attempt().map_or(0, |attempt| attempt.number);
    let named = snapshot
        .hardware
        .and_then(|hardware| hardware.spec.disks.first()?.device.as_ref());
    let pins = snapshot
        .server
        .spec
        .disks
        .iter()
        .filter(|pin| pin.attempt == attempt);
    let pins: Vec<_> = pins.collect();
    let reason = snapshot
        .server
        .status
        .as_ref()
        .and_then(|status| status.reason.as_deref());
    match (named, pins.first()) {
        (Some(named), Some(pin)) if pins.iter().all(|pin| pin.name != *named) => Some(format!(
            "{OTHER_DISK}{named}; the installed system stays on {} (serial number {}, {} bytes), and the next \
             installation takes the other disk",
            pin.name,
            pin.serial.as_deref().unwrap_or("unknown"),
            pin.size
        )),
        _ if reason.is_some_and(|reason| reason.starts_with(OTHER_DISK)) => {
            Some("its Hardware names the disk of the installed system".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at};
    use super::*;
    use resources::gantry::PinnedDisk;
    use resources::tinkerbell::{Disk, WorkflowState};

    #[test]
    fn another_disk_in_the_hardware_is_left_for_the_next_installation() {
        let mut sample = Sample::new(ServerState::Running);
        sample.claim("ProviderMachine", "prod-1");
        sample.owned_by("prod-1");
        sample.attempt(1);
        sample.workflow_ends(WorkflowState::Success, "");
        sample.server.spec.disks = vec![PinnedDisk {
            name: "/dev/sda".into(),
            serial: Some("A".into()),
            attempt: 1,
            ..PinnedDisk::default()
        }];
        let mut with = |device: &str| {
            let device = Some(device.to_owned());
            sample.hardware.as_mut().unwrap().spec.disks = vec![Disk { device }];
            let Step::Done { reason } = sample.step(at(0)) else {
                panic!("it does not rest")
            };
            sample.server.status.as_mut().unwrap().reason.clone_from(&reason);
            reason
        };
        assert_eq!(with("/dev/sda"), None);
        let reason = with("/dev/sdb").unwrap();
        assert!(
            reason.contains("disk /dev/sdb; the installed system stays on /dev/sda (serial number A"),
            "{reason}"
        );
        assert!(!with("/dev/sda").unwrap().contains("/dev/sdb"));
    }

    #[test]
    fn a_failed_first_boot_of_this_attempt_is_its_reason() {
        let mut sample = Sample::new(ServerState::Running);
        sample.claim("ProviderMachine", "prod-1");
        sample.owned_by("prod-1");
        sample.attempt(2);
        sample.workflow_ends(WorkflowState::Success, "");
        for (attempt, reason) in [
            (2, Some("first boot failed at containerd: no such unit")),
            (1, None),
        ] {
            sample.first_boot(attempt);
            sample.first_boot_fails("containerd", "no such unit");
            let reason = reason.map(str::to_owned);
            assert_eq!(sample.step(at(0)), Step::Done { reason });
        }
    }

    #[test]
    fn it_rests_until_given_back_or_installed_again() {
        let mut sample = Sample::new(ServerState::Running);
        sample.claim("ProviderMachine", "prod-1");
        sample.owned_by("prod-1");
        sample.attempt(1);
        sample.workflow_ends(WorkflowState::Success, "");
        assert_eq!(sample.step(at(0)), Step::Done { reason: None });
        sample.attempt(2);
        sample.goes(at(0), ServerState::Provisioning);
        sample.server.spec.claim = None;
        sample.goes(at(0), ServerState::Releasing);
    }
}

//! The armed window: how long an armed session waits, and from when that counts (DESIGN §7, 13).
//!
//! Before its machine has started, a session waits for that: half an hour where Gantry powers the machine on itself, a
//! day (`manualMinutes`) where somebody else does. From the start on it waits for the agent's claim: the firmware's
//! allowance for its self test (`postMinutes`) and a quarter of an hour for the way to the installer. So the window is
//! short while it can be used, and nobody has to run to a machine.
//!
//! The start is our Job's end where Gantry powers the machine on. Packets before that come from what ran there, so they
//! prove nothing. Elsewhere it is what shows it first: the BMC's change from off to on, or a packet.

use jiff::{SignedDuration, Timestamp};
use resources::gantry::{BootSession, ServerSpec};
use resources::tinkerbell::{BootMode, Workflow, WorkflowState};

use steps::later;

/// Minutes until our own power-on: the BMC's Job has 15, and may wait for another.
const POWER_ON_MINUTES: u32 = 30;
/// Minutes from the first packet to the agent's claim.
const BOOT_MINUTES: u32 = 15;

/// How long a site waits for machines whose Server does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowances {
    /// Minutes from power-on to the first packet.
    pub post_minutes: u32,
    /// Minutes until somebody powers on what Gantry does not.
    pub manual_minutes: u32,
}

/// How an armed session of a machine waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Whether Gantry powers the machine on itself.
    pub ours: bool,
    /// Minutes until the machine starts.
    pub start_minutes: u32,
    /// Minutes from there to its first packet.
    pub post_minutes: u32,
}

impl Window {
    /// That of a machine.
    #[must_use]
    pub fn of(server: &ServerSpec, workflow: Option<&Workflow>, site: Allowances) -> Self {
        let ours = powered_by_us(server, workflow);
        Self {
            ours,
            start_minutes: match ours {
                true => POWER_ON_MINUTES,
                false => server.manual_minutes.unwrap_or(site.manual_minutes),
            },
            post_minutes: server.post_minutes.unwrap_or(site.post_minutes),
        }
    }

    /// Its end while the machine has not started.
    pub(super) fn before_start(self, armed: Timestamp) -> Timestamp {
        later(armed, minutes(self.start_minutes))
    }

    /// Its end once the machine has started.
    pub(super) fn after_start(self, started: Timestamp) -> Timestamp {
        let boot = minutes(self.post_minutes).saturating_add(minutes(BOOT_MINUTES));
        later(started, boot)
    }

    /// From when on a packet is of the boot that is waited for; none is before our own power-on.
    #[must_use]
    pub fn hears_from(self, session: &BootSession) -> Option<Timestamp> {
        match &session.started_at {
            Some(started) => Some(started.0),
            None if self.ours => None,
            None => Some(session.armed_at.0),
        }
    }

    /// When the machine of an armed session started, if it has; `switched_on` is that its BMC says on and said off.
    #[must_use]
    pub fn start(
        self,
        session: &BootSession,
        workflow: Option<&Workflow>,
        switched_on: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.ours {
            // PREPARING ends when the Job that powers it on has.
            let status = workflow?.status.as_ref()?;
            let is_on = status
                .state
                .is_some_and(|state| state != WorkflowState::Preparing);
            return is_on.then(|| status.since.as_ref().map_or(now, |since| since.0));
        }
        let packet = session.last_packet.as_ref().map(|packet| packet.at.0);
        packet.or(switched_on.then_some(now))
    }
}

fn minutes(count: u32) -> SignedDuration {
    SignedDuration::from_mins(i64::from(count))
}

/// Whether a Job of the Workflow does it.
fn powered_by_us(server: &ServerSpec, workflow: Option<&Workflow>) -> bool {
    let options = workflow.and_then(|workflow| workflow.spec.boot_options.as_ref());
    let has_job = options.is_some_and(|options| match options.boot_mode {
        Some(BootMode::Netboot) => true,
        Some(BootMode::Customboot) => options
            .custom_boot_config
            .as_ref()
            .is_some_and(|custom| !custom.preparing_actions.is_empty()),
        Some(BootMode::Isoboot | BootMode::Iso) | None => false,
    });
    server.bmc.is_some() && has_job
}

#[cfg(test)]
mod tests {
    use resources::Time;
    use resources::bmc::Action;
    use resources::gantry::{LastPacket, SessionPhase};
    use resources::tinkerbell::{BootOptions, CustombootConfig, WorkflowSpec, WorkflowStatus};

    use super::super::samples::{at, session};
    use super::*;

    const SITE: Allowances = Allowances {
        post_minutes: 30,
        manual_minutes: 1440,
    };
    const NETBOOT: Option<BootMode> = Some(BootMode::Netboot);

    fn server(bmc: bool) -> ServerSpec {
        ServerSpec {
            bmc: bmc.then(|| "bmc-node-1".to_owned()),
            ..ServerSpec::default()
        }
    }

    fn workflow(mode: Option<BootMode>, state: WorkflowState) -> Workflow {
        let options = BootOptions {
            boot_mode: mode,
            ..BootOptions::default()
        };
        let spec = WorkflowSpec {
            boot_options: Some(options),
            ..WorkflowSpec::default()
        };
        let mut workflow = Workflow::new("w", spec);
        workflow.status = Some(WorkflowStatus {
            state: Some(state),
            since: Some(Time(at(40))),
            ..WorkflowStatus::default()
        });
        workflow
    }

    fn waiting() -> BootSession {
        let mut session = session(SessionPhase::Armed);
        session.started_at = None;
        session
    }

    #[test]
    fn each_way_of_powering_on_has_its_own_allowance() {
        let minutes = |server: &ServerSpec, workflow: &Workflow| {
            let window = Window::of(server, Some(workflow), SITE);
            (window.start_minutes, window.post_minutes)
        };
        let of = |mode| workflow(mode, WorkflowState::Preparing);
        assert_eq!(minutes(&server(true), &of(NETBOOT)), (30, 30));
        assert_eq!(
            minutes(&server(true), &of(None)),
            (1440, 30),
            "the user powers it on"
        );
        assert_eq!(minutes(&server(false), &of(NETBOOT)), (1440, 30), "no BMC");
        let mut custom = of(Some(BootMode::Customboot));
        assert_eq!(minutes(&server(true), &custom), (1440, 30), "no actions");
        let options = custom.spec.boot_options.as_mut().unwrap();
        options.custom_boot_config = Some(CustombootConfig {
            preparing_actions: vec![Action::default()],
            ..CustombootConfig::default()
        });
        assert_eq!(minutes(&server(true), &custom), (30, 30));
        let set = ServerSpec {
            manual_minutes: Some(60),
            post_minutes: Some(5),
            ..server(false)
        };
        assert_eq!(minutes(&set, &of(NETBOOT)), (60, 5));
        let window = Window::of(&set, None, SITE);
        assert_eq!(window.before_start(at(0)), at(3600));
        assert_eq!(window.after_start(at(0)), at(20 * 60));
    }

    #[test]
    fn where_we_power_it_on_only_that_is_the_start() {
        use WorkflowState::{Pending, Preparing};
        let (now, packet, our) = (Some(at(90)), Some(at(70)), Some(at(40)));
        for (bmc, mode, state, switched_on, heard, expected) in [
            (true, NETBOOT, Preparing, true, None, None),
            (true, NETBOOT, Preparing, false, packet, None),
            (true, NETBOOT, Pending, false, None, our),
            (true, NETBOOT, Pending, true, packet, our),
            (true, None, Pending, false, None, None),
            (true, None, Pending, true, None, now),
            (true, None, Pending, false, packet, packet),
            (true, None, Pending, true, packet, packet),
            (false, NETBOOT, Pending, false, None, None),
            (false, NETBOOT, Pending, false, packet, packet),
        ] {
            let mut session = waiting();
            session.last_packet = heard.map(|at| LastPacket {
                at: Time(at),
                text: "DHCP: DISCOVER".into(),
            });
            let workflow = workflow(mode, state);
            let window = Window::of(&server(bmc), Some(&workflow), SITE);
            assert_eq!(
                window.start(&session, Some(&workflow), switched_on, at(90)),
                expected,
                "BMC {bmc}, {mode:?}, {state:?}, switched on {switched_on}, {heard:?}"
            );
        }
    }

    #[test]
    fn packets_count_from_the_start() {
        let of = |bmc, mode| Window::of(&server(bmc), Some(&workflow(mode, WorkflowState::Pending)), SITE);
        let (ours, theirs) = (of(true, NETBOOT), of(false, NETBOOT));
        let mut session = waiting();
        assert_eq!(ours.hears_from(&session), None);
        assert_eq!(theirs.hears_from(&session), Some(at(0)));
        session.started_at = Some(Time(at(50)));
        for window in [ours, theirs] {
            assert_eq!(window.hears_from(&session), Some(at(50)));
        }
    }
}

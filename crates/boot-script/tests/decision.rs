//! The decision over armed x allowPXE x session phase x own script x site switches x what is known.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

use std::sync::Arc;

use boot_script::{
    Asker, BootTarget, BootView, Decision, InstallerSource, Lookup, MachineFacts, Session, SiteSettings,
    UnknownPolicy, boots_our_installer, decide,
};
use jiff::{SignedDuration, Timestamp};
use resources::gantry::{Firmware, LocalBoot, SessionPhase};
use resources::tinkerbell::{Dhcp, HardwareInterface, HardwareSpec, Ipxe, Netboot, Osie};

const PHASES: [SessionPhase; 6] = [
    SessionPhase::Arming,
    SessionPhase::Armed,
    SessionPhase::Claimed,
    SessionPhase::Frozen,
    SessionPhase::Disarmed,
    SessionPhase::Closed,
];

fn now() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

fn site() -> SiteSettings {
    SiteSettings::new("rack-1", [10, 0, 0, 1].into())
}

fn session(phase: SessionPhase) -> Session {
    Session {
        attempt: 3,
        boot: 1,
        boot_id: "00112233445566778899aabbccddeeff".into(),
        superseded: Vec::new(),
        phase,
        deadline: now() + SignedDuration::from_mins(30),
    }
}

fn machine(netboot: Option<Netboot>, session: Option<Session>) -> MachineFacts {
    let dhcp = Dhcp {
        mac: Some("52:54:00:00:00:01".parse().unwrap()),
        ..Dhcp::default()
    };
    let interface = HardwareInterface {
        netboot,
        dhcp: Some(dhcp),
        ..HardwareInterface::default()
    };
    let hardware = HardwareSpec {
        interfaces: vec![interface],
        ..HardwareSpec::default()
    };
    let mut facts = MachineFacts::new("eksa-system", "node-1", hardware, None);
    facts.attempt = session.as_ref().map(|session| session.attempt);
    facts.session = session;
    facts
}

fn allowed() -> Netboot {
    Netboot {
        allow_pxe: Some(true),
        ..Netboot::default()
    }
}

fn of(facts: MachineFacts, site: &SiteSettings) -> Decision {
    let target: Arc<BootTarget> = BootTarget::all_of(facts).pop().unwrap();
    decide(Lookup::Known(&target), Asker::Machine, site, now())
}

fn ours(facts: MachineFacts) -> bool {
    boots_our_installer(&BootTarget::all_of(facts).pop().unwrap())
}

fn is_local(decision: &Decision) -> bool {
    matches!(decision, Decision::LocalDisk { .. })
}

#[test]
fn every_phase_with_netboot_allowed() {
    for phase in PHASES {
        let open = matches!(
            phase,
            SessionPhase::Arming | SessionPhase::Armed | SessionPhase::Claimed
        );
        for idle_installer in [false, true] {
            let site = SiteSettings {
                idle_installer,
                ..site()
            };
            let decision = of(machine(Some(allowed()), Some(session(phase))), &site);
            let boot_id = match &decision {
                Decision::Installer(installer) => installer.boot_id.clone(),
                _ => None,
            };
            assert_eq!(boot_id.is_some(), open, "{phase:?} {idle_installer}");
            assert_eq!(
                is_local(&decision),
                !open && !idle_installer,
                "{phase:?} {idle_installer}: {decision:?}"
            );
        }
    }
}

#[test]
fn without_allow_pxe_nothing_boots_from_the_network() {
    let denied = [
        None,
        Some(Netboot::default()),
        Some(Netboot {
            allow_pxe: Some(false),
            ..Netboot::default()
        }),
        Some(Netboot {
            allow_pxe: Some(false),
            ipxe: Some(Ipxe {
                contents: Some("shell".into()),
                ..Ipxe::default()
            }),
            ..Netboot::default()
        }),
    ];
    for netboot in denied {
        for session in [None].into_iter().chain(PHASES.map(|phase| Some(session(phase)))) {
            let site = SiteSettings {
                idle_installer: true,
                ..site()
            };
            let decision = of(machine(netboot.clone(), session), &site);
            assert!(
                matches!(decision, Decision::NotAllowed { .. }),
                "{netboot:?}: {decision:?}"
            );
        }
    }
}

#[test]
fn what_we_installed_boots_its_disk_whatever_allow_pxe_says() {
    for session in [None].into_iter().chain(PHASES.map(|phase| Some(session(phase)))) {
        let mut facts = machine(
            Some(Netboot {
                allow_pxe: Some(false),
                ..Netboot::default()
            }),
            session,
        );
        let esp_guid = Some("g".to_owned());
        facts.local_boot = Some(LocalBoot {
            firmware: Firmware::Uefi,
            disk: "/dev/vda".into(),
            bios_drive: Some(0x81),
            esp_guid: esp_guid.clone(),
            image: None,
        });
        let decision = of(
            facts.clone(),
            &SiteSettings {
                idle_installer: true,
                ..site()
            },
        );
        assert!(
            matches!(&decision, Decision::LocalDisk { esp_guid: found, bios_drive: Some(0x81), .. } if *found == esp_guid),
            "{decision:?}"
        );
        std::sync::Arc::make_mut(&mut facts.hardware).interfaces[0].netboot = None;
        assert!(matches!(of(facts, &site()), Decision::NotAllowed { .. }));
    }
}

#[test]
fn only_the_newest_attempt_before_its_handover_is_armed() {
    let armed = || machine(Some(allowed()), Some(session(SessionPhase::Armed)));
    assert!(!is_local(&of(armed(), &site())));
    let newer = MachineFacts {
        attempt: Some(4),
        ..armed()
    };
    let none = MachineFacts {
        attempt: None,
        ..armed()
    };
    let leaving = MachineFacts {
        leaving: true,
        ..armed()
    };
    let mut late = armed();
    late.session.as_mut().unwrap().deadline = now() - SignedDuration::from_secs(1);
    for facts in [newer, none, leaving, late.clone()] {
        let decision = of(facts.clone(), &site());
        assert!(is_local(&decision), "{facts:?}: {decision:?}");
    }
    // A claimed session is not bound to the armed window.
    late.session.as_mut().unwrap().phase = SessionPhase::Claimed;
    assert!(!is_local(&of(late, &site())));
}

#[test]
fn own_scripts() {
    let url = Ipxe {
        url: Some("http://10.0.0.9/x".into()),
        contents: Some("shell".into()),
        ..Ipxe::default()
    };
    let text = Ipxe {
        contents: Some("shell".into()),
        ..Ipxe::default()
    };
    let blank = Ipxe {
        contents: Some("  \n".into()),
        ..Ipxe::default()
    };
    let with = |ipxe: &Ipxe| {
        Some(Netboot {
            ipxe: Some(ipxe.clone()),
            ..allowed()
        })
    };
    let chain = Decision::Chain("http://10.0.0.9/x".into());
    let script = Decision::CustomScript("shell".into());
    for session_of in [
        None,
        Some(session(SessionPhase::Armed)),
        Some(session(SessionPhase::Claimed)),
    ] {
        assert_eq!(of(machine(with(&url), session_of.clone()), &site()), chain);
        assert_eq!(of(machine(with(&text), session_of.clone()), &site()), script);
    }
    assert!(is_local(&of(machine(with(&blank), None), &site())));
    // What we installed boots, whatever script the Hardware still has.
    for phase in [SessionPhase::Disarmed, SessionPhase::Closed, SessionPhase::Frozen] {
        assert!(
            is_local(&of(machine(with(&text), Some(session(phase))), &site())),
            "{phase:?}"
        );
    }
    let mut installed = machine(with(&url), None);
    installed.local_boot = Some(LocalBoot {
        firmware: Firmware::Uefi,
        disk: "/dev/vda".into(),
        bios_drive: Some(0x81),
        esp_guid: Some("g".into()),
        image: None,
    });
    let Decision::LocalDisk { esp_guid, .. } = of(installed, &site()) else {
        panic!()
    };
    assert_eq!(esp_guid.as_deref(), Some("g"));
}

#[test]
fn own_installer() {
    let osie = Osie {
        base_url: Some("http://10.0.0.9/hook".into()),
        ..Osie::default()
    };
    let netboot = Netboot {
        osie: Some(osie.clone()),
        ..allowed()
    };
    let decision = of(
        machine(Some(netboot), Some(session(SessionPhase::Armed))),
        &site(),
    );
    let Decision::Installer(installer) = decision else {
        panic!("{decision:?}")
    };
    assert_eq!(installer.source, InstallerSource::Osie(osie.clone()));
    assert!(ours(machine(Some(allowed()), None)));
    let own_installer = Netboot {
        osie: Some(osie),
        ..allowed()
    };
    let own_script = Netboot {
        ipxe: Some(Ipxe {
            url: Some("http://192.0.2.1/x".into()),
            ..Ipxe::default()
        }),
        ..allowed()
    };
    for other in [
        Some(own_installer),
        Some(own_script),
        Some(Netboot::default()),
        None,
    ] {
        assert!(!ours(machine(other, None)));
    }
}

#[test]
fn unknown_ambiguous_and_not_loaded() {
    let silent = |decision: Decision| matches!(decision, Decision::Silent { .. });
    let names = ["a/b".to_owned(), "a/c".to_owned()];
    assert!(silent(decide(Lookup::NotLoaded, Asker::Other, &site(), now())));
    assert!(silent(decide(
        Lookup::Ambiguous(&names),
        Asker::Other,
        &site(),
        now()
    )));
    assert!(silent(decide(Lookup::Unknown, Asker::Other, &site(), now())));
    let open = SiteSettings {
        unknown: UnknownPolicy::Installer,
        ..site()
    };
    let Decision::Installer(installer) = decide(Lookup::Unknown, Asker::Other, &open, now()) else {
        panic!()
    };
    assert_eq!(installer.boot_id, None);
    assert!(silent(decide(
        BootView::default().by_mac("52:54:00:00:00:01".parse().unwrap()),
        Asker::Other,
        &open,
        now()
    )));
}

/// What somebody else gets is the same whatever the session is, and never a boot id.
#[test]
fn for_somebody_else_no_machine_is_armed() {
    let installed = LocalBoot {
        firmware: Firmware::Uefi,
        disk: "/dev/disk/by-id/x".into(),
        bios_drive: Some(0x81),
        esp_guid: Some("c12a7328-f81f-11d2-ba4b-00a0c93ec93b".into()),
        image: None,
    };
    let unarmed = |idle_installer, local_boot: &Option<LocalBoot>, phase: Option<SessionPhase>| {
        let site = SiteSettings {
            idle_installer,
            ..site()
        };
        let mut facts = machine(Some(allowed()), phase.map(session));
        facts.local_boot.clone_from(local_boot);
        let target = BootTarget::all_of(facts).pop().unwrap();
        decide(Lookup::Known(&target), Asker::Other, &site, now())
    };
    for idle_installer in [false, true] {
        for local_boot in [None, Some(installed.clone())] {
            let expected = unarmed(idle_installer, &local_boot, None);
            for phase in PHASES {
                let given = unarmed(idle_installer, &local_boot, Some(phase));
                assert_eq!(given, expected, "{phase:?} {idle_installer}");
            }
            match expected {
                Decision::Installer(installer) => {
                    assert!(idle_installer && installer.boot_id.is_none() && installer.attempt.is_none());
                }
                Decision::LocalDisk { esp_guid, .. } => assert_eq!(esp_guid, None),
                other => panic!("{other:?}"),
            }
        }
    }
}

//! Right use, wrong passwords, weak suites, and a network that loses, garbles and repeats.

use std::time::Duration;

use bmc::{
    Bmc as _, BootDevice, BootLasts, BootMode, BootOverride, CipherSuite, Error, PowerAction, PowerState,
};
use ipmi::Control;
use sim::ipmi_server::{Chassis as _, Fault, Profile};

use super::machine::{Bmc, PASSWORD, SERIAL, UUID, client};

#[tokio::test]
async fn every_action_with_both_suites() {
    for suite in CipherSuite::ALL {
        let bmc = Bmc::start(Profile::default()).await;
        let client = client(bmc.port, PASSWORD, &[suite]);
        assert_eq!(client.power_state().await.unwrap(), PowerState::Off);
        client.power(PowerAction::Off).await.unwrap();
        assert!(bmc.machine.done().is_empty(), "off already: nothing is asked for");
        for (action, control, after) in [
            (PowerAction::On, Control::On, PowerState::On),
            (PowerAction::Cycle, Control::Cycle, PowerState::On),
            (PowerAction::Reset, Control::Reset, PowerState::On),
            (PowerAction::Nmi, Control::DiagnosticInterrupt, PowerState::On),
            (PowerAction::Soft, Control::Soft, PowerState::Off),
        ] {
            client.power(action).await.unwrap();
            assert_eq!(bmc.machine.done().last(), Some(&control));
            assert_eq!(client.power_state().await.unwrap(), after, "{action}");
        }
        for device in [
            BootDevice::Pxe,
            BootDevice::Disk,
            BootDevice::Cdrom,
            BootDevice::Bios,
        ] {
            for (mode, lasts) in [
                (BootMode::Uefi, BootLasts::Once),
                (BootMode::Legacy, BootLasts::Once),
                (BootMode::Uefi, BootLasts::Always),
                (BootMode::Legacy, BootLasts::Always),
            ] {
                client
                    .set_boot(BootOverride { device, mode, lasts })
                    .await
                    .unwrap();
                let flags = bmc.machine.boot_flags();
                assert!(flags.valid && flags.efi == (mode == BootMode::Uefi), "{flags:?}");
                assert_eq!(flags.persistent, lasts == BootLasts::Always, "{flags:?}");
            }
        }
        let known = client.inventory().await.unwrap();
        assert_eq!(
            (known.uuid.as_deref(), known.serial.as_deref()),
            (Some(UUID), Some(SERIAL))
        );
        assert_eq!(
            (known.manufacturer.as_deref(), known.model.as_deref()),
            (Some("Example Corp"), Some("R1"))
        );
        assert_eq!((bmc.handle.open_sessions(), bmc.handle.opened_sessions()), (1, 1));
        client.close().await;
        assert_eq!(bmc.handle.open_sessions(), 0);
    }
}

#[tokio::test]
async fn what_is_refused_and_why() {
    let bmc = Bmc::start(Profile::default()).await;
    let wrong = client(bmc.port, "fake-other-password", &CipherSuite::ALL);
    let error = wrong.power_state().await.unwrap_err();
    assert!(
        matches!(&error, Error::Login { .. }) && !error.retryable(),
        "{error}"
    );
    assert_eq!(
        bmc.handle.opened_sessions(),
        0,
        "no session comes of a wrong password"
    );

    let three = Profile {
        suites: vec![CipherSuite::Three],
        ..Profile::default()
    };
    let three = Bmc::start(three).await;
    three.client().power_state().await.unwrap();
    let seventeen = client(three.port, PASSWORD, &[CipherSuite::Seventeen]);
    let error = seventeen.power_state().await.unwrap_err().to_string();
    assert!(error.contains("no cipher suite of 17"), "{error}");

    let old = Profile {
        rmcp_plus: false,
        ..Profile::default()
    };
    let old = Bmc::start(old).await;
    for error in [
        old.client().power_state().await.unwrap_err(),
        old.client().detect().await.unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("IPMI 1.5") && !error.retryable(),
            "{error}"
        );
    }

    bmc.machine.forget_boot_flags(1);
    let client = bmc.client();
    let pxe = BootOverride::once(BootDevice::Pxe, BootMode::Uefi);
    let error = client.set_boot(pxe).await.unwrap_err();
    assert!(
        matches!(&error, Error::BootNotSet { .. }) && error.retryable(),
        "{error}"
    );
}

#[tokio::test]
async fn no_session_is_left_behind() {
    let small = Profile {
        sessions: 1,
        ..Profile::default()
    };
    let bmc = Bmc::start(small).await;
    let first = bmc.client();
    first.power_state().await.unwrap();
    let second = bmc.client();
    let error = second.power_state().await.unwrap_err();
    assert!(
        matches!(&error, Error::NoSession { .. }) && error.retryable(),
        "{error}"
    );
    // Dropped without a word, as when its task is cancelled.
    drop(first);
    bmc.open_sessions(0).await;
    second.power_state().await.unwrap();
    second.close().await;
    assert_eq!(bmc.handle.open_sessions(), 0);
    for _ in 0..20 {
        let client = bmc.client();
        client.power_state().await.unwrap();
        client.close().await;
    }
    assert_eq!(
        (bmc.handle.open_sessions(), bmc.handle.opened_sessions()),
        (0, 22)
    );
}

/// As after a SIGKILL, when nobody is left who could close anything.
#[tokio::test]
async fn a_session_whose_client_was_killed_ends_by_itself() {
    let small = Profile {
        sessions: 1,
        idle: Duration::from_millis(300),
        ..Profile::default()
    };
    let bmc = Bmc::start(small).await;
    let killed = bmc.client();
    killed.power_state().await.unwrap();
    std::mem::forget(killed);
    let next = bmc.client();
    let again = async {
        loop {
            match next.power_state().await {
                Ok(_) => break,
                Err(Error::NoSession { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again)
        .await
        .expect("the session ends");
    assert_eq!((bmc.handle.open_sessions(), bmc.handle.most_sessions()), (1, 1));
}

#[tokio::test]
async fn lost_garbled_truncated_and_repeated_replies() {
    for fault in [
        Fault::Lose,
        Fault::Garble,
        Fault::Truncate,
        Fault::Duplicate,
        Fault::LoseRequest,
    ] {
        // At each message of a session's life: capabilities, opening, RAKP 1, RAKP 3, privilege, command, close.
        for before in 0..7 {
            let bmc = Bmc::start(Profile::default()).await;
            bmc.handle.inject(Fault::Duplicate, before);
            bmc.handle.inject(fault, 1);
            let client = bmc.client();
            let shown = client.power_state().await;
            if fault == Fault::Garble && matches!(before, 2 | 3) {
                // A changed proof is no proof.
                let error = shown.unwrap_err();
                assert!(
                    matches!(error, Error::Login { .. } | Error::IpmiRefused { .. }),
                    "{error}"
                );
            } else {
                assert_eq!(shown.unwrap(), PowerState::Off, "{fault:?} after {before}");
            }
            client.close().await;
            bmc.open_sessions(0).await;
        }
    }
}

#[tokio::test]
async fn a_reset_is_sent_once_whatever_happens_to_the_answer() {
    let bmc = Bmc::start(Profile::default()).await;
    let client = bmc.client();
    client.power(PowerAction::On).await.unwrap();
    // The answer to the question for the state arrives, that to the reset does not.
    bmc.handle.inject(Fault::Duplicate, 1);
    bmc.handle.inject(Fault::Lose, 1);
    let error = client.power(PowerAction::Reset).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(bmc.machine.done(), [Control::On, Control::Reset]);
    // The session may have been lost with it, so that the next request has a new one; the old one is closed.
    client.power_state().await.unwrap();
    bmc.open_sessions(1).await;
    // A request that may be repeated is done once by the BMC, which knows the repetition.
    bmc.handle.inject(Fault::Duplicate, 1);
    bmc.handle.inject(Fault::Lose, 1);
    client.power(PowerAction::Soft).await.unwrap();
    assert_eq!(bmc.machine.done(), [Control::On, Control::Reset, Control::Soft]);
}

#[tokio::test]
async fn a_silent_bmc_ends_in_a_time_limit_and_a_closed_port_at_once() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let silent = client(port, PASSWORD, &CipherSuite::ALL);
    let error = silent.power_state().await.unwrap_err();
    assert!(
        matches!(&error, Error::Timeout { .. }) && error.retryable(),
        "{error}"
    );
    drop(socket);
    let closed = client(port, PASSWORD, &CipherSuite::ALL);
    let error = closed.power_state().await.unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { .. }) && error.retryable(),
        "{error}"
    );
}

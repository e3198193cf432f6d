//! The Redfish client against a BMC that answers as each test says, over real TLS on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod fake_bmc;
mod hardware;

use std::net::Ipv4Addr;
use std::time::Duration;

use bmc::{
    Bmc as _, BootDevice, BootMode, BootOverride, Connection, Error, Login, PowerAction, PowerState, Redfish,
    Trust,
};
use fake_bmc::{Answer, FakeBmc, PASSWORD, Seen, status};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A well-behaved machine that is off; `boot` is what its system shows as boot settings.
fn good(line: &str, boot: Value) -> Option<Answer> {
    Some(match line {
        "GET /redfish/v1/" => json!({"Systems": {"@odata.id": "/redfish/v1/Systems"}, "Vendor": "X"}).into(),
        "GET /redfish/v1/Systems" => json!({"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}).into(),
        "GET /redfish/v1/Systems/1" => json!({
            "PowerState": "Off", "UUID": "AB-CD", "SerialNumber": "S1", "Manufacturer": null, "Boot": boot,
            "EthernetInterfaces": {"@odata.id": "/redfish/v1/Systems/1/Nics"},
            "Actions": {"#ComputerSystem.Reset": {"target": "/reset",
                "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "ForceRestart"]}},
        })
        .into(),
        "GET /redfish/v1/Systems/1/Nics" => {
            json!({"Members": [{"@odata.id": "/nic/1"}, {"@odata.id": "/nic/2"}]}).into()
        }
        "GET /nic/1" => json!({"Id": "1", "MACAddress": "AA:BB:CC:DD:EE:01"}).into(),
        "GET /nic/2" => json!({"Id": "2", "MACAddress": "unknown"}).into(),
        "POST /reset" | "PATCH /redfish/v1/Systems/1" => status(204),
        _ => status(404),
    })
}

fn nothing() -> Value {
    json!({"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"})
}

#[tokio::test]
async fn power_and_inventory() {
    let fake = FakeBmc::start(|line, _| good(line, nothing())).await;
    let client = fake.client();
    assert_eq!(client.power_state().await.unwrap(), PowerState::Off);
    client.power(PowerAction::On).await.unwrap();
    let posted = fake.seen.lock().unwrap().last().unwrap().clone();
    assert_eq!(
        (posted.line.as_str(), posted.body),
        ("POST /reset", json!({"ResetType": "On"}))
    );
    assert!(posted.basic);
    client.power(PowerAction::Off).await.unwrap();
    assert_eq!(
        fake.lines()
            .iter()
            .filter(|line| line.starts_with("POST"))
            .count(),
        1,
        "off already: no request"
    );
    assert!(matches!(client.power(PowerAction::Soft).await, Ok(())));
    let inventory = client.inventory().await.unwrap();
    assert_eq!(inventory.uuid.as_deref(), Some("ab-cd"));
    assert_eq!(
        inventory
            .nics
            .iter()
            .map(|nic| nic.mac.to_string())
            .collect::<Vec<_>>(),
        ["aa:bb:cc:dd:ee:01"]
    );
    assert_eq!(client.seen_fingerprint(), Some(fake.fingerprint));
}

#[tokio::test]
async fn an_override_counts_only_if_it_is_shown() {
    let honest = FakeBmc::start(|line, seen| {
        let set = seen.iter().any(|seen| seen.line.starts_with("PATCH"));
        let boot = json!({"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"});
        good(line, if set { boot } else { nothing() })
    })
    .await;
    honest
        .client()
        .set_boot(BootOverride::once(BootDevice::Pxe, BootMode::Uefi))
        .await
        .unwrap();
    let forgetful = FakeBmc::start(|line, _| good(line, nothing())).await;
    let error = forgetful
        .client()
        .set_boot(BootOverride::once(BootDevice::Pxe, BootMode::Uefi))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::BootNotSet { .. }) && error.retryable(),
        "{error}"
    );
}

#[tokio::test]
async fn hostile_answers_are_typed_errors() {
    type Check = fn(&Error) -> bool;
    /// Answer, check of the error, whether it may be tried again.
    type Case = (fn() -> Answer, Check, bool);
    let root = |answer: fn() -> Answer| move |_: &str, _: &[Seen]| Some(answer());
    let cases: [Case; 10] = [
        (
            || Answer {
                status: 200,
                headers: vec![],
                body: b"<html>not json".to_vec(),
            },
            |e| matches!(e, Error::Malformed { .. }),
            true,
        ),
        (
            || Answer {
                status: 200,
                headers: vec![],
                body: vec![b'['; 100],
            },
            |e| matches!(e, Error::Malformed { .. }),
            true,
        ),
        (
            || Answer {
                status: 200,
                headers: vec![],
                body: vec![b' '; 5 << 20],
            },
            |e| matches!(e, Error::TooLong { .. }),
            false,
        ),
        (
            || json!({"Systems": {"@odata.id": "https://elsewhere.test/redfish"}}).into(),
            |e| matches!(e, Error::ForeignReference { .. }),
            false,
        ),
        (
            || json!({"Systems": {"@odata.id": "//elsewhere.test/redfish"}}).into(),
            |e| matches!(e, Error::ForeignReference { .. }),
            false,
        ),
        (
            || json!({"Systems": {"@odata.id": "/\\elsewhere.test"}}).into(),
            |e| matches!(e, Error::ForeignReference { .. }),
            false,
        ),
        (
            || Answer {
                status: 307,
                headers: vec![("location", "https://elsewhere.test/".to_owned())],
                body: vec![],
            },
            |e| matches!(e, Error::Redirect { .. }),
            false,
        ),
        (
            || status(401),
            |e| matches!(e, Error::Login { reason, .. } if reason == "HTTP 401"),
            false,
        ),
        (
            || status(503),
            |e| matches!(e, Error::Status { status: 503, .. }),
            true,
        ),
        (
            || status(404),
            |e| matches!(e, Error::Status { status: 404, .. }),
            false,
        ),
    ];
    for (number, (answer, check, retryable)) in cases.into_iter().enumerate() {
        let fake = FakeBmc::start(root(answer)).await;
        let error = fake.client().power_state().await.unwrap_err();
        assert!(check(&error), "case {number}: {error:?}");
        assert_eq!(error.retryable(), retryable, "case {number}: {error}");
        assert_eq!(fake.lines(), ["GET /redfish/v1/"], "case {number}");
        assert!(!format!("{error:?} {error}").contains(PASSWORD));
    }
}

#[tokio::test]
async fn a_lying_power_state_is_unknown() {
    let fake = FakeBmc::start(|line, _| match line {
        "GET /redfish/v1/Systems/1" => Some(json!({"PowerState": "Sideways"}).into()),
        _ => good(line, nothing()),
    })
    .await;
    assert_eq!(fake.client().power_state().await.unwrap(), PowerState::Unknown);
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_closed_port_unreachable() {
    let silent = FakeBmc::start(|_, _| None).await;
    let connection = Connection {
        timeout: Duration::from_millis(300),
        ..silent.connection()
    };
    let error = Redfish::new(connection).unwrap().power_state().await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { .. }) && error.retryable(),
        "{error:?}"
    );

    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let connection = Connection {
        port: closed,
        ..silent.connection()
    };
    let error = Redfish::new(connection).unwrap().power_state().await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { .. }) && error.retryable(),
        "{error:?}"
    );
}

#[tokio::test]
async fn only_the_pinned_certificate_is_accepted() {
    let fake = FakeBmc::start(|line, _| good(line, nothing())).await;
    let right = Connection {
        trust: Trust::Fingerprint(fake.fingerprint),
        ..fake.connection()
    };
    assert!(Redfish::new(right).unwrap().power_state().await.is_ok());
    let before = fake.lines().len();
    let wrong = Connection {
        trust: Trust::Fingerprint([7; 32]),
        ..fake.connection()
    };
    let error = Redfish::new(wrong).unwrap().power_state().await.unwrap_err();
    assert!(
        matches!(error, Error::Certificate { .. }) && !error.retryable(),
        "{error:?}"
    );
    assert_eq!(fake.lines().len(), before, "nothing was sent");
}

#[tokio::test]
async fn sessions_are_opened_renewed_and_closed() {
    let fake = FakeBmc::start(|line, seen| {
        let logins = seen
            .iter()
            .filter(|seen| seen.line == "POST /redfish/v1/SessionService/Sessions")
            .count();
        match line {
            "POST /redfish/v1/SessionService/Sessions" => Some(Answer {
                status: 201,
                headers: vec![
                    ("x-auth-token", format!("token-{logins}")),
                    ("location", format!("/session/{logins}")),
                ],
                body: b"{}".to_vec(),
            }),
            "DELETE /session/2" => Some(status(204)),
            // The first session expires when the system is read.
            "GET /redfish/v1/Systems/1" if seen.last()?.token.as_deref() == Some("token-1") => {
                Some(status(401))
            }
            _ => good(line, nothing()),
        }
    })
    .await;
    let client = Redfish::new(Connection {
        login: Login::Session,
        ..fake.connection()
    })
    .unwrap();
    assert_eq!(client.power_state().await.unwrap(), PowerState::Off);
    client.close().await;
    let seen = fake.seen.lock().unwrap().clone();
    assert!(seen.iter().all(|seen| !seen.basic));
    assert_eq!(seen.last().unwrap().line, "DELETE /session/2");
    assert_eq!(
        seen.iter().filter(|seen| seen.line.starts_with("POST")).count(),
        2
    );
}

#[tokio::test]
async fn a_bmc_whose_sessions_are_taken_gets_user_and_password() {
    for takes_basic in [true, false] {
        let fake = FakeBmc::start(move |line, seen| match line {
            "POST /redfish/v1/SessionService/Sessions" => Some(status(503)),
            _ if seen.last()?.basic && takes_basic => good(line, nothing()),
            _ => Some(status(401)),
        })
        .await;
        let client = Redfish::new(Connection {
            login: Login::Session,
            ..fake.connection()
        })
        .unwrap();
        let shown = client.power_state().await;
        if takes_basic {
            assert_eq!(shown.unwrap(), PowerState::Off);
        } else {
            // The user may be right: it is tried again later.
            let error = shown.unwrap_err();
            assert!(
                matches!(&error, Error::NoSession { .. }) && error.retryable(),
                "{error}"
            );
        }
        client.close().await;
        let lines = fake.lines();
        let logins = lines.iter().filter(|line| line.starts_with("POST")).count();
        assert_eq!(logins, 1, "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("DELETE")));
    }
}

//! The conformance suite: the reference driver passes every case, and each way of breaking the contract fails the case that
//! is there for it.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driver::conformance::{Missing, Parameters, Report, Selection, SpecParameters, Verdict, run};
use driver::supervisor::{DriverConfiguration, Launcher, SupervisorSettings};
use driver_sim::{Breach, MemoryHooks, MemoryProvider, PASSWORD};
use serde_json::{Value, json};
use tempfile::TempDir;

fn parameters(provider: &MemoryProvider) -> Parameters {
    let Value::Object(config) = json!({"url": provider.url(), "network": "lan"}) else {
        unreachable!("it is an object");
    };
    let password = |text: &str| BTreeMap::from([("password".to_owned(), text.to_owned())]);
    let missing = |field: &str| Missing {
        field: field.to_owned(),
        value: "no-such".to_owned(),
    };
    Parameters {
        config,
        secrets: password(PASSWORD),
        wrong_secrets: Some(password("a-wrong-password")),
        url_field: Some("url".to_owned()),
        spec: SpecParameters {
            vcpus: 2,
            memory_mib: 2048,
            image_ref: "ubuntu-24.04".to_owned(),
            ..SpecParameters::default()
        },
        missing: vec![missing("/scope/config/network"), missing("/specs/0/image_ref")],
        machines: 4,
    }
}

async fn examine(breach: Option<Breach>, selection: Selection) -> Report {
    let directory = TempDir::new().expect("a directory");
    let provider = Arc::new(MemoryProvider::start().await.expect("a provider"));
    let launcher = Launcher {
        program: env!("CARGO_BIN_EXE_driver-launcher").into(),
        arguments: Vec::new(),
    };
    let mut settings = SupervisorSettings::new(launcher, directory.path().to_owned());
    settings.start_limit = Duration::from_secs(60);
    let driver = DriverConfiguration {
        name: "memory".to_owned(),
        program: env!("CARGO_BIN_EXE_memory-driver").into(),
        sha256: None,
        arguments: breach
            .map(|breach| breach.name().to_owned())
            .into_iter()
            .collect(),
        environment: Vec::new(),
        user: None,
        limits: driver::launch::Limits::default(),
        readable: Vec::new(),
    };
    let hooks = Arc::new(MemoryHooks(provider.clone()));
    run(
        driver,
        settings,
        parameters(&provider),
        Some(hooks),
        &selection,
        |row| eprintln!("{row}"),
    )
    .await
    .expect("the driver starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_driver_keeps_the_contract() {
    let report = examine(None, Selection::All).await;
    let (passed, failed, not_run) = report.counts();
    assert!(report.conforms(), "{report}");
    assert_eq!((failed, not_run), (0, 0), "{report}");
    assert!(passed >= 50, "{report}");
}

/// Breaches, and the case that has to find each.
const FOUND_BY: &[(Breach, &str)] = &[
    (Breach::WritesOn, "P13"),
    (Breach::NoCookie, "P2"),
    (Breach::ChecksNothing, "C3"),
    (Breach::ChecksNothing, "C4"),
    (Breach::CreatesAgain, "M2"),
    (Breach::IgnoresHash, "M5"),
    (Breach::AdoptsForeign, "M6"),
    (Breach::TrimsUserData, "M7"),
    (Breach::AbsentOnError, "O8"),
    (Breach::AbsenceIsError, "O1"),
    (Breach::PartialList, "L3"),
    (Breach::ListsAll, "L4"),
    (Breach::LocalAddresses, "O4"),
    (Breach::DeletesForeign, "D6"),
    (Breach::LeavesObjects, "D1"),
    (Breach::LeavesSessions, "H2"),
    (Breach::LogsPassword, "H1"),
    (Breach::ForgetsAfterCrash, "K1"),
    (Breach::EndsInCall, "M1"),
];

/// Those that end before a case can begin are the supervisor's to find.
const FOUND_BY_SUPERVISOR: &[Breach] = &[
    Breach::EndsAtStart,
    Breach::HangsAtStart,
    Breach::WritesGarbage,
    Breach::OtherName,
    Breach::SocketElsewhere,
    Breach::BadSchema,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_breach_fails_its_case() {
    for (breach, case) in FOUND_BY {
        let report = examine(Some(*breach), Selection::Only(vec![(*case).to_owned()])).await;
        let verdict = report.rows.first().map(|row| &row.verdict);
        assert!(
            matches!(verdict, Some(Verdict::Failed(_))),
            "{breach:?} and {case}: {report}"
        );
    }
}

#[test]
fn every_breach_is_found_by_somebody() {
    for (breach, name) in Breach::ALL {
        let found =
            FOUND_BY.iter().any(|(known, _)| *known == breach) || FOUND_BY_SUPERVISOR.contains(&breach);
        assert!(found, "{name} is in no test");
        assert_eq!(name.parse(), Ok(breach));
    }
}

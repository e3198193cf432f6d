//! The conformance suite.

use std::sync::Arc;

use driver::conformance::{Missing, Parameters, Report, Selection, SpecParameters, Verdict, run};
use tempfile::TempDir;

use super::dockerd::{Dockerd, IMAGE};
use super::peer::DockerHooks;
use super::process::{config, configuration, settings};

fn parameters(daemon: &Dockerd) -> Parameters {
    let missing = |field: &str| Missing {
        field: field.to_owned(),
        value: "no-such".to_owned(),
    };
    Parameters {
        config: config(daemon).as_object().cloned().unwrap_or_default(),
        url_field: Some("host".to_owned()),
        spec: SpecParameters {
            vcpus: 1,
            memory_mib: 64,
            image_ref: IMAGE.to_owned(),
            ..SpecParameters::default()
        },
        missing: vec![missing("/scope/config/network"), missing("/specs/0/image_ref")],
        machines: 4,
        ..Parameters::default()
    }
}

async fn examine(selection: Selection) -> Report {
    let (daemon, directory) = (Arc::new(Dockerd::start()), TempDir::new().expect("a directory"));
    let report = run(
        configuration(Vec::new(), None),
        settings(&directory),
        parameters(&daemon),
        Some(Arc::new(DockerHooks(daemon.clone()))),
        &selection,
        |row| eprintln!("{row}"),
    );
    report.await.expect("the driver starts")
}

/// A daemon knows neither secrets nor sessions.
const NOT_RUN: [&str; 2] = ["C3", "H2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dockerd: apt-get install docker.io; takes minutes"]
async fn whole_suite_against_a_daemon() {
    let report = examine(Selection::All).await;
    let not_run: Vec<&str> = report
        .rows
        .iter()
        .filter(|row| matches!(row.verdict, Verdict::NotRun(_)))
        .map(|row| row.id)
        .collect();
    assert!(report.conforms(), "{report}");
    assert_eq!(not_run, NOT_RUN, "{report}");
}

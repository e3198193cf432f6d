//! `gantry driver list`.

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use resources::gantry::{ProviderDriver, ProviderDriverStatus};

use super::objects::Objects;
use crate::failure::Outcome;
use crate::global::Global;
use crate::{connection, output, time};

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// `json` prints the objects for programs.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) async fn run(global: &Global, args: &ListArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let drivers: Api<ProviderDriver> = Api::all(client);
    let drivers = drivers.list(&ListParams::default()).await?.items;
    if args.output.is_some() {
        output::line(serde_json::to_string_pretty(&Objects(&drivers))?);
        return Ok(());
    }
    if drivers.is_empty() {
        output::note(
            "the appliance runs no plugin driver: name some in the file of its setting `driversFile` and start it anew",
        );
        return Ok(());
    }
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> = drivers.iter().map(|driver| row(driver, now)).collect();
    let header = [
        "NAME", "PHASE", "SINCE", "VERSION", "PID", "RESTARTS", "SCOPES", "REASON",
    ];
    output::text(&output::table(&header, &rows));
    Ok(())
}

fn row(driver: &ProviderDriver, now: Timestamp) -> Vec<String> {
    let status = driver.status.clone().unwrap_or_default();
    let dash = || "-".to_owned();
    let since = status.since.as_ref().map(|since| time::ago(since.0, now));
    vec![
        driver.name_any(),
        status.phase.clone(),
        since.unwrap_or_else(dash),
        status.version.clone().unwrap_or_else(dash),
        status.pid.map_or_else(dash, |pid| pid.to_string()),
        status.restarts.to_string(),
        scopes(driver, &status),
        status.reason.unwrap_or_default(),
    ]
}

/// Names of the scopes, with what is the matter with each.
fn scopes(driver: &ProviderDriver, status: &ProviderDriverStatus) -> String {
    let one = |name: &String| {
        let known = status.scope(name);
        match known.and_then(|known| known.paused.as_ref()) {
            Some(pause) => format!("{name} (paused: {})", pause.reason),
            None => name.clone(),
        }
    };
    let names: Vec<String> = driver.spec.scopes.iter().map(|scope| one(&scope.name)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_what_a_person_looks_for() {
        let driver: ProviderDriver = serde_json::from_value(json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderDriver", "metadata": {"name": "vsphere"},
            "spec": {"program": "/p", "sha256": "00", "scopes": [{"name": "a"}, {"name": "b"}]},
            "status": {"phase": "waiting", "since": "1970-01-01T00:01:00Z", "restarts": 3, "fence": 1,
                "reason": "its process ended", "version": "1.2.3",
                "scopes": [{"name": "b", "paused": {"since": "1970-01-01T00:01:00Z", "reason": "AUTH: no", "version": "1"}}]},
        }))
        .unwrap();
        let row = row(&driver, Timestamp::from_second(90).unwrap());
        let expected = [
            "vsphere",
            "waiting",
            "30s",
            "1.2.3",
            "-",
            "3",
            "a, b (paused: AUTH: no)",
            "its process ended",
        ];
        assert_eq!(row, expected);
    }
}

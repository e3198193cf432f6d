//! Charts of this test's own, and Cilium's beside the real Helm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archives;
mod real_helm;
mod templates;
mod values;

use std::collections::BTreeMap;

use helm_chart::{Chart, Error, Release};
use serde_json::{Map, Value};

/// Files of a chart by path.
type Files = BTreeMap<String, Vec<u8>>;

const CHART: &str = "apiVersion: v2\nname: shed\nversion: 0.1.0\nappVersion: \"7\"\n";

/// A chart named shed with these files.
fn files(of: &[(&str, &str)]) -> Files {
    let mut found: Files = of
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    found
        .entry("Chart.yaml".to_owned())
        .or_insert_with(|| CHART.as_bytes().to_vec());
    found
}

fn chart(of: &[(&str, &str)]) -> Chart {
    Chart::from_files(files(of)).unwrap()
}

fn release() -> Release {
    Release {
        name: "demo".to_owned(),
        namespace: "kube-system".to_owned(),
        kube_version: "v1.35.4".to_owned(),
        api_versions: ["apps/v1".to_owned()].into(),
        is_upgrade: false,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(entries) => entries,
        other => panic!("{other} is no dict"),
    }
}

/// What one template renders to with these values.
fn text(template: &str, values: Value) -> Result<String, Error> {
    let chart = chart(&[("templates/a.yaml", template)]);
    let mut rendered = chart.render_texts(&release(), &object(values))?;
    Ok(rendered.remove("shed/templates/a.yaml").unwrap())
}

//! Gantry's way: hardware.csv and cluster.yaml in, two Ready nodes out.

use std::fs::File;
use std::process::Stdio;
use std::time::SystemTime;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use lab::{CommandRecord, UpOptions};
use pki::{ClusterPki, Credential, Validity};
use resources::Secret;
use serde_json::Value;

use super::watch::{ready_nodes, until_seen};
use super::way::Way;
use crate::rack::Rack;

pub(super) async fn run(seed: &str) -> anyhow::Result<Way> {
    Rack::up(seed, UpOptions::default())?.during(measured).await
}

async fn measured(rack: &mut Rack) -> anyhow::Result<Way> {
    rack.blank()?;
    rack.serve().await?;
    let mut create = rack
        .command(&["create", "cluster", "-f", "cluster.yaml", "-z", "hardware.csv"])?
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(rack.file("create.log"))?)
        .spawn()
        .context("gantry create cluster")?;
    let kubeconfig = rack.file("observer.kubeconfig");
    let seen = until_seen("both nodes Ready", || {
        if let Some(status) = create.try_wait()?
            && !status.success()
        {
            bail!("gantry create cluster: {status}");
        }
        if !kubeconfig.exists() {
            let Some(text) = admin_kubeconfig(rack)? else {
                return Ok(false);
            };
            std::fs::write(&kubeconfig, text)?;
        }
        Ok(ready_nodes(rack, &kubeconfig).is_some_and(|nodes| nodes.len() == rack.plan.machines.len()))
    })
    .await;
    let ready = SystemTime::now();
    if seen.is_err() {
        create.kill()?;
    }
    seen?;
    // It ends when the objects tell what the observer has seen.
    let ended = tokio::task::spawn_blocking(move || create.wait()).await??;
    if !ended.success() {
        bail!("gantry create cluster: {ended}");
    }
    let power_on = first_power_on(rack)?;
    let ready = Timestamp::try_from(ready)?.as_duration() - power_on.as_duration();
    let table = rack.gantry(&["lab", "stages", "--rack", &rack.plan.id])?;
    let written = time_of_writing(rack)?;
    rack.end_appliance()?;
    let mut stages = vec!["through Gantry, seconds since each machine's power-on:".to_owned()];
    stages.extend(table.lines().map(str::to_owned));
    Ok(Way {
        ready: ready.as_secs_f64(),
        written,
        stages,
    })
}

/// A kubeconfig of the observer's own for the new cluster, once Gantry has made its CA.
fn admin_kubeconfig(rack: &Rack) -> anyhow::Result<Option<String>> {
    let name = &rack.plan.cluster_name;
    let Ok(text) = rack.gantry(&["get", "secrets", &format!("{name}-ca"), "-o", "json"]) else {
        return Ok(None);
    };
    let object: Value = serde_json::from_str(&text)?;
    let data = |key: &str| -> anyhow::Result<String> {
        let value = object["data"][key]
            .as_str()
            .context("the cluster's CA is incomplete")?;
        Ok(String::from_utf8(STANDARD.decode(value)?)?)
    };
    let validity = Validity::lasting(Timestamp::now(), SignedDuration::from_hours(2));
    let mut pki = ClusterPki::generate(validity)?;
    pki.ca = Credential {
        certificate: data("tls.crt")?,
        key: Secret::new(data("tls.key")?),
    };
    let server = format!("https://{}:6443", rack.plan.vip);
    Ok(Some(
        pki.admin_kubeconfig(&server, name, validity)?.reveal().clone(),
    ))
}

/// What the BMCs' own log says.
fn first_power_on(rack: &Rack) -> anyhow::Result<Timestamp> {
    let text = std::fs::read_to_string(rack.paths.bmc_log())?;
    let records = text
        .lines()
        .filter_map(|line| serde_json::from_str::<CommandRecord>(line).ok());
    records
        .filter(|record| {
            record
                .effect
                .as_deref()
                .is_some_and(|effect| effect.starts_with("powered") && effect.ends_with(" on"))
        })
        .find_map(|record| record.time.parse().ok())
        .context("no machine was powered on")
}

/// Time in which an image was being written to any disk.
fn time_of_writing(rack: &Rack) -> anyhow::Result<f64> {
    let list: Value = serde_json::from_str(&rack.gantry(&["get", "workflows", "-o", "json"])?)?;
    let workflows = list["items"].as_array().context("no list of workflows")?;
    let actions = workflows
        .iter()
        .flat_map(|workflow| workflow["status"]["tasks"].as_array().into_iter().flatten())
        .flat_map(|task| task["actions"].as_array().into_iter().flatten())
        .filter(|action| action["name"].as_str().is_some_and(|name| name.contains("image")));
    let time = |value: &Value| -> Option<Timestamp> { value.as_str()?.parse().ok() };
    let spans = actions.filter_map(|action| {
        Some((
            time(&action["executionStart"])?.as_duration().as_secs_f64(),
            time(&action["executionStop"])?.as_duration().as_secs_f64(),
        ))
    });
    Ok(covered(spans.collect()))
}

/// How much of time the spans cover; where they overlap it counts once.
fn covered(mut spans: Vec<(f64, f64)>) -> f64 {
    spans.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut total, mut until) = (0.0, f64::NEG_INFINITY);
    for (from, to) in spans {
        total += (to - from.max(until)).max(0.0);
        until = until.max(to);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::covered;

    #[test]
    fn what_overlaps_counts_once() {
        assert_eq!(
            covered(vec![(10.0, 20.0), (1.0, 3.0), (12.0, 25.0), (13.0, 14.0)]),
            17.0
        );
        assert_eq!(covered(Vec::new()), 0.0);
    }
}

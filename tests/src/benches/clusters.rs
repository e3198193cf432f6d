//! Single-node clusters through the coordinator, 100 and 1,000 at once, each run in a process of its own with the embedded
//! API: time and processor until all are Ready, memory, requests by verb, and what they ask for at rest. The driver, the
//! nodes, and the APIs and etcds of the clusters are simulated in the same process; their work counts.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{Case, Findings, Goal, RUNS};

/// Clusters that the larger number is compared with.
const FEW: usize = 100;
/// Clusters, unless another number is asked for.
const MANY: usize = 1_000;
/// Seconds at rest that are watched in the first run: longer than the coordinator leaves a cluster alone.
const REST: u64 = 60;
/// Per cluster, of the larger number beside the smaller.
const GROWTH: f64 = 1.25;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    count: usize,
    wall_seconds: f64,
    cpu_seconds: f64,
    peak_megabytes: f64,
    megabytes_at_rest: f64,
    requests: BTreeMap<String, u64>,
    rest_seconds: u64,
    requests_at_rest: BTreeMap<String, u64>,
    cpu_seconds_at_rest: f64,
    held: Option<Held>,
}

/// Bytes of memory by what holds them, when all clusters are Ready and nothing happens.
#[derive(Debug, Deserialize)]
struct Held {
    api: f64,
    coordinator: f64,
    simulated: f64,
}

pub(super) fn run(count: Option<usize>) -> anyhow::Result<Findings> {
    let count = count.unwrap_or(MANY);
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let rest = if run == 0 { REST } else { 0 };
        few.push(make(FEW, rest, &[])?);
        many.push(make(count, rest, &[])?);
    }
    let held = make(count, 0, &["--held"])?;
    let mut notes = vec![
        "nodes, APIs and etcds of the clusters and the driver are simulated in the measured process"
            .to_owned(),
    ];
    notes.extend(few.iter().take(1).chain(many.iter().take(1)).map(Run::note));
    notes.extend(held.held_note());
    Ok(Findings {
        cases: cases(count, &few, &many),
        notes,
    })
}

fn make(count: usize, rest: u64, more: &[&str]) -> anyhow::Result<Run> {
    let program = std::env::var("GANTRY_CLUSTERS_SIM")
        .context("GANTRY_CLUSTERS_SIM names no program; run cargo xtask bench clusters")?;
    let [count_text, rest] = [count.to_string(), rest.to_string()];
    let output = Command::new(program)
        .args(["--count", &count_text, "--rest", &rest])
        .args(more)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(
        output.status.success(),
        "{count} clusters did not come up as they should: {}",
        output.status
    );
    let run: Run = serde_json::from_slice(&output.stdout)?;
    let lists = run.requests_at_rest.get("list").copied().unwrap_or(0);
    ensure!(lists == 0, "{count} clusters at rest made {lists} list requests");
    Ok(run)
}

impl Run {
    fn each(&self, sum: f64) -> f64 {
        sum / self.count as f64
    }

    fn requests_each(&self) -> f64 {
        self.each(self.requests.values().sum::<u64>() as f64)
    }

    /// What holds the memory, in a run of its own, because counting takes time.
    fn held_note(&self) -> Option<String> {
        let held = self.held.as_ref()?;
        let part = |bytes: f64| format!("{:.1} MB ({:.1} kB)", bytes / 1e6, self.each(bytes) / 1e3);
        Some(format!(
            "{} clusters: of the memory at rest, and for each cluster: API of the appliance {}, coordinator {}, what is simulated {}",
            self.count,
            part(held.api),
            part(held.coordinator),
            part(held.simulated),
        ))
    }

    fn note(&self) -> String {
        let verbs = |requests: &BTreeMap<String, u64>| {
            let parts = requests
                .iter()
                .map(|(verb, sum)| format!("{verb} {sum} ({:.2})", self.each(*sum as f64)));
            parts.collect::<Vec<_>>().join(", ")
        };
        format!(
            "{} clusters: requests, and for each cluster: {}; in {} s at rest and one look at each: {}, {:.2} s of CPU, {:.0} MB",
            self.count,
            verbs(&self.requests),
            self.rest_seconds,
            verbs(&self.requests_at_rest),
            self.cpu_seconds_at_rest,
            self.megabytes_at_rest,
        )
    }
}

fn cases(count: usize, few: &[Run], many: &[Run]) -> Vec<Case> {
    let figures = |runs: &[Run], of: fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<_>>();
    let grows = |name: &str, unit, of: fn(&Run) -> f64| {
        Case::new(
            format!("{count} clusters, each: {name}"),
            unit,
            figures(many, of),
            Goal::RatioAtMost(GROWTH),
        )
        .beside("100 clusters", figures(few, of))
    };
    let whole = |name: &str, unit, most, of: fn(&Run) -> f64| {
        Case::new(
            format!("{count} clusters: {name}"),
            unit,
            figures(many, of),
            Goal::AtMost(most),
        )
    };
    vec![
        whole("until all are Ready", "s", 60.0, |run| run.wall_seconds),
        whole("peak memory (RSS)", "MB", 150.0, |run| run.peak_megabytes),
        whole("list requests at rest", "", 0.0, |run| {
            run.requests_at_rest.get("list").copied().unwrap_or(0) as f64
        }),
        grows("time", "ms", |run| run.each(run.wall_seconds * 1e3)),
        grows("CPU", "ms", |run| run.each(run.cpu_seconds * 1e3)),
        grows("requests", "", Run::requests_each),
    ]
}

//! A cluster that runs, seen and changed as its user does: machines, plans, approvals, counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lab::Role;
use serde_json::{Value, json};

use crate::new_cluster::{READY, create, ended, items, nodes, text};
use crate::objects::{NAMESPACE, kubectl};
use crate::rack::Rack;
use crate::waiting::until;

pub(crate) const CLUSTERS: &str = "clusters.anywhere.eks.amazonaws.com";

/// The server of each machine of the cluster.
pub(crate) type Machines = BTreeMap<String, String>;

/// Machines of the cluster by name.
pub(crate) fn machines(rack: &Rack) -> anyhow::Result<Machines> {
    let all = items(rack, "providermachines")?;
    let machine = |object: &Value| (text(&object["metadata"]["name"]), text(&object["status"]["host"]));
    Ok(all.iter().map(machine).collect())
}

/// Makes the rack's cluster with one member and one worker; so many of the first servers are for the control plane. Returns its
/// YAML.
pub(crate) async fn one_and_one(rack: &mut Rack, control_planes: usize) -> anyhow::Result<String> {
    let roles = vec![Role::ControlPlane; control_planes];
    std::fs::write(rack.file("hardware.csv"), rack.plan.hardware_csv_as(&roles))?;
    let yaml = std::fs::read_to_string(rack.file("cluster.yaml"))?;
    // A rack of two machines has one worker anyway.
    let yaml = yaml.replacen("      count: 2\n", "      count: 1\n", 1);
    ensure!(yaml.contains("      count: 1\n"), "no worker group of one or two");
    std::fs::write(rack.file("cluster.yaml"), &yaml)?;
    rack.serve().await?;
    ended(create(rack)?, Ok(())).await?;
    all_ready(rack, 2, 1)?;
    Ok(yaml)
}

/// The machine of a pool and its server, where the pool has one machine.
pub(crate) fn of_pool(machines: &Machines, pool: &str) -> anyhow::Result<(String, String)> {
    let mut machines = machines.iter();
    let found = machines.find(|(name, _)| name.contains(&format!("-{pool}-")));
    found
        .map(|(name, server)| (name.clone(), server.clone()))
        .with_context(|| format!("no machine of {pool}"))
}

/// The cluster as the appliance has it.
pub(crate) fn cluster(rack: &Rack) -> anyhow::Result<Value> {
    let mut clusters = items(rack, "clusters")?;
    clusters.pop().context("no cluster")
}

/// Why the cluster is as it is, from its status.
pub(crate) fn reason(cluster: &Value) -> String {
    format!(
        "{}: {}",
        text(&cluster["status"]["phase"]),
        text(&cluster["status"]["reason"])
    )
}

/// Changes the spec of the cluster with a JSON patch (RFC 6902) of one replacement.
pub(crate) fn set(rack: &Rack, path: &str, value: usize) -> anyhow::Result<()> {
    let patch = json!([{"op": "replace", "path": format!("/spec/{path}"), "value": value}]).to_string();
    let name = &rack.plan.cluster_name;
    kubectl(
        rack,
        &[
            "patch",
            CLUSTERS,
            "-n",
            NAMESPACE,
            name,
            "--type=json",
            "-p",
            &patch,
        ],
    )
    .map(drop)
}

/// What became of a change.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The machines at the end.
    pub(crate) machines: Machines,
    /// Every phase of the cluster on the way.
    pub(crate) phases: BTreeSet<String>,
}

/// Waits until the cluster is Ready, no plan is under way, and its machines are as `wanted`. Prints each reason that the
/// cluster gives on the way.
pub(crate) async fn settled(
    rack: &Rack,
    what: &str,
    wanted: impl Fn(&Machines) -> bool,
) -> anyhow::Result<Settled> {
    let started = Instant::now();
    let way = Mutex::new((Settled::default(), String::new()));
    until(what, READY, || async {
        let look = || -> anyhow::Result<(Machines, Value, bool)> {
            Ok((machines(rack)?, cluster(rack)?, plan_is_open(rack)?))
        };
        let (now, cluster, busy) = look().map_err(|error| format!("{error:#}"))?;
        let why = reason(&cluster);
        let mut way = way.lock().map_err(|error| error.to_string())?;
        way.0.phases.insert(text(&cluster["status"]["phase"]));
        if why != way.1 {
            println!("  {:>5} s {why}", started.elapsed().as_secs());
            way.1.clone_from(&why);
        }
        way.0.machines = now;
        let end = is_ready(&cluster) && !busy && wanted(&way.0.machines);
        end.then_some(())
            .ok_or_else(|| format!("{:?}; {why}", way.0.machines))
    })
    .await?;
    println!("{what}: after {} s", started.elapsed().as_secs());
    Ok(way.into_inner()?.0)
}

pub(crate) fn is_ready(cluster: &Value) -> bool {
    let conditions = cluster["status"]["conditions"].as_array();
    let is_ready = |known: &Value| known["type"] == "Ready" && known["status"] == "True";
    conditions.is_some_and(|all| all.iter().any(is_ready))
}

fn plan_is_open(rack: &Rack) -> anyhow::Result<bool> {
    let open = |plan: &Value| {
        matches!(
            plan["status"]["phase"].as_str(),
            None | Some("pending" | "executing")
        )
    };
    Ok(items(rack, "plans")?.iter().any(open))
}

/// Waits until the status of the cluster holds a text, and shows it.
pub(crate) async fn explained(rack: &Rack, words: &str) -> anyhow::Result<()> {
    let shown = until(&format!("the cluster says {words:?}"), READY, || async {
        let cluster = cluster(rack).map_err(|error| format!("{error:#}"))?;
        let status = cluster["status"].to_string();
        status
            .contains(words)
            .then(|| reason(&cluster))
            .ok_or_else(|| reason(&cluster))
    })
    .await?;
    println!("{shown}");
    Ok(())
}

/// Waits for a plan that a person has to approve, and approves it.
pub(crate) async fn approved(rack: &Rack) -> anyhow::Result<()> {
    let plan = until("a plan waits for approval", READY, || async {
        let plans = items(rack, "plans").map_err(|error| format!("{error:#}"))?;
        let waits = |plan: &&Value| {
            plan["status"]["phase"] == "pending" && text(&plan["status"]["reason"]).contains("gantry approve")
        };
        let found = plans.iter().find(waits);
        found
            .map(|plan| text(&plan["metadata"]["name"]))
            .ok_or_else(|| cluster(rack).map(|cluster| reason(&cluster)).unwrap_or_default())
    })
    .await?;
    println!("$ gantry approve {plan}");
    print!("{}", rack.gantry(&["approve", &plan])?);
    Ok(())
}

/// Prints the plans of the cluster with their steps and how long each took, from plan `first` on.
pub(crate) fn show_plans(rack: &Rack, first: u64) -> anyhow::Result<u64> {
    let mut plans = items(rack, "plans")?;
    plans.sort_by_key(|plan| plan["spec"]["number"].as_u64());
    plans.retain(|plan| plan["spec"]["number"].as_u64() >= Some(first));
    for plan in &plans {
        println!(
            "{} ({}, {})",
            text(&plan["metadata"]["name"]),
            text(&plan["spec"]["class"]),
            text(&plan["status"]["phase"])
        );
        for step in plan["spec"]["steps"].as_array().into_iter().flatten() {
            let rows = plan["status"]["steps"].as_array();
            let row = rows.and_then(|rows| rows.iter().find(|row| row["id"] == step["id"]));
            let row = row.unwrap_or(&Value::Null);
            println!(
                "  {} {} {}: {} {} to {}",
                text(&step["id"]),
                text(&step["kind"]),
                text(&step["machine"]),
                text(&row["state"]),
                text(&row["startedAt"]),
                text(&row["endedAt"])
            );
        }
    }
    let last = plans.last().and_then(|plan| plan["spec"]["number"].as_u64());
    Ok(last.unwrap_or(first).saturating_add(1))
}

/// Fails when the API was silent for longer than the plans stated.
pub(crate) fn within_stated_gap(rack: &Rack, gap: Duration) -> anyhow::Result<()> {
    let stated = stated_gap(rack)?;
    ensure!(gap <= stated, "a gap of {gap:?}, and the plan stated {stated:?}");
    Ok(())
}

/// The longest gap that a plan stated.
fn stated_gap(rack: &Rack) -> anyhow::Result<Duration> {
    let plans = items(rack, "plans")?;
    let stated = plans
        .iter()
        .filter_map(|plan| plan["spec"]["apiGapSeconds"].as_u64());
    stated
        .max()
        .map(Duration::from_secs)
        .context("no plan stated a gap")
}

/// So many nodes, all Ready; `control_planes` of them run the control plane.
pub(crate) fn all_ready(rack: &Rack, count: usize, control_planes: usize) -> anyhow::Result<()> {
    rack.kubectl(&["get", "nodes", "-o", "wide"])?;
    let nodes = nodes(rack)?;
    let ready = nodes.values().filter(|node| node.ready).count();
    let members = nodes.values().filter(|node| node.control_plane).count();
    ensure!(
        ready == count && nodes.len() == count && members == control_planes,
        "{nodes:?}"
    );
    let control_plane = items(rack, "controlplanes")?;
    let conditions = control_plane
        .first()
        .context("no ControlPlane")?
        .get("status")
        .map(|status| status["conditions"].to_string())
        .unwrap_or_default();
    ensure!(
        conditions.contains(&format!(
            "{control_planes} of {control_planes} voting members are healthy"
        )),
        "{conditions}"
    );
    Ok(())
}

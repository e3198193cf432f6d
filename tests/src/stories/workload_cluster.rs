//! Story `workload-cluster`: kubectl alone applies the files of a management cluster and of a workload cluster of one node each,
//! all at once and the workload cluster's first. A worker is added to the workload cluster; the management cluster is
//! not deleted before it; both are deleted, and every server is free and off.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab::{Role, UpOptions};
use serde_json::{Value, json};

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::living_cluster::{CLUSTERS, Machines, is_ready, reason};
use crate::new_cluster::{READY, items, text};
use crate::objects::{NAMESPACE, kubectl};
use crate::rack::Rack;
use crate::waiting::until;

/// Two servers for control planes, one for a worker.
const MACHINES: usize = 3;
const WORKLOAD: &str = "edge";
/// The rack gives no machine an address between its own endpoint and this one.
const ENDPOINT: u8 = 27;
const DELETED: Duration = Duration::from_secs(10 * 60);

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: MACHINES,
        ..UpOptions::default()
    };
    on_rack(options, "workload-", shape, story).await
}

async fn story(rack: &mut Rack) -> anyhow::Result<()> {
    let roles = [Role::ControlPlane, Role::ControlPlane];
    std::fs::write(rack.file("hardware.csv"), rack.plan.hardware_csv_as(&roles))?;
    let main = rack.plan.cluster_name.clone();
    let (of_main, mut of_edge) = documents(rack)?;
    rack.serve().await?;
    // Nobody but kubectl writes from here on.
    let hardware = rack.gantry(&["generate", "hardware", "-z", "hardware.csv", "--include-secrets"])?;
    std::fs::write(rack.file("hardware.yaml"), hardware)?;
    let hardware = rack.file("hardware.yaml").display().to_string();
    kubectl(rack, &["apply", "--server-side", "-f", &hardware])?;
    apply(rack, &of_edge)?;
    said(rack, WORKLOAD, &format!("there is no cluster {main}")).await?;
    apply(rack, &of_main)?;
    let of_main = settled(rack, &main, 1).await?;
    let one = settled(rack, WORKLOAD, 1).await?;
    ensure!(
        one.values()
            .all(|server| !of_main.values().any(|other| other == server)),
        "{one:?} {of_main:?}"
    );
    nodes(rack, WORKLOAD, 1)?;

    of_edge[0]["spec"]["workerNodeGroupConfigurations"] = json!([{
        "name": "md-0", "count": 1,
        "machineGroupRef": {"kind": "TinkerbellMachineConfig", "name": format!("{WORKLOAD}-worker")},
    }]);
    apply(rack, &of_edge)?;
    let two = settled(rack, WORKLOAD, 2).await?;
    ensure!(
        one.iter().all(|kept| two.get(kept.0) == Some(kept.1)),
        "{one:?} {two:?}"
    );
    nodes(rack, WORKLOAD, 2)?;
    ensure!(
        machines_of(rack, &main)? == of_main,
        "the neighbour is left alone"
    );

    let refused = delete(rack, &main);
    let refused = format!(
        "{:#}",
        refused.err().context("the management cluster is deleted")?
    );
    println!("{refused}");
    ensure!(
        refused.contains(&format!("the management cluster of {WORKLOAD}")),
        "{refused}"
    );
    delete(rack, WORKLOAD)?;
    gone(rack, WORKLOAD).await?;
    ensure!(
        machines_of(rack, &main)? == of_main,
        "the neighbour is left alone"
    );
    nodes(rack, &main, 1)?;
    delete(rack, &main)?;
    gone(rack, &main).await?;
    let servers = items(rack, "servers")?;
    let free =
        |server: &Value| server["status"]["state"] == "available" && server["status"]["power"] == "off";
    ensure!(servers.iter().all(free), "{servers:#?}");
    rack.end_appliance()
}

/// The documents of both clusters, the Cluster first: the rack's own one without workers, and one that names it.
fn documents(rack: &Rack) -> anyhow::Result<(Vec<Value>, Vec<Value>)> {
    let yaml = std::fs::read_to_string(rack.file("cluster.yaml"))?;
    let parsed = |yaml: &str| -> anyhow::Result<Vec<Value>> {
        let mut all: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
        all.sort_by_key(|document| document["kind"] != "Cluster");
        let spec = all
            .first_mut()
            .and_then(|cluster| cluster["spec"].as_object_mut());
        spec.context("no Cluster")?
            .remove("workerNodeGroupConfigurations");
        Ok(all)
    };
    let main = &rack.plan.cluster_name;
    let mut edge = parsed(&yaml.replace(main.as_str(), WORKLOAD))?;
    let [a, b, c, _] = rack.plan.network.octets();
    let spec = &mut edge[0]["spec"];
    spec["managementCluster"]["name"] = json!(main);
    spec["controlPlaneConfiguration"]["endpoint"]["host"] = json!(Ipv4Addr::new(a, b, c, ENDPOINT));
    Ok((parsed(&yaml)?, edge))
}

/// Applies documents, the last one first.
fn apply(rack: &Rack, documents: &[Value]) -> anyhow::Result<()> {
    let items: Vec<&Value> = documents.iter().rev().collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    std::fs::write(rack.file("documents.json"), list.to_string())?;
    let file = rack.file("documents.json").display().to_string();
    kubectl(rack, &["apply", "--server-side", "-f", &file]).map(drop)
}

fn delete(rack: &Rack, cluster: &str) -> anyhow::Result<()> {
    kubectl(
        rack,
        &["delete", CLUSTERS, "-n", NAMESPACE, cluster, "--wait=false"],
    )
    .map(drop)
}

fn find(rack: &Rack, cluster: &str) -> anyhow::Result<Option<Value>> {
    let all = items(rack, "clusters")?;
    Ok(all.into_iter().find(|found| found["metadata"]["name"] == cluster))
}

fn machines_of(rack: &Rack, cluster: &str) -> anyhow::Result<Machines> {
    let mut all = items(rack, "providermachines")?;
    all.retain(|machine| machine["spec"]["clusterName"] == cluster);
    let machine = |object: &Value| (text(&object["metadata"]["name"]), text(&object["status"]["host"]));
    Ok(all.iter().map(machine).collect::<BTreeMap<_, _>>())
}

/// Waits until a cluster is Ready with so many machines.
async fn settled(rack: &Rack, cluster: &str, count: usize) -> anyhow::Result<Machines> {
    let machines = until(&format!("{cluster} is Ready"), READY, || async {
        let look = || {
            anyhow::Ok((
                find(rack, cluster)?.context("no cluster")?,
                machines_of(rack, cluster)?,
            ))
        };
        let (found, machines) = look().map_err(|error| format!("{error:#}"))?;
        let seen = found["status"]["observedGeneration"] == found["metadata"]["generation"];
        let settled = seen && is_ready(&found) && machines.len() == count;
        settled.then_some(machines).ok_or_else(|| reason(&found))
    })
    .await?;
    println!("{cluster} is Ready: {machines:?}");
    Ok(machines)
}

/// Waits until the status of a cluster holds a text.
async fn said(rack: &Rack, cluster: &str, part: &str) -> anyhow::Result<()> {
    let shown = until(&format!("{cluster} says {part:?}"), READY, || async {
        let found = find(rack, cluster).map_err(|error| format!("{error:#}"))?;
        let why = found.as_ref().map(reason).unwrap_or_default();
        why.contains(part).then(|| why.clone()).ok_or(why)
    })
    .await?;
    println!("{cluster}: {shown}");
    Ok(())
}

/// Waits until a cluster and its machines are gone.
async fn gone(rack: &Rack, cluster: &str) -> anyhow::Result<()> {
    until(&format!("{cluster} is gone"), DELETED, || async {
        let look = || anyhow::Ok((find(rack, cluster)?, machines_of(rack, cluster)?));
        let (found, machines) = look().map_err(|error| format!("{error:#}"))?;
        match found {
            None if machines.is_empty() => Ok(()),
            None => Err(format!("{machines:?}")),
            Some(found) => Err(reason(&found)),
        }
    })
    .await?;
    println!("{cluster} is gone");
    Ok(())
}

/// So many nodes are Ready, by the kubeconfig that the appliance keeps in a Secret.
fn nodes(rack: &Rack, cluster: &str, count: usize) -> anyhow::Result<()> {
    let name = format!("{cluster}-kubeconfig");
    let secret = rack.appliance_asked(&["get", "secret", "-n", NAMESPACE, &name, "-o", "json"])?;
    let secret: Value = serde_json::from_str(&secret)?;
    let file = format!("{cluster}.kubeconfig");
    std::fs::write(rack.file(&file), STANDARD.decode(text(&secret["data"]["value"]))?)?;
    println!("$ kubectl --kubeconfig {file} get nodes");
    let nodes = rack.client(&file).asked(&["get", "nodes", "--no-headers"])?;
    print!("{nodes}");
    let ready = nodes.lines().filter(|line| line.contains(" Ready ")).count();
    ensure!(
        ready == count && nodes.lines().count() == count,
        "not {count} Ready nodes"
    );
    Ok(())
}

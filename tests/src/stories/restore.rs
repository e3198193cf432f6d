//! Story `restore`: a cluster of one member and one worker loses the power of its member's machine. Its control plane starts with a
//! snapshot, with which a drill has rehearsed that, on a server that is installed anew: what was written before the snapshot is
//! there, what came later is not, and the worker stays.

use anyhow::ensure;
use lab::UpOptions;

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::etcd_data;
use crate::living_cluster::{Machines, all_ready, machines, of_pool, one_and_one, settled, show_plans};
use crate::new_cluster::deleted;
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;

/// Two servers for the control plane, one for the worker.
const MACHINES: usize = 3;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: MACHINES,
        memory_mib: vec![3072],
        ..UpOptions::default()
    };
    on_rack(options, "restore-", shape, restored).await
}

async fn restored(rack: &mut Rack) -> anyhow::Result<()> {
    one_and_one(rack, 2).await?;
    let next = show_plans(rack, 1)?;
    let before = machines(rack)?;

    rack.asked(&["create", "configmap", "before", "--from-literal=is=there"])?;
    let name = rack.plan.cluster_name.clone();
    print!("{}", rack.gantry(&["snapshot", "cluster", &name])?);
    print!("{}", rack.gantry(&["etcd", "drill", &name])?);
    rack.asked(&["create", "configmap", "after", "--from-literal=is=lost"])?;

    let (member, server) = of_pool(&before, "cp")?;
    rack.at_bmc(&server, "ForceOff")?;
    println!("{member} on {server}: no power");
    ensure!(
        rack.asked(&["get", "nodes", "--request-timeout=5s"]).is_err(),
        "the API still answers"
    );

    print!("{}", rack.gantry(&["restore", "cluster", &name, "--yes"])?);
    let is_new = |now: &Machines| now.len() == 2 && !now.contains_key(&member);
    let after = settled(rack, "the control plane has started with the snapshot", is_new).await?;
    show_plans(rack, next)?;
    all_ready(rack, 2, 1)?;
    etcd_data::is_equal(rack, 1)?;
    ensure!(
        of_pool(&before, "md-0")? == of_pool(&after.machines, "md-0")?,
        "the worker stays"
    );
    rack.asked(&["get", "configmap", "before"])?;
    ensure!(
        rack.asked(&["get", "configmap", "after"]).is_err(),
        "it was written after the snapshot"
    );

    // It takes writes as before.
    let writer = OutsideWriter::begin(rack.cluster_client(), "restored");
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    writer.end()?;
    deleted(rack).await?;
    rack.end_appliance()
}

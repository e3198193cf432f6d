//! Story `standard`: two machines become a cluster with the values that Kubernetes itself has for leases, probes and time
//! limits, where the other stories use those for emulated machines. A client writes through the cluster's address.

use std::time::{Duration, Instant};

use lab::UpOptions;

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::etcd_data;
use crate::living_cluster::{all_ready, show_plans};
use crate::new_cluster::{create, deleted, ended, service};
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;

/// How long the cluster is written to when it is there.
const WRITES: Duration = Duration::from_secs(120);

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    on_rack(options, "standard-", UpOptions::default(), tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    rack.lab_timings = false;
    rack.serve().await?;
    let started = Instant::now();
    ended(create(rack)?, Ok(())).await?;
    println!("Ready after {} s", started.elapsed().as_secs());
    show_plans(rack, 1)?;
    all_ready(rack, 2, 1)?;
    let writer = OutsideWriter::begin(rack.cluster_client(), "standard");
    service(rack)?;
    tokio::time::sleep(WRITES).await;
    writer.end()?;
    all_ready(rack, 2, 1)?;
    etcd_data::is_equal(rack, 1)?;
    deleted(rack).await?;
    rack.end_appliance()
}

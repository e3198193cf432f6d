//! Story `cluster`: two powered-off UEFI machines with blank disks become a cluster with both nodes Ready, although the
//! appliance is killed four times on the way: after a claim is committed and before its reply, at half of an image,
//! between disarming and handover, and while kubeadm runs. Two pods answer through a Service by name; no secret is in
//! packets, logs or data; deletion gives the servers back, powered off.

mod canary;

use std::collections::BTreeSet;

use anyhow::ensure;
use kill_points::KillPoint;
use lab::UpOptions;

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::new_cluster::{
    create, deleted, ended, half_written, handed_out, once_per_attempt, ready, says, service,
};
use crate::rack::Rack;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    on_rack(options, "", UpOptions::default(), tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    rack.blank()?;
    println!("all disks are blank");
    rack.serve_until(KillPoint::ClaimCommitted).await?;
    let command = create(rack)?;
    let killed = killed_four_times(rack).await;
    ended(command, killed).await?;
    once_per_attempt(rack)?;
    let actions = handed_out(rack)?;
    let distinct: BTreeSet<&String> = actions.iter().collect();
    ensure!(
        !actions.is_empty() && distinct.len() == actions.len(),
        "an action was handed out anew within its attempt: {actions:?}"
    );
    println!("{}", rack.gantry(&["lab", "stages", "--rack", &rack.plan.id])?);
    ready(rack)?;
    service(rack)?;
    canary::no_secrets(rack)?;
    deleted(rack).await?;
    rack.end_appliance()
}

async fn killed_four_times(rack: &mut Rack) -> anyhow::Result<()> {
    rack.dies_at(KillPoint::ClaimCommitted).await?;
    rack.serve().await?;
    half_written(rack).await?;
    rack.kill_appliance()?;
    println!("kill -9 at half of an image");
    rack.serve_until(KillPoint::Disarmed).await?;
    rack.dies_at(KillPoint::Disarmed).await?;
    rack.serve().await?;
    says(rack, "clusters", "kubeadm init runs").await?;
    rack.kill_appliance()?;
    println!("kill -9 while kubeadm init runs");
    rack.serve().await
}

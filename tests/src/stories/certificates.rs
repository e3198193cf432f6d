//! Story `certificates`: a cluster of one member and one worker gets new certificates while a client writes through the shared
//! address. Both ports of the member show later ones than before, the kubeconfig that the appliance keeps is another one, the
//! API was silent no longer than the plan stated, and nothing that was acknowledged is missing.

use anyhow::{Context, ensure};
use lab::{MachinePlan, UpOptions};

use super::Options;
use super::on_rack::on_rack;
use crate::command::done;
use crate::end::End;
use crate::living_cluster::{
    all_ready, cluster, machines, of_pool, one_and_one, show_plans, within_stated_gap,
};
use crate::new_cluster::deleted;
use crate::objects::NAMESPACE;
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: 2,
        memory_mib: vec![3072],
        ..UpOptions::default()
    };
    on_rack(options, "certificates-", shape, renewed).await
}

async fn renewed(rack: &mut Rack) -> anyhow::Result<()> {
    one_and_one(rack, 1).await?;
    let next = show_plans(rack, 1)?;
    let name = rack.plan.cluster_name.clone();
    let (member, server) = of_pool(&machines(rack)?, "cp")?;
    let known = rack.plan.machines.iter().find(|machine| machine.name == server);
    let known = known.with_context(|| format!("no machine {server}"))?.clone();
    let before = ends(rack, &known)?;
    let kubeconfig = kubeconfig(rack)?;
    println!("{member} on {server} shows certificates until {before:?}");

    let writer = OutsideWriter::begin(rack.cluster_client(), "renewed");
    print!("{}", rack.gantry(&["renew", "certificates", &name])?);
    let gap = writer.end()?;
    show_plans(rack, next)?;
    within_stated_gap(rack, gap)?;

    let after = ends(rack, &known)?;
    println!("{member} on {server} shows certificates until {after:?}");
    ensure!(
        after.iter().zip(&before).all(|(after, before)| after > before),
        "they do not end later than before"
    );
    let info = cluster(rack)?["status"]["clusterCertificateInfo"].clone();
    ensure!(
        info[0]["machine"] == member && info[0]["expiresInDays"] == 364,
        "{info}"
    );
    ensure!(
        self::kubeconfig(rack)? != kubeconfig,
        "the kubeconfig is the old one"
    );
    all_ready(rack, 2, 1)?;
    let pods = rack.asked(&[
        "get",
        "pods",
        "-n",
        "kube-system",
        "-l",
        "gantry.dev/renews-certificates-of",
        "-o",
        "name",
    ])?;
    ensure!(pods.trim().is_empty(), "left behind: {pods}");

    deleted(rack).await?;
    rack.end_appliance()
}

/// When the certificates of API server and etcd end that a machine shows, in seconds since 1970. It is asked from beside the
/// appliance, with a program of somebody else.
pub(super) fn ends(rack: &Rack, machine: &MachinePlan) -> anyhow::Result<Vec<i64>> {
    let ports = [6443, 2379].into_iter();
    ports
        .map(|port| {
            let ip = machine.ip;
            let script = format!(
                "date -u -d \"$(openssl s_client -connect {ip}:{port} < /dev/null 2> /dev/null | openssl x509 -noout -enddate | \
                 cut -d = -f 2)\" +%s"
            );
            let mut command = lab::site_command(&rack.plan, "sh")?;
            let text = done(command.args(["-c", &script]))?;
            text.trim().parse().with_context(|| format!("{ip}:{port}: {text}"))
        })
        .collect()
}

/// The kubeconfig as the appliance keeps it.
fn kubeconfig(rack: &Rack) -> anyhow::Result<String> {
    let name = format!("{}-kubeconfig", rack.plan.cluster_name);
    rack.appliance_asked(&[
        "get",
        "secret",
        "-n",
        NAMESPACE,
        &name,
        "-o",
        "jsonpath={.data.value}",
    ])
}

//! Story `ended-certificates`: the only member of a control plane gets certificates that count for a quarter of an hour, by its own
//! kubeadm, and they end while the appliance is off, which would renew them in time. The appliance sees it when it starts, proposes
//! to renew them in the installer, and does nothing before that is approved. Then the member starts the installer and its system
//! again: both ports show certificates for a year, the worker was left alone, and nothing that was acknowledged before is missing.

use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use lab::UpOptions;
use serde_json::json;

use super::Options;
use super::certificates::ends;
use super::on_rack::on_rack;
use crate::end::End;
use crate::living_cluster::{
    all_ready, approved, explained, machines, of_pool, one_and_one, settled, show_plans,
};
use crate::new_cluster::{deleted, items};
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;
use crate::waiting::until;

/// How long the short certificates count, as kubeadm reads it.
const SHORT: &str = "15m0s";
/// For the Pod, and for certificates that end.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Certificates for a year, less a day.
const YEAR: i64 = 364 * 24 * 60 * 60;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: 2,
        memory_mib: vec![3072],
        ..UpOptions::default()
    };
    on_rack(options, "ended-", shape, repaired).await
}

async fn repaired(rack: &mut Rack) -> anyhow::Result<()> {
    one_and_one(rack, 1).await?;
    let next = show_plans(rack, 1)?;
    let known = machines(rack)?;
    let ((member, server), (worker, other)) = (of_pool(&known, "cp")?, of_pool(&known, "md-0")?);
    let plan_of = |name: &str| {
        let found = rack.plan.machines.iter().find(|machine| machine.name == name);
        found.cloned().with_context(|| format!("no machine {name}"))
    };
    let (plan, worker_plan) = (plan_of(&server)?, plan_of(&other)?);
    let boot = boot_id(rack, &worker_plan.name)?;

    // It would renew them before they end.
    rack.end_appliance()?;
    let writer = OutsideWriter::begin(rack.cluster_client(), "before");
    shortened(rack, &plan.name)?;
    until("both ports show short certificates", LONGEST, || async {
        let ends = ends(rack, &plan).map_err(|error| format!("{error:#}"))?;
        let soon = Timestamp::now().as_second() + 20 * 60;
        let short = ends.iter().all(|end| *end < soon);
        short.then_some(()).ok_or_else(|| format!("{ends:?}"))
    })
    .await?;
    until("the API answers again", LONGEST, || async {
        let ready = rack.asked(&["get", "--raw", "/readyz"]);
        ready.map(drop).map_err(|error| format!("{error:#}"))
    })
    .await?;
    writer.end()?;
    let before = ends(rack, &plan)?;
    println!("{member} on {server} shows certificates until {before:?}");

    until("the certificates have ended", LONGEST, || async {
        let now = Timestamp::now().as_second();
        let ended = before.iter().all(|end| *end <= now);
        ended.then_some(()).ok_or_else(|| format!("{before:?} at {now}"))
    })
    .await?;
    rack.serve().await?;
    explained(rack, "gantry approve").await?;
    let attempt = attempt(rack, &server)?;
    approved(rack).await?;
    let after = settled(rack, "certificates renewed in the installer", |now| {
        now.len() == 2
    })
    .await?;
    ensure!(after.machines == known, "{after:?}");
    show_plans(rack, next)?;

    let after = ends(rack, &plan)?;
    println!("{member} on {server} shows certificates until {after:?}");
    let year = Timestamp::now().as_second() + YEAR;
    ensure!(after.iter().all(|end| *end > year), "{after:?}");
    ensure!(
        self::attempt(rack, &server)? == attempt + 1,
        "it took more than one attempt"
    );
    all_ready(rack, 2, 1)?;
    ensure!(
        boot_id(rack, &worker_plan.name)? == boot,
        "{worker} was started again"
    );
    // What was acknowledged before is counted again, beside what is written now.
    let list = rack.asked(&["get", "configmaps", "-o", "name"])?;
    let kept = list.lines().filter(|line| line.contains("/before-")).count();
    ensure!(kept > 0, "nothing is left of what was written before: {list}");
    OutsideWriter::begin(rack.cluster_client(), "after").end()?;

    deleted(rack).await?;
    rack.end_appliance()
}

/// What the appliance counts as attempts of a server.
fn attempt(rack: &Rack, server: &str) -> anyhow::Result<u64> {
    let servers = items(rack, "servers")?;
    let found = servers.iter().find(|known| known["metadata"]["name"] == server);
    let number = found.and_then(|known| known["spec"]["attempt"]["number"].as_u64());
    number.with_context(|| format!("server {server} has no attempt"))
}

/// Which start of a machine its node runs since.
fn boot_id(rack: &Rack, node: &str) -> anyhow::Result<String> {
    rack.asked(&["get", "node", node, "-o", "jsonpath={.status.nodeInfo.bootID}"])
}

/// A Pod on the node gives its member certificates that end soon, and restarts it.
fn shortened(rack: &Rack, node: &str) -> anyhow::Result<()> {
    let image = rack.asked(&[
        "get",
        "pod",
        "-n",
        "kube-system",
        &format!("kube-apiserver-{node}"),
        "-o",
        "jsonpath={.spec.containers[0].image}",
    ])?;
    let script = format!(
        "set -e
printf 'apiVersion: kubeadm.k8s.io/v1beta4\\nkind: ClusterConfiguration\\nkubernetesVersion: %s\\ncertificateValidityPeriod: {SHORT}\\n' \
         $(kubeadm version -o short) > /run/short.yaml
kubeadm certs renew all --config /run/short.yaml
mkdir /etc/kubernetes/stopped
mv /etc/kubernetes/manifests/*.yaml /etc/kubernetes/stopped/
sleep 60
mv /etc/kubernetes/stopped/*.yaml /etc/kubernetes/manifests/"
    );
    let folders = ["usr", "lib", "lib64"];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "shortens-certificates", "namespace": "kube-system"},
        "spec": {
            "nodeName": node, "hostPID": true, "hostNetwork": true, "restartPolicy": "Never",
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": "shorten", "image": image, "imagePullPolicy": "IfNotPresent",
                "command": ["/usr/bin/nsenter", "--target", "1", "--mount", "--", "/bin/sh", "-c", script],
                "securityContext": {"privileged": true, "runAsUser": 0},
                "volumeMounts": folders.map(|name| json!({"name": name, "mountPath": format!("/{name}"), "readOnly": true})),
            }],
            "volumes": folders.map(|name| json!({"name": name, "hostPath": {"path": format!("/{name}")}})),
        },
    });
    let file = rack.file("shortens-certificates.json");
    std::fs::write(&file, pod.to_string())?;
    rack.kubectl(&["apply", "-f", &file.display().to_string()])
        .map(drop)
}

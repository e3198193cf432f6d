//! Story `api`: the real kubectl gets, applies, describes, edits, waits for, watches and deletes Hardware and Cluster;
//! hardware goes from a CSV, a cluster is deleted by name; then `kill -9` hits the server in the middle of writes, and
//! nothing that it acknowledged is lost.

mod pruning;
mod quarantine;

use std::collections::BTreeSet;
use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use resources::tinkerbell::{Hardware, HardwareSpec};

use super::Options;
use crate::end::End;
use crate::gantry::Gantry;
use crate::kubectl::Kubectl;
use crate::objects::NAMESPACE;
use crate::said::says;
use crate::server::Server;
use crate::waiting::until;

/// Writers at the same time, and kills.
const WRITERS: u32 = 8;
const KILLS: u32 = 3;
/// Acknowledged writes before a kill.
const BEFORE_KILL: u32 = 60;

pub(crate) async fn run(_: Options) -> anyhow::Result<End> {
    let mut server = Server::start().await?;
    let Some(kubectl) = Kubectl::find(&server.kubeconfig()) else {
        return Ok(End::Skipped(
            "no kubectl: build it with `gantry image build kubernetes`".to_owned(),
        ));
    };
    let folder = tempfile::tempdir()?;
    let gantry = Gantry::new(&server.kubeconfig(), folder.path());
    let cli = gantry.clone();
    let shown = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        certificate(&kubectl)?;
        hardware(&kubectl)?;
        cluster(&kubectl)?;
        deletion(&kubectl, &cli)
    });
    shown.await?.with_context(|| server.log())?;
    let pruned = pruning::run(&server.client().await?, &gantry, folder.path()).await;
    pruned.with_context(|| server.log())?;
    quarantine::run(&gantry, "stays")
        .await
        .with_context(|| server.log())?;
    for round in 1..=KILLS {
        crash(&mut server, round).await?;
    }
    server.end().await?;
    Ok(End::Passed)
}

const HARDWARE: &str = "
apiVersion: tinkerbell.org/v1alpha1
kind: Hardware
metadata: {name: node-1, namespace: eksa-system, labels: {type: cp}}
spec:
  disks: [{device: /dev/sda}]
  interfaces:
    - netboot: {allowPXE: true}
      dhcp: {mac: '02:00:00:00:00:01', hostname: node-1, ip: {address: 10.0.0.5, netmask: 255.255.255.0}}
";

fn hardware(kubectl: &Kubectl) -> anyhow::Result<()> {
    let n = ["-n", NAMESPACE];
    kubectl.run_with(&["apply", "-f", "-"], HARDWARE)?;
    says(&kubectl.run(&["get", "hardware", "-A"])?, &["node-1"])?;
    says(
        &kubectl.run(&["describe", n[0], n[1], "hardware", "node-1"])?,
        &["02:00:00:00:00:01"],
    )?;
    // Applying the same again changes nothing.
    says(
        &kubectl.run_with(&["apply", "-f", "-"], HARDWARE)?,
        &["unchanged"],
    )?;
    says(
        &kubectl.run_with(
            &["apply", "--server-side", "--field-manager", "story", "-f", "-"],
            HARDWARE,
        )?,
        &["node-1"],
    )?;
    // An unknown field and a wrong value are refused, with their place.
    let unknown = HARDWARE.replace("disks:", "discs:");
    says(
        &kubectl.refused(&["apply", "--validate=strict", "-f", "-"], &unknown)?,
        &["discs"],
    )?;
    edit(kubectl, "hardware", "node-1", "s/type: cp/type: edited/")?;
    says(
        &kubectl.run(&["get", n[0], n[1], "hardware", "-l", "type=edited", "-o", "name"])?,
        &["hardware.tinkerbell.org/node-1"],
    )?;
    kubectl.run(&[
        "wait",
        n[0],
        n[1],
        "--for=jsonpath={.metadata.labels.type}=edited",
        "--timeout=10s",
        "hardware/node-1",
    ])?;
    watched_deletion(kubectl, "hardware", "node-1")
}

const CLUSTER: &str = "
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: Cluster
metadata:
  name: story
  namespace: eksa-system
  annotations: {anywhere.eks.amazonaws.com/paused: 'true'}
spec:
  kubernetesVersion: '1.35'
  controlPlaneConfiguration: {count: 1, endpoint: {host: 10.0.0.9}, machineGroupRef: {kind: TinkerbellMachineConfig, name: cp}}
  datacenterRef: {kind: TinkerbellDatacenterConfig, name: story}
  clusterNetwork: {cniConfig: {flannel: {}}, pods: {cidrBlocks: [10.1.0.0/16]}, services: {cidrBlocks: [10.2.0.0/16]}}
";

/// What pauses [`CLUSTER`].
const PAUSED: &str = "  annotations: {anywhere.eks.amazonaws.com/paused: 'true'}\n";

fn cluster(kubectl: &Kubectl) -> anyhow::Result<()> {
    let name = "clusters.anywhere.eks.amazonaws.com";
    kubectl.run_with(&["apply", "-f", "-"], CLUSTER)?;
    says(&kubectl.run(&["get", name, "-A"])?, &["story"])?;
    says(
        &kubectl.run(&["describe", "-n", NAMESPACE, name, "story"])?,
        &["10.0.0.9"],
    )?;
    edit(kubectl, name, "story", "s/10.1.0.0/10.3.0.0/")?;
    says(
        &kubectl.run(&["get", "-n", NAMESPACE, name, "story", "-o", "yaml"])?,
        &["10.3.0.0/16"],
    )?;
    // A paused cluster is not deleted: it goes as soon as it is not paused any more.
    kubectl.run(&["delete", "-n", NAMESPACE, name, "story", "--wait=false"])?;
    let path = "jsonpath={.status.reason}";
    let until = "--for=jsonpath={.status.reason}";
    kubectl.run(&["wait", "-n", NAMESPACE, until, "--timeout=30s", name, "story"])?;
    let reason = kubectl.run(&["get", "-n", NAMESPACE, name, "story", "-o", path])?;
    says(&reason, &["paused by annotation"])?;
    kubectl.run(&[
        "annotate",
        "-n",
        NAMESPACE,
        name,
        "story",
        "anywhere.eks.amazonaws.com/paused-",
    ])?;
    kubectl.run(&[
        "wait",
        "-n",
        NAMESPACE,
        "--for=delete",
        "--timeout=30s",
        name,
        "story",
    ])?;
    kubectl.run_with(&["apply", "-f", "-"], &CLUSTER.replace(PAUSED, ""))?;
    watched_deletion(kubectl, name, "story")
}

/// The admin's kubeconfig works by client certificate as by token.
fn certificate(kubectl: &Kubectl) -> anyhow::Result<()> {
    for context in ["gantry", "gantry-certificate"] {
        let namespaces = kubectl.run(&["--context", context, "get", "namespaces"])?;
        says(&namespaces, &[NAMESPACE])?;
    }
    Ok(())
}

/// `gantry delete cluster`: by name and by file, and a name that is wrong.
fn deletion(kubectl: &Kubectl, gantry: &Gantry) -> anyhow::Result<()> {
    let told = gantry.refused(&["delete", "cluster", "nobody"], 1)?;
    says(&told, &["there is no cluster nobody in eksa-system"])?;
    let told = gantry.refused(&["delete", "cluster", "story", "--force-cleanup"], 4)?;
    says(&told, &["--force-cleanup"])?;
    kubectl.run_with(&["apply", "-f", "-"], &CLUSTER.replace(PAUSED, ""))?;
    let told = gantry.refused(&["delete", "cluster", "story"], 1)?;
    says(
        &told,
        &["cluster story is deleted", "nobody can be asked here", "--yes"],
    )?;
    let told = gantry.run(&["delete", "cluster", "story", "--yes"])?;
    says(&told, &["story: deleted"])?;
    let left = kubectl.run(&["get", "clusters.anywhere.eks.amazonaws.com", "-A", "-o", "name"])?;
    ensure!(left.trim().is_empty(), "left: {left}");
    Ok(())
}

/// `kubectl edit` with a program as editor.
fn edit(kubectl: &Kubectl, kind: &str, name: &str, change: &str) -> anyhow::Result<()> {
    let mut command = kubectl.command(&["edit", "-n", NAMESPACE, kind, name]);
    let output = command
        .env("KUBE_EDITOR", format!("sed -i -e {change:?}"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    ensure!(
        output.status.success(),
        "edit: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    says(&text, &["edited"])
}

/// Watches while the object is deleted: the watch tells of it.
fn watched_deletion(kubectl: &Kubectl, kind: &str, name: &str) -> anyhow::Result<()> {
    let mut command = kubectl.command(&["get", "-n", NAMESPACE, kind, "--watch", "--output-watch-events"]);
    let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut output = watch.stdout.take().context("no output")?;
    let mut seen = Vec::new();
    let result = (|| {
        read_until(&mut output, &mut seen, "ADDED")?;
        kubectl.run(&["delete", "-n", NAMESPACE, kind, name, "--timeout=20s"])?;
        read_until(&mut output, &mut seen, "DELETED")
    })();
    watch.kill()?;
    watch.wait()?;
    print!("{}", String::from_utf8_lossy(&seen));
    result
}

/// Reads until the word came; the watch's end is an error, and kubectl's own time limits end the rest.
fn read_until(from: &mut impl Read, seen: &mut Vec<u8>, word: &str) -> anyhow::Result<()> {
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(seen).contains(word) {
        let length = from.read(&mut buffer)?;
        ensure!(
            length > 0,
            "the watch ended before {word}: {}",
            String::from_utf8_lossy(seen)
        );
        seen.extend(&buffer[..length]);
    }
    Ok(())
}

/// Writers write as fast as they can; in the middle the server is killed. Whatever was acknowledged is there after.
async fn crash(server: &mut Server, round: u32) -> anyhow::Result<()> {
    let client = server.client().await?;
    let acknowledged = Arc::new(AtomicU32::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            tokio::spawn(write(
                client.clone(),
                round,
                writer,
                acknowledged.clone(),
                stop.clone(),
            ))
        })
        .collect();
    until("enough writes", Duration::from_secs(60), || async {
        let count = acknowledged.load(Ordering::SeqCst);
        if count >= BEFORE_KILL { Ok(()) } else { Err(count) }
    })
    .await?;
    server.kill().await?;
    stop.store(true, Ordering::SeqCst);
    let mut promised = BTreeSet::new();
    for writer in writers {
        promised.extend(writer.await?);
    }
    server.restart().await?;
    let api: Api<Hardware> = Api::namespaced(server.client().await?, NAMESPACE);
    let found: BTreeSet<String> = api
        .list(&ListParams::default())
        .await?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let lost: Vec<&String> = promised.difference(&found).collect();
    ensure!(lost.is_empty(), "acknowledged before kill -9 and lost: {lost:?}");
    println!(
        "kill -9 number {round}: {} acknowledged writes, all there",
        promised.len()
    );
    Ok(())
}

/// Creates objects until the server is gone; gives the names of those that were acknowledged.
async fn write(
    client: Client,
    round: u32,
    writer: u32,
    count: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
) -> Vec<String> {
    let api: Api<Hardware> = Api::namespaced(client, NAMESPACE);
    let mut names = Vec::new();
    for number in 0.. {
        let name = format!("crash-{round}-{writer}-{number}");
        let created = api
            .create(
                &PostParams::default(),
                &Hardware::new(&name, HardwareSpec::default()),
            )
            .await;
        if created.is_err() || stop.load(Ordering::SeqCst) {
            // An answer that came is a promise, also when the stop was seen first.
            names.extend(created.is_ok().then_some(name));
            break;
        }
        count.fetch_add(1, Ordering::SeqCst);
        names.push(name);
    }
    names
}

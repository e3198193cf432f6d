//! `gantry create cluster -f FILE -z CSV`: check everything, apply everything, then only watch.

mod identity;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use cluster_spec::{ClusterBundle, FreeHardware, Surroundings, Violation};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use resources::anywhere::Cluster;
use resources::gantry::{ControlPlane, Release, Server};
use resources::tinkerbell::Hardware;
use resources::{bmc, keys};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::hardware::{self, Csv};
use crate::progress::{Screen, Verdict, plan_lines, view};
use crate::snapshot::Snapshot;
use crate::verbs::eksa_flags::CreateFlags;
use crate::{connection, output};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long an appliance may be silent before watching ends.
const SILENCE: Duration = Duration::from_secs(120);
/// After so long the appliance has looked again at a cluster that it had refused.
const LOOKED_AGAIN: Duration = Duration::from_secs(45);

#[derive(Debug, Args)]
pub(crate) struct CreateClusterArgs {
    /// EKS Anywhere YAML: Cluster, TinkerbellDatacenterConfig, TinkerbellMachineConfig.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    file: PathBuf,
    /// Hardware to import first.
    #[arg(short = 'z', long, value_name = "FILE", env = "HARDWARE_CSV")]
    hardware_csv: Option<PathBuf>,
    /// Return once everything is applied.
    #[arg(long)]
    no_wait: bool,
    /// Give up watching after so many minutes; the cluster goes on.
    #[arg(long, value_name = "MINUTES")]
    timeout: Option<u64>,
    #[command(flatten)]
    pub(crate) eksa: CreateFlags,
}

/// Everything that was checked before anything is applied.
struct Checked {
    bundle: ClusterBundle,
    namespace: String,
    csv: Option<Csv>,
}

pub(crate) async fn run(global: &Global, args: &CreateClusterArgs) -> Outcome {
    args.eksa.judge().settle()?.iter().for_each(output::note);
    let csv = args.hardware_csv.as_deref().map(hardware::read).transpose();
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| Failure::BadInput(format!("{}: {error}", args.file.display())))?;
    let client = connection::connect(global).await?;
    let releases: Api<Release> = Api::all(client.clone());
    let releases = releases.list(&ListParams::default()).await?.items;
    let bundle = cluster_spec::parse(&text, &args.file.display().to_string(), &releases);
    let checked = match (bundle, csv) {
        (Ok(mut bundle), Ok(csv)) => {
            if args.eksa.skip_ip_check {
                let key = keys::SKIP_IP_CHECK.to_owned();
                bundle.cluster.annotations_mut().insert(key, "true".to_owned());
            }
            let namespace = bundle
                .cluster
                .namespace()
                .unwrap_or_else(|| keys::DEFAULT_NAMESPACE.to_owned());
            Checked {
                bundle,
                namespace,
                csv,
            }
        }
        (Err(problems), Ok(_)) => return Err(Failure::BadInput(problems.to_string())),
        (Ok(_), Err(faults)) => return Err(faults),
        (Err(problems), Err(faults)) => return Err(Failure::BadInput(format!("{problems}\n\n{faults}"))),
    };
    for remark in cluster_spec::remarks(&checked.bundle) {
        output::note(format!("remark: {remark}"));
    }
    let name = checked.bundle.name();
    let known = current(&client, &checked).await?;
    check(&client, &checked, known.as_ref()).await?;
    let folder = PathBuf::from(&name);
    std::fs::create_dir_all(&folder)?;
    let before = get::<Cluster>(&client, &checked.namespace, &name).await?;
    let refused_before = before.and_then(|cluster| cluster.status?.failure_message);
    let mut screen = Screen::new(Some(&folder.join(format!("{name}-create.log"))));
    apply(&client, &checked, &mut screen).await?;
    if args.no_wait {
        screen.end();
        output::line(format!(
            "{name}: applied; watch it with: gantry create cluster -f {}",
            args.file.display()
        ));
        return Ok(());
    }
    let watched = watch(&client, &checked, args, screen, refused_before.as_deref()).await;
    watched?;
    finish(&client, &checked, &text, &folder).await
}

/// The documents that the cluster's machines are made from; `None` before there are machines.
async fn current(client: &Client, checked: &Checked) -> Outcome<Option<ClusterBundle>> {
    let (namespace, name) = (&checked.namespace, checked.bundle.name());
    let control_plane = get::<ControlPlane>(client, namespace, &name).await?;
    let documents = control_plane.and_then(|control_plane| control_plane.spec.documents);
    Ok(documents.map(|documents| ClusterBundle::from_documents(&name, namespace, &documents)))
}

/// What can only be checked against the API: changes of fields that never change, and enough hardware.
async fn check(client: &Client, checked: &Checked, known: Option<&ClusterBundle>) -> Outcome {
    let violations = match known {
        Some(known) => cluster_spec::check_update(known, &checked.bundle),
        None => {
            let mut found =
                cluster_spec::check_hardware(&checked.bundle, &free_hardware(client, checked).await?);
            found.extend(check_surroundings(client, checked).await?);
            found
        }
    };
    if violations.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    Err(Failure::BadInput(format!(
        "{}\nnothing was changed",
        lines.join("\n")
    )))
}

/// Whether the addresses of the cluster and the names of its machines are free, by the API and the file; the appliance checks again, with its own address.
async fn check_surroundings(client: &Client, checked: &Checked) -> Outcome<Vec<Violation>> {
    let all = ListParams::default();
    let mut hardware = Api::<Hardware>::all(client.clone()).list(&all).await?.items;
    let mut bmcs = Api::<bmc::Machine>::all(client.clone()).list(&all).await?.items;
    if let Some(csv) = &checked.csv {
        let (mut new, mut new_bmcs) = (BTreeMap::new(), BTreeMap::new());
        for objects in hardware_csv::to_objects(&csv.rows, &checked.namespace, &csv.source) {
            new.insert(objects.hardware.name_any(), objects.hardware);
            new_bmcs.extend(objects.bmc.map(|bmc| (bmc.name_any(), bmc)));
        }
        hardware.retain(|known| match new.get_mut(&known.name_any()) {
            Some(wanted) => {
                hardware::keep(wanted, known);
                false
            }
            None => true,
        });
        hardware.extend(new.into_values());
        bmcs.retain(|known| !new_bmcs.contains_key(&known.name_any()));
        bmcs.extend(new_bmcs.into_values());
    }
    identity::remarks(&checked.bundle, &hardware)
        .iter()
        .for_each(output::note);
    let mut clusters = Api::<Cluster>::all(client.clone()).list(&all).await?.items;
    let namespace = checked.bundle.cluster.namespace();
    clusters.retain(|other| other.name_any() != checked.bundle.name() || other.namespace() != namespace);
    let around = Surroundings {
        hardware: &hardware,
        bmcs: &bmcs,
        clusters: &clusters.iter().collect::<Vec<_>>(),
        ..Surroundings::default()
    };
    Ok(cluster_spec::check_surroundings(&checked.bundle, &around))
}

/// Free machines, those of the file included.
async fn free_hardware(client: &Client, checked: &Checked) -> Outcome<Vec<FreeHardware>> {
    let hardware: Api<Hardware> = Api::namespaced(client.clone(), &checked.namespace);
    let servers: Api<Server> = Api::namespaced(client.clone(), &checked.namespace);
    let servers = servers.list(&ListParams::default()).await?.items;
    let claimed: BTreeSet<&str> = servers
        .iter()
        .filter(|server| server.spec.claim.is_some())
        .map(|server| server.spec.hardware.as_str())
        .collect();
    let mut free: BTreeMap<String, FreeHardware> = hardware
        .list(&ListParams::default())
        .await?
        .into_iter()
        .map(|object| FreeHardware {
            name: object.name_any(),
            labels: object.labels().clone(),
        })
        .filter(|machine| {
            !claimed.contains(machine.name.as_str()) && !machine.labels.contains_key(keys::OWNER_NAME)
        })
        .map(|machine| (machine.name.clone(), machine))
        .collect();
    for row in checked.csv.iter().flat_map(|csv| &csv.rows) {
        if claimed.contains(row.hostname.as_str()) {
            continue;
        }
        let machine = FreeHardware {
            name: row.hostname.clone(),
            labels: row.labels.clone(),
        };
        free.insert(row.hostname.clone(), machine);
    }
    Ok(free.into_values().collect())
}

async fn apply(client: &Client, checked: &Checked, screen: &mut Screen) -> Outcome {
    let namespace = &checked.namespace;
    if let Some(csv) = &checked.csv {
        let diff = hardware::compare(client, namespace, csv).await?;
        for line in hardware::apply(client, namespace, csv, &diff, false).await? {
            screen.say(&format!("hardware {line}"));
        }
    }
    let bundle = &checked.bundle;
    put(client, namespace, &bundle.datacenter).await?;
    for config in bundle.machine_configs.values() {
        put(client, namespace, config).await?;
    }
    for template in bundle.templates.values() {
        put(client, namespace, template).await?;
    }
    // Last: whoever sees the Cluster finds what it refers to.
    put(client, namespace, &bundle.cluster).await
}

async fn put<K>(client: &Client, namespace: &str, object: &K) -> Outcome
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let mut wanted = serde_json::to_value(object)?;
    if let Some(fields) = wanted.as_object_mut() {
        // Status belongs to the coordinator.
        fields.remove("status");
    }
    wanted["metadata"]["namespace"] = namespace.into();
    let params = PatchParams::apply(keys::MANAGER_CLI).force();
    let name = object.name_any();
    api.patch(&name, &params, &Patch::Apply(&wanted))
        .await
        .map(drop)
        .map_err(|error| match error {
            // Fields of the file that the API refuses, by name.
            kube::Error::Api(status) if status.code == 422 => Failure::BadInput(status.message.clone()),
            error => {
                Failure::Failed(anyhow::Error::from(error).context(format!("apply {} {name}", K::kind(&()))))
            }
        })
}

async fn get<K>(client: &Client, namespace: &str, name: &str) -> Outcome<Option<K>>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    Ok(api.get_opt(name).await?)
}

/// Draws progress until the cluster is ready, has failed, or the user stops watching. What refused it before may be
/// gone, and is believed only when the appliance has looked again.
async fn watch(
    client: &Client,
    checked: &Checked,
    args: &CreateClusterArgs,
    mut screen: Screen,
    refused_before: Option<&str>,
) -> Outcome {
    let begun = Instant::now();
    let name = checked.bundle.name();
    let again = format!(
        "watch it again with: gantry create cluster -f {}",
        args.file.display()
    );
    let limit = args
        .timeout
        .map(|minutes| Instant::now() + Duration::from_secs(minutes * 60));
    let mut told_plan = None;
    let (mut silent_since, mut told_silence) = (None::<Instant>, false);
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        let snapshot = match Snapshot::progress(client, &checked.namespace).await {
            Ok(snapshot) => snapshot,
            // The appliance may be starting anew; the cluster goes on meanwhile.
            Err(error) if silent_since.get_or_insert_with(Instant::now).elapsed() < SILENCE => {
                if !std::mem::replace(&mut told_silence, true) {
                    screen.say(&format!("the appliance does not answer, trying again: {error}"));
                }
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(error) => {
                screen.end();
                return Err(error);
            }
        };
        (silent_since, told_silence) = (None, false);
        if let Some(plan) = snapshot
            .plan_of(&name)
            .filter(|plan| told_plan.as_ref() != Some(&plan.name_any()))
        {
            told_plan = Some(plan.name_any());
            plan_lines(plan).iter().for_each(|line| screen.say(line));
        }
        let view = view(&snapshot, &name, Timestamp::now());
        screen.show(&view);
        match view.verdict {
            Verdict::Ready => {
                screen.end();
                return Ok(());
            }
            Verdict::Refused(reason)
                if refused_before == Some(reason.as_str()) && begun.elapsed() < LOOKED_AGAIN => {}
            Verdict::Failed(reason) | Verdict::Refused(reason) => {
                screen.end();
                return Err(Failure::text(format!(
                    "{name}: {reason}\nmore: gantry explain {name}"
                )));
            }
            Verdict::Going => {}
        }
        if limit.is_some_and(|limit| Instant::now() > limit) {
            screen.end();
            return Err(Failure::text(format!(
                "{name}: not ready in time; it goes on; {again}"
            )));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = &mut stop => {
                screen.end();
                return Err(Failure::Interrupted(format!("{name}: it goes on without you; {again}")));
            }
        }
    }
}

/// Leaves kubeconfig and YAML where EKS Anywhere's users look for them.
async fn finish(client: &Client, checked: &Checked, text: &str, folder: &Path) -> Outcome {
    let name = checked.bundle.name();
    let secret = get::<Secret>(client, &checked.namespace, &format!("{name}-kubeconfig")).await?;
    let kubeconfig = secret
        .and_then(|secret| secret.data?.remove("value"))
        .ok_or_else(|| {
            Failure::text(format!(
                "Secret {name}-kubeconfig has no value; more: gantry explain {name}"
            ))
        })?;
    let path = folder.join(format!("{name}-eks-a-cluster.kubeconfig"));
    output::private_file(&path, &kubeconfig.0)?;
    std::fs::write(folder.join(format!("{name}-eks-a-cluster.yaml")), text)?;
    output::line(format!(
        "{name} is ready: kubectl --kubeconfig {} get nodes",
        path.display()
    ));
    Ok(())
}

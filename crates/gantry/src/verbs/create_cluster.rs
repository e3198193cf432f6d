//! `gantry create cluster -f FILE -z CSV`: check everything, apply everything, then only watch.

mod identity;
mod own_workflows;

use clap::Args;
use cluster_spec::{ClusterBundle, FreeHardware, Hosts, ManagementCluster, Surroundings, Violation};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use resources::anywhere::Cluster;
use resources::gantry::Server;
use resources::tinkerbell::Hardware;
use resources::{bmc, keys};
use std::collections::{BTreeMap, BTreeSet};

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::hardware;
use crate::verbs::cluster_files::{Checked, ClusterFiles, current};
use crate::verbs::eksa_flags::CreateFlags;
use crate::verbs::watching::{Approval, Watching};
use crate::{connection, output};

#[derive(Debug, Args)]
pub(crate) struct CreateClusterArgs {
    #[command(flatten)]
    pub(crate) files: ClusterFiles,
    #[command(flatten)]
    pub(crate) eksa: CreateFlags,
}

pub(crate) async fn run(global: &Global, args: &CreateClusterArgs) -> Outcome {
    args.eksa.judge().settle()?.iter().for_each(output::note);
    let client = connection::connect(global).await?;
    let files = &args.files;
    let mut checked = files.read(&client).await?;
    if args.eksa.skip_ip_check {
        let key = keys::SKIP_IP_CHECK.to_owned();
        checked
            .bundle
            .cluster
            .annotations_mut()
            .insert(key, "true".to_owned());
    }
    let name = checked.bundle.name();
    let known = current(&client, &checked).await?;
    check(&client, &checked, known.as_ref()).await?;
    let watching = Watching {
        client: &client,
        checked: &checked,
        files,
        again: format!("gantry create cluster -f {}", files.file.display()),
        log: format!("{name}-create.log"),
        approval: Approval::Elsewhere,
    };
    watching.apply_and_watch().await
}

/// What can only be checked against the API: changes of fields that never change, and enough hardware.
async fn check(client: &Client, checked: &Checked, known: Option<&ClusterBundle>) -> Outcome {
    let violations = match known {
        Some(known) => cluster_spec::check_update(known, &checked.bundle, &checked.releases),
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

/// Whether the addresses of the cluster and the names of its machines are free, its own workflows can be carried out, and its
/// management cluster is there, by the
/// API and the file; the appliance checks again, with its own address.
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
    let workflows = own_workflows::violations(&checked.bundle, &hardware);
    let mut clusters = Api::<Cluster>::all(client.clone()).list(&all).await?.items;
    let namespace = checked.bundle.cluster.namespace();
    clusters.retain(|other| other.name_any() != checked.bundle.name() || other.namespace() != namespace);
    let clusters: Vec<&Cluster> = clusters.iter().collect();
    let around = Surroundings {
        hosts: &Hosts::new(&hardware, &bmcs),
        clusters: &clusters,
        ..Surroundings::default()
    };
    let mut found = cluster_spec::check_surroundings(&checked.bundle, &around);
    found.extend(workflows);
    match cluster_spec::management_cluster(&checked.bundle.cluster, &clusters) {
        ManagementCluster::Found => {}
        ManagementCluster::Missing(violation) | ManagementCluster::Wrong(violation) => found.push(violation),
    }
    Ok(found)
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

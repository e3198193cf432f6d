//! `gantry explain X`.

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use resources::keys;

use crate::explain::{Evidence, Target, chain, find};
use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::snapshot::Snapshot;
use crate::{connection, output};

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Cluster, machine, server, hardware, workflow, MAC, IP or serial number; `KIND/NAME` when several have the name.
    what: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
}

pub(crate) async fn run(global: &Global, args: &ExplainArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let snapshot = Snapshot::read(&client, &args.namespace).await?;
    let target = target(&snapshot, &args.namespace, &args.what)?;
    let mut evidence = Evidence::default();
    for machine in machines(&snapshot, &target) {
        evidence.add(&client, &machine).await?;
    }
    for line in chain(&snapshot, &evidence, &target, Timestamp::now()) {
        output::line(format!("{}{}", "  ".repeat(line.depth), line.text));
    }
    Ok(())
}

/// Who is meant.
pub(super) fn target(snapshot: &Snapshot, namespace: &str, what: &str) -> Outcome<Target> {
    find(snapshot, what).ok_or_else(|| {
        let names: Vec<String> = snapshot.clusters.iter().map(ResourceExt::name_any).collect();
        let hosts: Vec<String> = snapshot.hardware.iter().map(ResourceExt::name_any).collect();
        Failure::BadInput(format!(
            "nothing in {namespace} is called {what:?}; clusters: {}; hardware: {}",
            names.join(", "),
            hosts.join(", ")
        ))
    })
}

/// Keys of the records that belong to the target.
fn machines(snapshot: &Snapshot, target: &Target) -> Vec<String> {
    match target {
        Target::Cluster(name) => {
            let machines = snapshot.provider_machines_of(name);
            machines
                .iter()
                .filter_map(|machine| machine.status.as_ref()?.host.clone())
                .collect()
        }
        Target::Server(name) => vec![name.clone()],
        Target::ProviderMachine(_) => Vec::new(),
        Target::Unknown(address) => vec![address.clone()],
    }
}

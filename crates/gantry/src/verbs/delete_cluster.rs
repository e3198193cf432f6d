//! `gantry delete cluster NAME`: delete the object, then watch its machines being given back.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams};
use resources::anywhere::Cluster;
use resources::keys;

use crate::cli::Global;
use crate::failure::{Failure, Outcome};
use crate::progress::{Screen, view};
use crate::snapshot::Snapshot;
use crate::verbs::eksa_flags::DeleteFlags;
use crate::{connection, output};

const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct DeleteClusterArgs {
    /// Name of the cluster.
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// Take the name from this YAML file.
    #[arg(short = 'f', long = "filename", value_name = "FILE", conflicts_with = "name")]
    file: Option<PathBuf>,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Return once the deletion is asked for.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    pub(crate) eksa: DeleteFlags,
}

pub(crate) async fn run(global: &Global, args: &DeleteClusterArgs) -> Outcome {
    args.eksa.judge().settle()?.iter().for_each(output::note);
    let name = match (&args.name, &args.file) {
        (Some(name), _) => name.clone(),
        (None, Some(file)) => name_in(file)?,
        (None, None) => return Err(Failure::BadInput("name a cluster".to_owned())),
    };
    let client = connection::connect(global).await?;
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), &args.namespace);
    match clusters.delete(&name, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {
            return Err(Failure::text(format!(
                "there is no cluster {name} in {}; see: gantry get clusters -A",
                args.namespace
            )));
        }
        Err(error) => return Err(error.into()),
    }
    if args.no_wait {
        output::line(format!("{name}: being deleted"));
        return Ok(());
    }
    let mut screen = Screen::new(None);
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        let snapshot = Snapshot::progress(&client, &args.namespace).await?;
        let machines = snapshot.provider_machines_of(&name);
        if snapshot.cluster(&name).is_none() && machines.is_empty() {
            break;
        }
        screen.show(&view(&snapshot, &name, Timestamp::now()));
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = &mut stop => {
                screen.end();
                return Err(Failure::Interrupted(format!("{name}: the deletion goes on without you")));
            }
        }
    }
    screen.end();
    output::line(format!("{name}: deleted; its servers are powered off and free"));
    Ok(())
}

fn name_in(file: &std::path::Path) -> Outcome<String> {
    let bad = |reason: String| Failure::BadInput(format!("{}: {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| bad(error.to_string()))?;
    let cluster = documents.iter().find(|document| document["kind"] == "Cluster");
    let name = cluster.and_then(|cluster| cluster["metadata"]["name"].as_str());
    name.map(str::to_owned)
        .ok_or_else(|| bad("no Cluster with a name".to_owned()))
}

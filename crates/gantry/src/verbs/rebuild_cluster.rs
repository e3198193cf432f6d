//! `gantry rebuild cluster -f FILE -z CSV --pki DIRECTORY`: an appliance without data takes over a cluster that runs.
//!
//! Everything is checked before anything is written: the files, the keys against each other, and the keys against the cluster, which
//! has to let in the administrator that they make. Then, in this order: the hardware, each of its servers marked as one that may
//! be in use; the keys; the ControlPlane, which says that the cluster exists and which of its nodes are to become machines; the
//! documents. From the first of these objects on nothing can be installed on the cluster's machines, and nobody starts the cluster
//! a second time.

mod keys_of_cluster;
mod marks;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use resources::anywhere::Cluster;
use resources::gantry::{Adoption, ControlPlane, ControlPlaneSpec, Founder};
use resources::{Time, keys};

use self::keys_of_cluster::KeysOfCluster;
use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::progress::Screen;
use crate::verbs::cluster_files::{Checked, ClusterFiles, apply, get};
use crate::{connection, hardware, output};

/// Label of nodes of the control plane.
const CONTROL_PLANE_NODE: &str = "node-role.kubernetes.io/control-plane";

#[derive(Debug, Args)]
#[command(
    after_help = "DIRECTORY is a copy of /etc/kubernetes/pki of a machine of the control plane:\n  ssh node-1 sudo tar -c -C \
                  /etc/kubernetes pki | tar -x\nKeep it as safe as the cluster, and delete it afterwards.\n\nExamples:\n  gantry \
                  rebuild cluster -f prod.yaml -z hardware.csv --pki ./pki"
)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    files: ClusterFiles,
    /// Copy of /etc/kubernetes/pki of a machine of the control plane.
    #[arg(long, value_name = "DIRECTORY")]
    pki: PathBuf,
}

/// What the cluster says of itself.
struct Seen {
    /// The wish for each node.
    wishes: BTreeMap<String, Adoption>,
    /// The oldest node of the control plane, and when it registered.
    oldest: (String, Time),
}

pub(crate) async fn run(global: &Global, args: &RebuildArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let checked = args.files.read(&client).await?;
    let (namespace, name) = (&checked.namespace, checked.bundle.name());
    let Some(csv) = &checked.csv else {
        return Err(Failure::BadInput(
            "the hardware of the cluster's machines is needed: -z hardware.csv".to_owned(),
        ));
    };
    let keys = KeysOfCluster::read(&args.pki)?;
    let seen = look(&keys, &checked, &name).await?;
    let known = get::<ControlPlane>(&client, namespace, &name).await?;
    refuse_known(&client, &checked, &name, known.as_ref()).await?;

    let mut screen = Screen::new(None);
    if known.is_none() {
        let diff = hardware::compare(&client, namespace, csv).await?;
        marks::mark_namespace(&client, namespace).await?;
        for line in hardware::apply(&client, namespace, csv, &diff, false).await? {
            screen.say(&format!("hardware {line}"));
        }
        marks::mark_servers(&client, namespace, csv).await?;
        screen.say(&format!(
            "{} servers are neither powered nor installed until their nodes are adopted, or gantry verify server",
            csv.rows.len()
        ));
        keys.write(&client, namespace, &name).await?;
        make_control_plane(&client, namespace, &checked, &name, seen).await?;
    }
    apply(&client, &checked, &mut screen).await?;
    screen.end();
    output::line(format!(
        "{name}: its nodes are being adopted; to watch: gantry explain {name}"
    ));
    for (node, why) in adopted(&client, namespace, &name).await? {
        output::note(format!("{node} is not adopted: {why}"));
    }
    Ok(())
}

/// A cluster that this appliance manages is not rebuilt. What an earlier run of the command has begun goes on.
async fn refuse_known(
    client: &Client,
    checked: &Checked,
    name: &str,
    known: Option<&ControlPlane>,
) -> Outcome {
    let namespace = &checked.namespace;
    let cluster = get::<Cluster>(client, namespace, name).await?;
    let begun = known.is_some_and(|known| known.labels().contains_key(keys::REBUILT));
    match (cluster, known) {
        (None, None) => Ok(()),
        _ if begun => Ok(()),
        _ => Err(Failure::text(format!(
            "the appliance knows cluster {name} in {namespace} already, so it is not rebuilt; a node that is no machine of it: gantry \
             adopt machine NODE --cluster {name}"
        ))),
    }
}

/// Asks the cluster, as the administrator that its keys make.
async fn look(keys: &KeysOfCluster, checked: &Checked, name: &str) -> Outcome<Seen> {
    let endpoint = &checked.bundle.cluster.spec.control_plane_configuration.endpoint;
    let host = endpoint.as_ref().map_or("", |endpoint| endpoint.host.as_str());
    let cluster = keys.client(&format!("https://{host}:6443"), name).await?;
    let nodes: Api<Node> = Api::all(cluster);
    seen(&nodes.list(&ListParams::default()).await?.items).map_err(Failure::text)
}

/// The wishes for these nodes.
fn seen(nodes: &[Node]) -> Result<Seen, String> {
    let address = |node: &Node| {
        let addresses = node.status.as_ref()?.addresses.as_ref()?;
        let internal = addresses.iter().find(|address| address.type_ == "InternalIP")?;
        Some(internal.address.clone())
    };
    let of_control_plane = |node: &&Node| node.labels().contains_key(CONTROL_PLANE_NODE);
    let wish = |node: &Node| Adoption {
        address: address(node).filter(|_| of_control_plane(&node)),
        ..Adoption::default()
    };
    let registered = |node: &&Node| node.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let oldest = nodes.iter().filter(of_control_plane).min_by_key(registered);
    let Some(oldest) = oldest else {
        return Err(format!(
            "none of the {} nodes of the cluster has the label {CONTROL_PLANE_NODE}, so that nobody knows where its etcd runs",
            nodes.len()
        ));
    };
    Ok(Seen {
        wishes: nodes.iter().map(|node| (node.name_any(), wish(node))).collect(),
        oldest: (
            oldest.name_any(),
            Time(registered(&oldest).unwrap_or(Timestamp::UNIX_EPOCH)),
        ),
    })
}

/// Says that the cluster exists before its documents do: whoever sees these starts none.
async fn make_control_plane(
    client: &Client,
    namespace: &str,
    checked: &Checked,
    name: &str,
    seen: Seen,
) -> Outcome {
    let spec = &checked.bundle.cluster.spec;
    let (machine, requested_at) = seen.oldest;
    let mut object = ControlPlane::new(
        name,
        ControlPlaneSpec {
            cluster_uid: uuid::Uuid::new_v4().to_string(),
            replicas: spec.control_plane_configuration.count,
            version: String::new(),
            initialized_by: Some(Founder {
                machine,
                machine_uid: String::new(),
                requested_at,
                answered_at: Some(Time(Timestamp::now())),
                restored_from: None,
            }),
            adoptions: seen.wishes,
            ..ControlPlaneSpec::default()
        },
    );
    for (label, value) in [(keys::CLUSTER_NAME, name), (keys::REBUILT, "true")] {
        object.labels_mut().insert(label.to_owned(), value.to_owned());
    }
    let api: Api<ControlPlane> = Api::namespaced(client.clone(), namespace);
    let params = PostParams {
        field_manager: Some(keys::MANAGER_CLI.to_owned()),
        ..PostParams::default()
    };
    api.create(&params, &object).await?;
    Ok(())
}

/// What was refused by the time that nothing is open any more, or a quarter of an hour later.
async fn adopted(client: &Client, namespace: &str, name: &str) -> Outcome<BTreeMap<String, String>> {
    let begun = std::time::Instant::now();
    loop {
        let known = get::<ControlPlane>(client, namespace, name).await?;
        let Some(known) = known else {
            return Err(Failure::text(format!("ControlPlane {name} was deleted")));
        };
        let waits = known.status.map(|status| status.adoptions).unwrap_or_default();
        let open = |(node, wish): (&String, &Adoption)| {
            let waits = waits.get(node).map_or("it is not looked at yet", String::as_str);
            (
                node.clone(),
                wish.refused.clone().unwrap_or_else(|| waits.to_owned()),
            )
        };
        let left: BTreeMap<String, String> = known.spec.adoptions.iter().map(open).collect();
        let refused = known.spec.adoptions.values().all(|wish| wish.refused.is_some());
        if refused || begun.elapsed() > PATIENCE {
            return Ok(left);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How long adoptions are watched: drivers wait for evidence for ten minutes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15 * 60);
const LOOK: std::time::Duration = std::time::Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, address: &str, member: bool, second: u8) -> Node {
        let labels = if member {
            json!({ CONTROL_PLANE_NODE: "" })
        } else {
            json!({})
        };
        serde_json::from_value(json!({
            "metadata": { "name": name, "labels": labels, "creationTimestamp": format!("2026-01-01T00:00:0{second}Z") },
            "status": { "addresses": [
                { "type": "Hostname", "address": name }, { "type": "InternalIP", "address": address },
            ] },
        }))
        .unwrap()
    }

    #[test]
    fn every_node_is_to_become_a_machine_and_etcd_is_asked_at_those_of_the_control_plane() {
        let nodes = [
            node("node-b", "192.0.2.12", true, 2),
            node("node-a", "192.0.2.11", true, 1),
            node("node-c", "192.0.2.13", false, 0),
        ];
        let seen = seen(&nodes).unwrap();
        assert_eq!(seen.oldest.0, "node-a", "of the control plane");
        let address = |name: &str| seen.wishes[name].address.clone();
        assert_eq!(address("node-a").as_deref(), Some("192.0.2.11"));
        assert_eq!(address("node-b").as_deref(), Some("192.0.2.12"));
        assert_eq!(address("node-c"), None);
        assert!(
            seen.wishes
                .values()
                .all(|wish| wish.refused.is_none() && wish.pool.is_none())
        );
    }

    #[test]
    fn a_cluster_without_nodes_of_a_control_plane_is_refused() {
        let refused = seen(&[node("node-c", "192.0.2.13", false, 0)]).err().unwrap();
        assert!(refused.contains("none of the 1 nodes"), "{refused}");
    }
}

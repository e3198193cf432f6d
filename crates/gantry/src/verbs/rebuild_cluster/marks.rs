//! Servers that may be in use: imported, and left alone until somebody knows better.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use resources::gantry::{Restored, Server};
use resources::{Time, keys};
use serde_json::json;

use crate::connection;
use crate::failure::{Failure, Outcome};
use crate::hardware::Csv;

/// How long the appliance may take to make a Server of a Hardware.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);

fn mark() -> Restored {
    Restored {
        backup_at: None,
        at: Time(Timestamp::now()),
    }
}

/// Has servers marked whose hardware is imported from now on.
pub(super) async fn mark_namespace(client: &Client, namespace: &str) -> Outcome {
    let api: Api<Namespace> = Api::all(client.clone());
    let mark = serde_json::to_string(&mark())?;
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": namespace, "annotations": { keys::RESTORED: mark } },
    });
    let params = PatchParams::apply(keys::MANAGER_CLI).force();
    api.patch(namespace, &params, &Patch::Apply(&object)).await?;
    Ok(())
}

/// Sees to it that each server of the file carries the mark: the appliance may have made one before it saw that of the
/// Namespace. A server that somebody has is left as it is.
pub(super) async fn mark_servers(client: &Client, namespace: &str, csv: &Csv) -> Outcome {
    let api: Api<Server> = Api::namespaced(client.clone(), namespace);
    let begun = Instant::now();
    for row in &csv.rows {
        let name = row.hostname.as_str();
        let server = loop {
            if let Some(server) = api.get_opt(name).await? {
                break server;
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::text(format!(
                    "the appliance has made no server of hardware {name} within {} s; does gantry serve run? The same command again \
                     continues",
                    PATIENCE.as_secs()
                )));
            }
            tokio::time::sleep(LOOK).await;
        };
        if server.spec.restored.is_none() && server.spec.claim.is_none() {
            let patch = json!({ "spec": { "restored": mark() } });
            api.patch(name, &connection::patch_params(), &Patch::Merge(patch))
                .await?;
        }
    }
    Ok(())
}

//! Import of a hardware CSV: read everything, compare with what exists, then apply; nothing is applied if one row is
//! bad.

mod import;

use std::collections::HashMap;
use std::path::Path;

use hardware_csv::{Diff, Existing, Row};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, ObjectList};
use kube::{Client, Resource, ResourceExt};
use resources::bmc::Machine;
use resources::gantry::Server;
use resources::keys;
use resources::tinkerbell::Hardware;

use crate::failure::{Failure, Outcome};
use crate::output;
use import::Import;
pub(crate) use import::keep;

/// A file that was read and has no fault.
#[derive(Debug)]
pub(crate) struct Csv {
    /// The file's name: rows that are gone from it are found by it.
    pub(crate) source: String,
    pub(crate) rows: Vec<Row>,
}

/// Reads a file; all faults at once. Remarks go to standard error.
pub(crate) fn read(path: &Path) -> Outcome<Csv> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| Failure::BadInput(format!("{name}: {error}")))?;
    let rows = hardware_csv::parse(&bytes, &name).map_err(|faults| Failure::BadInput(faults.to_string()))?;
    for remark in hardware_csv::unknown_columns(&bytes)
        .into_iter()
        .chain(hardware_csv::warnings(&rows))
    {
        output::note(format!("remark: {name}: {remark}"));
    }
    Ok(Csv { source: name, rows })
}

/// What importing would do.
pub(crate) async fn compare(client: &Client, namespace: &str, csv: &Csv) -> Outcome<Diff> {
    let existing = existing(client, namespace, csv).await?;
    let diff = hardware_csv::diff(&existing, &csv.rows, namespace, &csv.source);
    if diff.clashes.is_empty() {
        return Ok(diff);
    }
    let lines = diff.clashes.iter().map(|clash| {
        format!(
            "{}: row {}, column {}, value {:?}: {} has it already; change the row, or delete that hardware",
            csv.source, clash.row, clash.column, clash.value, clash.other
        )
    });
    Err(Failure::BadInput(lines.collect::<Vec<_>>().join("\n")))
}

/// Hardware with its BMC, and who has it, by the claims of the servers and the labels.
async fn existing(client: &Client, namespace: &str, csv: &Csv) -> Outcome<Vec<Existing>> {
    let everything = ListParams::default();
    let hardware: Api<Hardware> = Api::namespaced(client.clone(), namespace);
    let servers: Api<Server> = Api::namespaced(client.clone(), namespace);
    let mut claims: HashMap<String, String> = servers
        .list(&everything)
        .await?
        .into_iter()
        .filter_map(|server| Some((server.spec.hardware.clone(), server.spec.claim?.name)))
        .collect();
    let (mut bmcs, mut secrets) = (HashMap::new(), HashMap::new());
    if csv.rows.iter().any(|row| row.bmc.is_some()) {
        let label = hardware_csv::source_label(&csv.source);
        let imported = ListParams::default().labels(&format!("{}={label}", keys::IMPORTED_FROM));
        bmcs = by_name(
            Api::<Machine>::namespaced(client.clone(), namespace)
                .list(&imported)
                .await?,
        );
        secrets = by_name(
            Api::<Secret>::namespaced(client.clone(), namespace)
                .list(&imported)
                .await?,
        );
    }
    let list = hardware.list(&everything).await?;
    let existing = list.into_iter().map(|hardware| {
        let name = hardware.name_any();
        let mut known = Existing::new(hardware);
        known.owner = claims.remove(&name).or(known.owner);
        known.bmc = bmcs.remove(&format!("bmc-{name}"));
        known.secret = secrets.remove(&format!("bmc-{name}-auth"));
        known
    });
    Ok(existing.collect())
}

fn by_name<K: Resource + Clone>(list: ObjectList<K>) -> HashMap<String, K> {
    let named = list.items.into_iter().map(|object| (object.name_any(), object));
    named.collect()
}

/// Applies every row, then removes free rows that are gone when `prune` is set. Returns lines for people.
pub(crate) async fn apply(
    client: &Client,
    namespace: &str,
    csv: &Csv,
    diff: &Diff,
    prune: bool,
) -> Outcome<Vec<String>> {
    if prune && !diff.gone_in_use.is_empty() {
        let names: Vec<String> = diff
            .gone_in_use
            .iter()
            .map(|change| format!("{} (of {})", change.name, change.owner.as_deref().unwrap_or("?")))
            .collect();
        return Err(Failure::BadInput(format!(
            "{}: these machines are gone from the file but in use: {}; delete or scale down their cluster first, or \
             put the rows back; nothing was changed",
            csv.source,
            names.join(", ")
        )));
    }
    Import::new(client, namespace, diff)
        .run(&csv.source, &csv.rows)
        .await?;
    let mut lines = told(diff);
    if prune {
        for name in &diff.gone_free {
            remove(client, namespace, name).await?;
            lines.push(format!("{name}: removed, it is gone from the file"));
        }
    } else if !diff.gone_free.is_empty() {
        lines.push(format!(
            "gone from the file, but kept: {} (--prune removes them)",
            diff.gone_free.join(", ")
        ));
    }
    Ok(lines)
}

fn told(diff: &Diff) -> Vec<String> {
    let mut lines: Vec<String> = diff
        .create
        .iter()
        .map(|name| format!("{name}: created"))
        .collect();
    for change in &diff.update {
        let owner = change.owner.as_ref().map_or(String::new(), |owner| {
            format!(" (in use by {owner}: the change counts at its next installation)")
        });
        lines.push(format!("{}: updated{owner}", change.name));
    }
    lines.extend(diff.update_bmc.iter().map(|name| format!("{name}: BMC updated")));
    if !diff.unchanged.is_empty() {
        lines.push(format!("{} unchanged", diff.unchanged.len()));
    }
    if !diff.gone_in_use.is_empty() {
        let names: Vec<&str> = diff
            .gone_in_use
            .iter()
            .map(|change| change.name.as_str())
            .collect();
        lines.push(format!(
            "gone from the file, but in use and kept: {}",
            names.join(", ")
        ));
    }
    lines
}

async fn remove(client: &Client, namespace: &str, name: &str) -> Outcome {
    let params = DeleteParams::default();
    let hardware: Api<Hardware> = Api::namespaced(client.clone(), namespace);
    let bmcs: Api<Machine> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    gone(hardware.delete(name, &params).await)?;
    gone(bmcs.delete(&format!("bmc-{name}"), &params).await)?;
    gone(secrets.delete(&format!("bmc-{name}-auth"), &params).await)
}

/// What is gone already is as good as deleted.
fn gone<T>(result: kube::Result<T>) -> Outcome {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;

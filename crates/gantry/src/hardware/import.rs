//! Rows on their way to the server, many in one request.

use std::collections::HashSet;

use futures::stream::{self, FuturesUnordered, StreamExt as _, TryStreamExt as _};
use hardware_csv::{Diff, Row, RowObjects};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::{Client, Resource};
use resources::bmc::Machine;
use resources::tinkerbell::Hardware;
use serde::Serialize;

use crate::apply_list::{self, ListError};
use crate::failure::{Failure, Outcome};

/// Rows that go to the server together.
const TOGETHER: usize = 256;
/// How many times so many are on their way at once: while the server works on one, the next one is made.
const AT_ONCE: usize = 3;
/// Machines that are read at once before they are changed.
const READS: usize = 64;

/// Brings rows to the server.
pub(super) struct Import<'a> {
    client: &'a Client,
    namespace: &'a str,
    new: HashSet<&'a str>,
    /// Those whose Hardware changes.
    changed: HashSet<&'a str>,
    unchanged: HashSet<&'a str>,
}

/// A row that the server did not take.
struct RowFailure {
    line: u64,
    text: String,
}

impl RowFailure {
    fn new(row: &Row, reason: impl std::fmt::Display) -> Self {
        Self {
            line: row.line,
            text: format!("row {} ({}): {reason}", row.line, row.hostname),
        }
    }
}

/// What is sent for some rows.
#[derive(Default)]
struct Batch<'a> {
    secrets: Vec<(&'a Row, Secret)>,
    bmcs: Vec<(&'a Row, Machine)>,
    hardware: Vec<(&'a Row, Hardware)>,
}

impl<'a> Import<'a> {
    pub(super) fn new(client: &'a Client, namespace: &'a str, diff: &'a Diff) -> Self {
        Self {
            client,
            namespace,
            new: diff.create.iter().map(String::as_str).collect(),
            changed: diff.update.iter().map(|change| change.name.as_str()).collect(),
            unchanged: diff.unchanged.iter().map(String::as_str).collect(),
        }
    }

    /// Begins no further rows after one that failed.
    pub(super) async fn run(&self, source: &str, rows: &[Row]) -> Outcome {
        let objects = hardware_csv::to_objects(rows, self.namespace, source);
        let mut differing = rows
            .iter()
            .zip(objects)
            .filter(|(row, _)| !self.unchanged.contains(row.hostname.as_str()))
            .peekable();
        let mut under_way = FuturesUnordered::new();
        let mut failures = Vec::new();
        loop {
            while failures.is_empty() && under_way.len() < AT_ONCE && differing.peek().is_some() {
                let batch = self.batch(differing.by_ref().take(TOGETHER));
                under_way.push(self.send(batch));
            }
            match under_way.next().await {
                None => break,
                Some(refused) => failures.extend(refused),
            }
        }
        if failures.is_empty() {
            return Ok(());
        }
        failures.sort_by_key(|failure: &RowFailure| failure.line);
        let lines = failures
            .iter()
            .map(|failure| format!("{source}: {}", failure.text));
        let mut lines: Vec<String> = lines.collect();
        lines.push(
            "run the command again when that is fixed: rows that are imported stay as they are".to_owned(),
        );
        Err(Failure::text(lines.join("\n")))
    }

    fn batch<'r>(&self, rows: impl Iterator<Item = (&'r Row, RowObjects)>) -> Batch<'r> {
        let mut batch = Batch::default();
        for (row, objects) in rows {
            batch.secrets.extend(objects.secret.map(|secret| (row, secret)));
            batch.bmcs.extend(objects.bmc.map(|bmc| (row, bmc)));
            let name = row.hostname.as_str();
            if self.new.contains(name) || self.changed.contains(name) {
                batch.hardware.push((row, objects.hardware));
            }
        }
        batch
    }

    /// BMC and password first: whoever sees the Hardware finds what it names.
    async fn send(&self, batch: Batch<'_>) -> Vec<RowFailure> {
        let Batch {
            secrets,
            bmcs,
            hardware,
        } = batch;
        let failures = self.apply(secrets).await;
        if !failures.is_empty() {
            return failures;
        }
        let failures = self.apply(bmcs).await;
        if !failures.is_empty() {
            return failures;
        }
        match self.kept(hardware).await {
            Ok(hardware) => self.apply(hardware).await,
            Err(failure) => vec![failure],
        }
    }

    /// Machines that exist, as they are now, keep what an import does not change.
    async fn kept<'r>(
        &self,
        hardware: Vec<(&'r Row, Hardware)>,
    ) -> Result<Vec<(&'r Row, Hardware)>, RowFailure> {
        let api: Api<Hardware> = Api::namespaced(self.client.clone(), self.namespace);
        let kept = stream::iter(hardware).map(async |(row, mut wanted)| {
            if self.changed.contains(row.hostname.as_str()) {
                let known = api.get_opt(&row.hostname).await;
                let known = known.map_err(|error| RowFailure::new(row, causes::line(&error)))?;
                known.iter().for_each(|known| keep(&mut wanted, known));
            }
            Ok((row, wanted))
        });
        kept.buffered(READS).try_collect().await
    }

    async fn apply<K>(&self, objects: Vec<(&Row, K)>) -> Vec<RowFailure>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let (rows, objects): (Vec<&Row>, Vec<K>) = objects.into_iter().unzip();
        let failure = |index: usize, text| rows.get(index).map(|row| RowFailure::new(row, text));
        match apply_list::apply_list(self.client, self.namespace, &objects).await {
            Ok(()) => Vec::new(),
            Err(ListError::Refused(refused)) => {
                let failures = refused
                    .into_iter()
                    .filter_map(|one| failure(one.index, one.message));
                failures.collect()
            }
            Err(ListError::Failed(first, error)) => {
                let text = format!("this row and those behind it: {}", causes::line(&error));
                failure(first, text).into_iter().collect()
            }
        }
    }
}

/// Keeps what an import does not change: allowPXE, which the workflow engine switches, and the BMC of a row that names
/// none, for a machine without its BMC can no longer be switched off.
pub(crate) fn keep(wanted: &mut Hardware, known: &Hardware) {
    if wanted.spec.bmc_ref.is_none() {
        wanted.spec.bmc_ref.clone_from(&known.spec.bmc_ref);
    }
    for (wanted, known) in wanted.spec.interfaces.iter_mut().zip(&known.spec.interfaces) {
        if let (Some(wanted), Some(known)) = (&mut wanted.netboot, &known.netboot) {
            wanted.allow_pxe = known.allow_pxe;
        }
    }
}

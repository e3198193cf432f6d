//! The failed attempt on the Server, with the evidence of it that is gone soon: its Workflow is removed and its boot
//! session forgotten when the Server is given back, and its log is a ring.

use compare_and_set::Change;
use jiff::Timestamp;
use kube::ResourceExt as _;
use resources::gantry::{InstallationFailure, Server};
use resources::{ActionLog, Time};
use serde::Deserialize;
use serde_json::json;

use super::driver::Driver;
use crate::error::Error;
use crate::snapshot::Snapshot;

/// The last installation of a server that failed.
const LAST_FAILURE: [&str; 2] = ["spec", "lastFailure"];
/// Lines of its actions that are kept.
const LINES: usize = 20;
/// Longest line that is kept, in characters.
const LINE: usize = 240;
/// Records of the machine that are looked through for them.
const RECORDS: usize = 200;

impl Driver {
    pub(super) async fn record_failure(
        &self,
        snapshot: &Snapshot,
        attempt: u64,
        reason: String,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(server) = snapshot.claimed() else {
            return Ok(());
        };
        let workflow = snapshot.workflow_of_status().unwrap_or_default();
        let first_boot = snapshot.first_boot().and_then(|first| first.failure.as_ref());
        let log = match first_boot {
            Some(failure) => failure.lines.clone(),
            None => self.log_or_none(server, workflow).await,
        };
        let status = server.status.as_ref();
        let session = status.and_then(|status| status.boot_session.as_ref());
        let mut session = session.filter(|session| session.attempt == attempt).cloned();
        if let Some(claim) = session.as_mut().and_then(|session| session.claim.as_mut()) {
            claim.certificate.clear();
        }
        let before = server.spec.last_failure.as_ref().map_or(0, |last| last.count);
        let failure = InstallationFailure {
            attempt,
            workflow: workflow.to_owned(),
            owner: snapshot.machine.name_any(),
            at: Time(now),
            reason,
            count: before.saturating_add(1),
            power: status.and_then(|status| status.power.clone()),
            boot_session: session,
            log,
        };
        self.set(snapshot, server, Change::set(&LAST_FAILURE, json!(failure)))
            .await
    }

    pub(super) async fn clear_failure(&self, snapshot: &Snapshot) -> Result<(), Error> {
        match snapshot.claimed() {
            Some(server) => self.set(snapshot, server, Change::remove(&LAST_FAILURE)).await,
            None => Ok(()),
        }
    }

    /// Records are evidence; what follows does not depend on them.
    async fn log_or_none(&self, server: &Server, workflow: &str) -> Vec<String> {
        match self.log(server, workflow).await {
            Ok(log) => log,
            Err(error) => {
                tracing::warn!(machine = %server.name_any(), error = %causes::line(&error), "no action log for the failure");
                Vec::new()
            }
        }
    }

    /// The last lines that the actions of this Workflow printed.
    async fn log(&self, server: &Server, workflow: &str) -> kube::Result<Vec<String>> {
        let uri = format!(
            "/apis/records.gantry.dev/v1alpha1/actionlogs?limit={RECORDS}&fieldSelector=machine%3D{}",
            server.name_any()
        );
        let request = http::Request::get(uri).body(Vec::new());
        let request = request.map_err(kube::Error::HttpError)?;
        let list: List = self.client.request(request).await?;
        let of = format!("{}/{workflow}", server.namespace().unwrap_or_default());
        Ok(lines(&list.items, &of))
    }
}

/// Records as the API lists them, oldest first.
#[derive(Deserialize)]
struct List {
    items: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    data: ActionLog,
}

fn lines(records: &[Record], workflow: &str) -> Vec<String> {
    let of_workflow = records.iter().filter(|record| record.data.workflow == workflow);
    let lines: Vec<String> = of_workflow
        .map(|record| {
            let line = format!("{}: {}", record.data.action, record.data.text);
            line.chars().take(LINE).collect()
        })
        .collect();
    let surplus = lines.len().saturating_sub(LINES);
    lines.into_iter().skip(surplus).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_the_workflow_and_no_others() {
        let record = |workflow: &str, text: String| Record {
            data: ActionLog {
                workflow: workflow.into(),
                action: "stream".into(),
                percent: None,
                text,
            },
        };
        let mut records: Vec<Record> = (0..30)
            .map(|number| record("n/w", format!("line {number}")))
            .collect();
        records.push(record("n/other", "not ours".into()));
        records.push(record("n/w", "x".repeat(1000)));
        let lines = lines(&records, "n/w");
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[0], "stream: line 11");
        assert_eq!(lines[LINES - 1].chars().count(), LINE);
    }
}

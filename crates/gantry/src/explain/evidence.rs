//! Records that belong to machines: the last boot events, the last lines of actions.

use std::collections::BTreeMap;

use http::Request;
use jiff::Timestamp;
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Outcome;

/// How many records are asked for.
const LAST: usize = 200;

/// Records by the key of the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// Boot events, newest first.
    pub(crate) boot: BTreeMap<String, Vec<Record>>,
    /// Lines of actions, newest first.
    pub(crate) actions: BTreeMap<String, Vec<Record>>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) machine: String,
    pub(crate) time: Timestamp,
    pub(crate) data: Value,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Record>,
}

impl Evidence {
    /// Reads the newest records of a machine; of a stranger by MAC or IP.
    pub(crate) async fn add(&mut self, client: &Client, machine: &str) -> Outcome {
        self.boot.insert(
            machine.to_owned(),
            records(client, "bootevents", machine, LAST).await?,
        );
        self.actions.insert(
            machine.to_owned(),
            records(client, "actionlogs", machine, LAST).await?,
        );
        Ok(())
    }
}

/// The newest records of a machine, so many at most, newest first.
pub(crate) async fn records(
    client: &Client,
    plural: &str,
    machine: &str,
    limit: usize,
) -> Outcome<Vec<Record>> {
    // The label value of a MAC has no colons, so the field is asked for.
    let uri = format!(
        "/apis/records.gantry.dev/v1alpha1/{plural}?limit={limit}&fieldSelector=machine%3D{}",
        machine.replace(':', "%3A")
    );
    let list: List = client.request(Request::get(uri).body(Vec::new())?).await?;
    Ok(newest_first(list.items))
}

/// The API lists records oldest first. Lines of one report have the same time, so their order is all that tells which is newer.
fn newest_first(mut items: Vec<Record>) -> Vec<Record> {
    items.reverse();
    items.sort_by_key(|record| std::cmp::Reverse(record.time));
    items
}

impl Record {
    /// A text of the record's content.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.data.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_of_one_report_keep_their_order() {
        let record = |second: i64, text: &str| Record {
            machine: "node-1".to_owned(),
            time: Timestamp::from_second(second).unwrap(),
            data: json!({"text": text}),
        };
        let listed = vec![record(1, "a"), record(2, "b"), record(2, "c"), record(2, "d")];
        let newest = newest_first(listed);
        let texts: Vec<&str> = newest.iter().map(|record| record.text("text")).collect();
        assert_eq!(texts, ["d", "c", "b", "a"]);
    }
}

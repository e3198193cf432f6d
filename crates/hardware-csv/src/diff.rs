//! A file compared with what was imported before.

use std::collections::BTreeSet;

use kube::ResourceExt;
use resources::keys;
use resources::tinkerbell::Hardware;
use serde_json::Value;

use crate::objects::{source_label, to_objects};
use crate::row::Row;

/// A Hardware that exists, and who uses it.
#[derive(Debug, Clone)]
pub struct Existing {
    /// The object.
    pub hardware: Hardware,
    /// Who has it; `None` when it is free.
    pub owner: Option<String>,
}

impl Existing {
    /// Takes the owner from the label that Cluster API's provider and Gantry keep on the Hardware.
    #[must_use]
    pub fn new(hardware: Hardware) -> Self {
        let owner = hardware.labels().get(keys::OWNER_NAME).cloned();
        Self { hardware, owner }
    }
}

/// A machine that changes or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Name of the Hardware.
    pub name: String,
    /// Who has it.
    pub owner: Option<String>,
}

/// A row that asks for an address that another machine, not in the file, has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Line of the row.
    pub row: u64,
    /// What is the same: `mac` or `ip_address`.
    pub column: &'static str,
    /// The value.
    pub value: String,
    /// Name of the Hardware that has it.
    pub other: String,
}

/// What importing the file would do. Names are in the order of rows, then of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// New machines.
    pub create: Vec<String>,
    /// Known machines whose fields differ.
    pub update: Vec<Change>,
    /// Known machines that stay as they are.
    pub unchanged: Vec<String>,
    /// Free machines that came from this file and are not in it any more; pruning removes them.
    pub gone_free: Vec<String>,
    /// The same, but in use: never removed.
    pub gone_in_use: Vec<Change>,
    /// Rows that cannot be imported beside what exists.
    pub clashes: Vec<Clash>,
}

/// Compares. `existing` is all Hardware of the namespace.
#[must_use]
pub fn diff(existing: &[Existing], rows: &[Row], namespace: &str, source: &str) -> Diff {
    let mut found = Diff::default();
    let named: BTreeSet<&str> = rows.iter().map(|row| row.hostname.as_str()).collect();
    for (row, wanted) in rows.iter().zip(to_objects(rows, namespace, source)) {
        match existing
            .iter()
            .find(|known| known.hardware.name_any() == row.hostname)
        {
            None => found.create.push(row.hostname.clone()),
            Some(known) if same(&wanted.hardware, &known.hardware) => {
                found.unchanged.push(row.hostname.clone())
            }
            Some(known) => {
                found.update.push(Change {
                    name: row.hostname.clone(),
                    owner: known.owner.clone(),
                });
            }
        }
        let others = existing
            .iter()
            .filter(|known| !named.contains(known.hardware.name_any().as_str()));
        found
            .clashes
            .extend(others.flat_map(|known| clashes(row, &known.hardware)));
    }
    let label = source_label(source);
    let mut gone: Vec<&Existing> = existing
        .iter()
        .filter(|known| known.hardware.labels().get(keys::IMPORTED_FROM) == Some(&label))
        .filter(|known| !named.contains(known.hardware.name_any().as_str()))
        .collect();
    gone.sort_by_key(|known| known.hardware.name_any());
    for known in gone {
        let name = known.hardware.name_any();
        match &known.owner {
            None => found.gone_free.push(name),
            Some(owner) => found.gone_in_use.push(Change {
                name,
                owner: Some(owner.clone()),
            }),
        }
    }
    found
}

fn clashes(row: &Row, other: &Hardware) -> Vec<Clash> {
    let mut found = Vec::new();
    for dhcp in other.spec.interfaces.iter().filter_map(|nic| nic.dhcp.as_ref()) {
        let clash = |column, value: String| Clash {
            row: row.line,
            column,
            value,
            other: other.name_any(),
        };
        if dhcp.mac == Some(row.mac) {
            found.push(clash("mac", row.mac.to_string()));
        }
        let ip = row.ip.to_string();
        if dhcp.ip.as_ref().and_then(|known| known.address.as_deref()) == Some(ip.as_str()) {
            found.push(clash("ip_address", ip));
        }
    }
    found
}

/// Whether everything that the file says already stands in the object. allowPXE is left out: the workflow engine
/// switches it.
fn same(wanted: &Hardware, known: &Hardware) -> bool {
    let value = |hardware: &Hardware| {
        let mut spec = serde_json::to_value(&hardware.spec).unwrap_or_default();
        for nic in spec
            .get_mut("interfaces")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(netboot) = nic.get_mut("netboot").and_then(Value::as_object_mut) {
                netboot.remove("allowPXE");
            }
        }
        spec
    };
    let labels = wanted
        .labels()
        .iter()
        .all(|(key, value)| known.labels().get(key) == Some(value));
    labels && contains(&value(known), &value(wanted))
}

/// Whether every field of `part` stands in `whole` with the same value; lists must be equal in length.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|known| contains(known, value))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole
                    .iter()
                    .zip(part)
                    .all(|(known, value)| contains(known, value))
        }
        (whole, part) => whole == part,
    }
}

//! A file compared with what was imported before.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt};
use resources::bmc::Machine;
use resources::tinkerbell::Hardware;
use resources::{Mac, keys};
use serde::Serialize;
use serde_json::Value;

use crate::objects::{RowObjects, source_label, to_objects};
use crate::row::Row;

/// A Hardware that exists, who uses it, and what was imported with it.
#[derive(Clone)]
pub struct Existing {
    /// The object.
    pub hardware: Hardware,
    /// Who has it; `None` when it is free.
    pub owner: Option<String>,
    /// Its BMC.
    pub bmc: Option<Machine>,
    /// User and password of the BMC.
    pub secret: Option<Secret>,
}

impl std::fmt::Debug for Existing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Existing")
            .field("hardware", &self.hardware)
            .field("owner", &self.owner)
            .field("bmc", &self.bmc)
            .finish_non_exhaustive()
    }
}

impl Existing {
    /// Takes the owner from the label that Cluster API's provider and Gantry keep on the Hardware.
    #[must_use]
    pub fn new(hardware: Hardware) -> Self {
        let owner = hardware.labels().get(keys::OWNER_NAME).cloned();
        Self {
            hardware,
            owner,
            bmc: None,
            secret: None,
        }
    }

    fn name(&self) -> &str {
        self.hardware.metadata.name.as_deref().unwrap_or_default()
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
    /// Known machines of which only the BMC, or the login to it, differs.
    pub update_bmc: Vec<String>,
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
    let named: HashSet<&str> = rows.iter().map(|row| row.hostname.as_str()).collect();
    let known: HashMap<&str, &Existing> = existing.iter().map(|known| (known.name(), known)).collect();
    let others = existing.iter().filter(|known| !named.contains(known.name()));
    let others = Others::new(others);
    for (row, wanted) in rows.iter().zip(to_objects(rows, namespace, source)) {
        match known.get(row.hostname.as_str()) {
            None => found.create.push(row.hostname.clone()),
            Some(known) if same_hardware(&wanted.hardware, &known.hardware) => {
                let unchanged = same_bmc(&wanted, known);
                let names = if unchanged {
                    &mut found.unchanged
                } else {
                    &mut found.update_bmc
                };
                names.push(row.hostname.clone());
            }
            Some(known) => {
                found.update.push(Change {
                    name: row.hostname.clone(),
                    owner: known.owner.clone(),
                });
            }
        }
        others.clashes(row, &mut found.clashes);
    }
    let label = source_label(source);
    let mut gone: Vec<&Existing> = existing
        .iter()
        .filter(|known| known.hardware.labels().get(keys::IMPORTED_FROM) == Some(&label))
        .filter(|known| !named.contains(known.name()))
        .collect();
    gone.sort_by_key(|known| known.name());
    for known in gone {
        let name = known.name().to_owned();
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

/// The NICs of machines that the file does not name.
#[derive(Default)]
struct Others<'a> {
    macs: HashMap<Mac, Vec<&'a str>>,
    addresses: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Others<'a> {
    fn new(machines: impl Iterator<Item = &'a Existing>) -> Self {
        let mut others = Self::default();
        for machine in machines {
            let nics = &machine.hardware.spec.interfaces;
            for dhcp in nics.iter().filter_map(|nic| nic.dhcp.as_ref()) {
                if let Some(mac) = dhcp.mac {
                    others.macs.entry(mac).or_default().push(machine.name());
                }
                if let Some(address) = dhcp.ip.as_ref().and_then(|ip| ip.address.as_deref()) {
                    others.addresses.entry(address).or_default().push(machine.name());
                }
            }
        }
        others
    }

    fn clashes(&self, row: &Row, found: &mut Vec<Clash>) {
        let address = row.ip.to_string();
        let macs = self.macs.get(&row.mac).into_iter().flatten();
        let addresses = self.addresses.get(address.as_str()).into_iter().flatten();
        let macs = macs.map(|other| ("mac", row.mac.to_string(), other));
        let addresses = addresses.map(|other| ("ip_address", address.clone(), other));
        found.extend(macs.chain(addresses).map(|(column, value, other)| Clash {
            row: row.line,
            column,
            value,
            other: (*other).to_owned(),
        }));
    }
}

/// Whether everything that the file says of the BMC already stands in its objects.
fn same_bmc(wanted: &RowObjects, known: &Existing) -> bool {
    let bmc = wanted.bmc.as_ref().is_none_or(|wanted| {
        known.bmc.as_ref().is_some_and(|known| {
            has_labels(known, wanted) && contains(&json(&known.spec), &json(&wanted.spec))
        })
    });
    let secret = wanted.secret.as_ref().is_none_or(|wanted| {
        known.secret.as_ref().is_some_and(|known| {
            has_labels(known, wanted) && known.type_ == wanted.type_ && known.data == wanted.data
        })
    });
    bmc && secret
}

/// Whether everything that the file says already stands in the object. allowPXE is left out: the workflow engine
/// switches it.
fn same_hardware(wanted: &Hardware, known: &Hardware) -> bool {
    let value = |hardware: &Hardware| {
        let mut spec = json(&hardware.spec);
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
    has_labels(known, wanted) && contains(&value(known), &value(wanted))
}

fn has_labels<K: Resource>(known: &K, wanted: &K) -> bool {
    let mut labels = wanted.labels().iter();
    labels.all(|(key, value)| known.labels().get(key) == Some(value))
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
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

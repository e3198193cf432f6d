//! What is known of racks from their state directories, by a process that does not run them.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::options::{Accelerator, Firmware, UpOptions};
use crate::paths::{RackPaths, state_root};
use crate::plan::{MachinePlan, RackPlan};
use crate::process::ProcessId;

/// How much of a console log is looked through for its last line.
const TAIL: u64 = 8 * 1024;

/// Whether a machine has power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    On,
    Off,
}

/// What the supervisor writes at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SupervisorState {
    pub(crate) supervisor: ProcessId,
    pub(crate) accelerator: Accelerator,
    pub(crate) ready: bool,
    pub(crate) machines: Vec<MachineRecord>,
}

/// The part of [`SupervisorState`] about one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineRecord {
    pub(crate) name: String,
    pub(crate) power: Power,
    pub(crate) since: String,
    pub(crate) pid: Option<i32>,
    pub(crate) power_ons: u64,
    pub(crate) resets: u64,
}

/// One rack, as `gantry lab status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RackStatus {
    pub id: String,
    pub seed: String,
    /// False: the supervisor is gone; `gantry lab down` clears what it left.
    pub running: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<Accelerator>,
    pub firmware: Firmware,
    pub site_namespace: String,
    pub site_interface: String,
    pub site_address: Ipv4Addr,
    pub directory: PathBuf,
    pub hardware_csv: PathBuf,
    pub facts: PathBuf,
    pub bmc_log: PathBuf,
    pub machines: Vec<MachineStatus>,
}

/// One machine of a rack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineStatus {
    pub name: String,
    pub labels: String,
    pub power: Power,
    /// RFC 3339; empty if nothing is known.
    pub since: String,
    pub mac: String,
    pub ip: Ipv4Addr,
    pub bmc_ip: Ipv4Addr,
    pub power_ons: u64,
    pub resets: u64,
    pub console_log: PathBuf,
    pub last_line: String,
}

/// Ids of all racks that have a state directory.
#[must_use]
pub fn list(root: Option<&Path>) -> Vec<String> {
    let root = root.map_or_else(state_root, Path::to_owned);
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut ids: Vec<String> = entries
        .filter(|entry| entry.path().join("options.json").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    ids.sort();
    ids
}

/// The rack with this id, or the only one: its plan, files and options.
pub fn find(id: Option<&str>, root: Option<&Path>) -> Result<(RackPlan, RackPaths, UpOptions), Error> {
    let ids = list(root);
    let id = match (id, ids.as_slice()) {
        (Some(id), _) if ids.iter().any(|known| known == id) => id,
        (None, [only]) => only.as_str(),
        (Some(_), _) | (None, []) => return Err(Error::NoRack),
        (None, _) => return Err(Error::SeveralRacks { ids: ids.join(", ") }),
    };
    let root = root.map_or_else(state_root, Path::to_owned);
    read(&RackPaths::new(&root, id)).map(|(plan, options)| (plan, RackPaths::new(&root, id), options))
}

/// The plan and options that a state directory stands for.
pub(crate) fn read(paths: &RackPaths) -> Result<(RackPlan, UpOptions), Error> {
    let path = paths.options();
    let text = std::fs::read(&path).map_err(Error::file("reading", &path))?;
    let options: UpOptions = serde_json::from_slice(&text).map_err(|source| Error::State { path, source })?;
    let plan = RackPlan::derive(options.seed.as_deref().unwrap_or_default(), &options);
    Ok((plan, options))
}

/// What the supervisor wrote last; `None` if there is none or it died while writing.
pub(crate) fn supervisor_state(paths: &RackPaths) -> Option<SupervisorState> {
    serde_json::from_slice(&std::fs::read(paths.state()).ok()?).ok()
}

/// The state of the rack with this id, or of the only one.
pub fn status(id: Option<&str>, root: Option<&Path>) -> Result<RackStatus, Error> {
    let (plan, paths, options) = find(id, root)?;
    Ok(describe(&plan, &paths, &options))
}

pub(crate) fn describe(plan: &RackPlan, paths: &RackPaths, options: &UpOptions) -> RackStatus {
    let state = supervisor_state(paths);
    let alive = state.as_ref().filter(|state| state.supervisor.alive());
    RackStatus {
        id: plan.id.clone(),
        seed: plan.seed.clone(),
        running: alive.is_some(),
        supervisor: alive.map(|state| state.supervisor.pid),
        accelerator: alive.map(|state| state.accelerator),
        firmware: options.firmware,
        site_namespace: plan.site_namespace.clone(),
        site_interface: plan.site_interface.to_owned(),
        site_address: plan.site_address,
        directory: paths.dir.clone(),
        hardware_csv: paths.hardware_csv(),
        facts: paths.facts(),
        bmc_log: paths.bmc_log(),
        machines: plan
            .machines
            .iter()
            .map(|machine| machine_status(machine, paths, alive))
            .collect(),
    }
}

fn machine_status(
    machine: &MachinePlan,
    paths: &RackPaths,
    state: Option<&SupervisorState>,
) -> MachineStatus {
    let record = state.and_then(|state| state.machines.iter().find(|record| record.name == machine.name));
    MachineStatus {
        name: machine.name.clone(),
        labels: machine.role.label().to_owned(),
        power: record.map_or(Power::Off, |record| record.power),
        since: record.map(|record| record.since.clone()).unwrap_or_default(),
        mac: machine.boot_mac.to_string(),
        ip: machine.ip,
        bmc_ip: machine.bmc_ip,
        power_ons: record.map_or(0, |record| record.power_ons),
        resets: record.map_or(0, |record| record.resets),
        console_log: paths.console_log(machine),
        last_line: last_line(&tail(&paths.console_log(machine), TAIL)),
    }
}

/// The last bytes of a file; empty if it cannot be read.
pub(crate) fn tail(path: &Path, length: u64) -> Vec<u8> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(length)))?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().unwrap_or_default()
}

/// The last line with something to see, without terminal control sequences.
fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                // CSI sequences end with a letter or one of @ to ~; others are one character long.
                if characters.next() == Some('[') {
                    characters.by_ref().find(|c| matches!(c, '@'..='~'));
                }
            }
            '\r' | '\n' => plain.push('\n'),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    let line = plain
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or_default();
    line.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines() {
        for (bytes, expected) in [
            ("", ""),
            ("one\r\ntwo\r\n\r\n", "two"),
            ("\u{1b}[2J\u{1b}[01;01Hstart\r\n\u{1b}[0m  \u{1b}[8;64Hx", "x"),
            ("login: \u{7}", "login:"),
        ] {
            assert_eq!(last_line(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}

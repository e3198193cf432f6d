//! Sensors, event log and firmware as Redfish has them.

use serde_json::{Value, json};

use super::reference::{collection, healthy, link};
use crate::hardware::{Gauge, Quantity, gauges};
use crate::machine::{Logged, MachineState};

pub(super) const THERMAL: &str = "/redfish/v1/Chassis/1/Thermal";
pub(super) const POWER: &str = "/redfish/v1/Chassis/1/Power";
pub(super) const UPDATE: &str = "/redfish/v1/UpdateService";
const INVENTORY: &str = "/redfish/v1/UpdateService/FirmwareInventory";
pub(super) const LOGS: &str = "/redfish/v1/Systems/1/LogServices";
const SEL: &str = "/redfish/v1/Systems/1/LogServices/SEL";
const ENTRIES: &str = "/redfish/v1/Systems/1/LogServices/SEL/Entries";

/// The resource at a path, or `None`.
pub(super) fn get(id: &str, state: &MachineState) -> Option<Value> {
    Some(match id {
        THERMAL => json!({
            "@odata.type": "#Thermal.v1_7_0.Thermal", "Id": "Thermal", "Name": "Thermal",
            "Temperatures": rows(state, Quantity::Temperature, "Temperatures"),
            "Fans": rows(state, Quantity::Fan, "Fans"),
        }),
        POWER => json!({
            "@odata.type": "#Power.v1_7_0.Power", "Id": "Power", "Name": "Power",
            "PowerControl": rows(state, Quantity::Power, "PowerControl"),
            "PowerSupplies": [{
                "@odata.id": format!("{POWER}#/PowerSupplies/0"), "MemberId": "0", "Name": "PSU 1", "Status": healthy(),
            }],
        }),
        UPDATE => json!({
            "@odata.type": "#UpdateService.v1_8_0.UpdateService", "Id": "UpdateService", "Name": "Update Service",
            "ServiceEnabled": false, "FirmwareInventory": link(INVENTORY),
        }),
        INVENTORY => collection(
            "SoftwareInventory",
            &[&format!("{INVENTORY}/BMC"), &format!("{INVENTORY}/BIOS")],
        ),
        LOGS => collection("LogService", &[SEL]),
        SEL => json!({
            "@odata.type": "#LogService.v1_1_3.LogService", "Id": "SEL", "Name": "System Event Log",
            "LogEntryType": "SEL", "ServiceEnabled": true, "OverWritePolicy": "WrapsWhenFull", "Entries": link(ENTRIES),
        }),
        ENTRIES => {
            let members: Vec<Value> = state.log.entries().map(entry).collect();
            let mut all = collection("LogEntry", &[]);
            all["Members@odata.count"] = json!(members.len());
            all["Members"] = json!(members);
            all
        }
        _ => {
            if let Some(name) = id.strip_prefix(INVENTORY).and_then(|rest| rest.strip_prefix('/')) {
                return firmware(name);
            }
            let number = id.strip_prefix(ENTRIES)?.strip_prefix('/')?;
            return state.log.entries().map(entry).find(|entry| entry["Id"] == number);
        }
    })
}

fn firmware(name: &str) -> Option<Value> {
    let version = match name {
        "BMC" => env!("CARGO_PKG_VERSION"),
        // The firmware is the host's package, whose version is not known here.
        "BIOS" => "unknown",
        _ => return None,
    };
    Some(json!({
        "@odata.type": "#SoftwareInventory.v1_4_0.SoftwareInventory", "Id": name, "Name": name, "Version": version,
        "Updateable": false, "Status": healthy(),
    }))
}

fn entry((number, at, what): (usize, jiff::Timestamp, Logged)) -> Value {
    json!({
        "@odata.id": format!("{ENTRIES}/{number}"), "@odata.type": "#LogEntry.v1_8_0.LogEntry",
        "Id": number.to_string(), "Name": format!("Log Entry {number}"), "EntryType": "SEL", "Severity": "OK",
        "Created": at.to_string(), "Message": what.text(),
    })
}

fn rows(state: &MachineState, quantity: Quantity, list: &str) -> Vec<Value> {
    let of_kind = gauges(state)
        .into_iter()
        .filter(|gauge| gauge.quantity == quantity);
    of_kind
        .enumerate()
        .map(|(at, gauge)| row(gauge, at, list))
        .collect()
}

fn row(gauge: Gauge, at: usize, list: &str) -> Value {
    let base = match gauge.quantity {
        Quantity::Power => POWER,
        Quantity::Temperature | Quantity::Fan => THERMAL,
    };
    let mut row = json!({
        "@odata.id": format!("{base}#/{list}/{at}"), "MemberId": at.to_string(), "Name": gauge.name, "Status": healthy(),
    });
    match gauge.quantity {
        Quantity::Temperature => row["ReadingCelsius"] = json!(gauge.value()),
        Quantity::Fan => {
            row["Reading"] = json!(gauge.value());
            row["ReadingUnits"] = json!("RPM");
        }
        Quantity::Power => {
            row["PowerConsumedWatts"] = json!(gauge.value());
            return row;
        }
    }
    for (name, limit) in [
        ("LowerThresholdCritical", gauge.lower_critical()),
        ("UpperThresholdNonCritical", gauge.upper_warning()),
        ("UpperThresholdCritical", gauge.upper_critical()),
    ] {
        if let Some(limit) = limit {
            row[name] = json!(limit);
        }
    }
    row
}

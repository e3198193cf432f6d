//! The BMC's resources as JSON. Pure.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::hardware;
use super::reference::{collection, healthy, link};
use crate::machine::{BootOverride, Enabled, MachineState, ResetKind, Target};
use crate::options::Firmware;
use crate::plan::MachinePlan;
use crate::status::Power;

pub(super) const SYSTEM: &str = "/redfish/v1/Systems/1";
pub(super) const RESET: &str = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
pub(super) const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// The resource at a path, or `None`. A trailing slash makes no difference.
pub(super) fn get(path: &str, machine: &MachinePlan, state: &MachineState) -> Option<Value> {
    let id = path.strip_suffix('/').unwrap_or(path);
    let mut document = match id {
        "/redfish" => return Some(json!({ "v1": "/redfish/v1/" })),
        "/redfish/v1" => service_root(machine),
        "/redfish/v1/Systems" => collection("ComputerSystem", &[SYSTEM]),
        SYSTEM => system(machine, state),
        "/redfish/v1/Systems/1/EthernetInterfaces" => collection(
            "EthernetInterface",
            &[
                "/redfish/v1/Systems/1/EthernetInterfaces/1",
                "/redfish/v1/Systems/1/EthernetInterfaces/2",
            ],
        ),
        "/redfish/v1/Systems/1/EthernetInterfaces/1" => interface("1", &machine.other_mac.to_string()),
        "/redfish/v1/Systems/1/EthernetInterfaces/2" => interface("2", &machine.boot_mac.to_string()),
        "/redfish/v1/Managers" => collection("Manager", &["/redfish/v1/Managers/1"]),
        "/redfish/v1/Managers/1" => json!({
            "@odata.type": "#Manager.v1_10_0.Manager", "Id": "1", "Name": "Virtual BMC", "ManagerType": "BMC",
            "FirmwareVersion": env!("CARGO_PKG_VERSION"), "Status": healthy(),
            "Links": { "ManagerForServers": [link(SYSTEM)] },
        }),
        "/redfish/v1/Chassis" => collection("Chassis", &["/redfish/v1/Chassis/1"]),
        "/redfish/v1/Chassis/1" => json!({
            "@odata.type": "#Chassis.v1_14_0.Chassis", "Id": "1", "Name": machine.name, "ChassisType": "RackMount",
            "SerialNumber": machine.serial, "PowerState": power(state), "Status": healthy(),
            "Thermal": link(hardware::THERMAL), "Power": link(hardware::POWER),
            "Links": { "ComputerSystems": [link(SYSTEM)], "ManagedBy": [link("/redfish/v1/Managers/1")] },
        }),
        "/redfish/v1/SessionService" => json!({
            "@odata.type": "#SessionService.v1_1_8.SessionService", "Id": "SessionService", "Name": "Sessions",
            "ServiceEnabled": true, "Sessions": link(SESSIONS),
        }),
        SESSIONS => collection("Session", &[]),
        _ => hardware::get(id, state)?,
    };
    document["@odata.id"] = json!(id);
    Some(document)
}

/// Whether a resource may be read without login (DSP0266 §13.3.2).
pub(super) fn is_public(path: &str) -> bool {
    matches!(path.trim_end_matches('/'), "/redfish" | "/redfish/v1")
}

/// Of the settings that can change, so that `If-Match` protects a write.
pub(super) fn etag(state: &MachineState) -> String {
    let digest = Sha256::digest(format!("{:?} {:?} {}", state.boot, state.power, state.identifies));
    format!("\"{}\"", hex::encode(digest.get(..6).unwrap_or_default()))
}

/// What a PATCH of the system changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SystemChange {
    pub(super) boot: Option<BootOverride>,
    pub(super) light: Option<bool>,
}

/// Reads the body of a PATCH of the system: what to set, or which property is wrong.
pub(super) fn system_patch(
    body: &Value,
    firmware: Firmware,
    before: BootOverride,
) -> Result<SystemChange, String> {
    let object = body
        .as_object()
        .filter(|object| !object.is_empty())
        .ok_or("an object with properties is expected")?;
    let mut change = SystemChange::default();
    for (key, value) in object {
        match key.as_str() {
            "Boot" => change.boot = Some(boot_patch(value, firmware, before)?),
            "LocationIndicatorActive" => {
                let light = value
                    .as_bool()
                    .ok_or("LocationIndicatorActive is true or false")?;
                change.light = Some(light);
            }
            other => return Err(format!("property {other} cannot be written")),
        }
    }
    Ok(change)
}

fn boot_patch(body: &Value, firmware: Firmware, before: BootOverride) -> Result<BootOverride, String> {
    let boot = body.as_object().ok_or("Boot is not an object")?;
    let mut after = before;
    for (key, value) in boot {
        let wrong = || format!("{value} is not a value of {key}");
        match key.as_str() {
            "BootSourceOverrideEnabled" => {
                after.enabled = serde_json::from_value(value.clone()).map_err(|_| wrong())?
            }
            "BootSourceOverrideTarget" => {
                let target: Target = serde_json::from_value(value.clone()).map_err(|_| wrong())?;
                after.target = Target::offered(firmware)
                    .contains(&target)
                    .then_some(target)
                    .ok_or_else(wrong)?;
            }
            "BootSourceOverrideMode" if firmware == Firmware::Uefi => {
                if value != "UEFI" {
                    return Err(wrong());
                }
            }
            _ => return Err(format!("property Boot.{key} cannot be written")),
        }
    }
    if after.enabled == Enabled::Disabled || after.target == Target::None {
        after = BootOverride::default();
    }
    Ok(after)
}

/// The body of a reset request.
pub(super) fn reset_kind(body: &Value) -> Result<ResetKind, String> {
    let value = body.get("ResetType").ok_or("ResetType is missing")?;
    serde_json::from_value(value.clone()).map_err(|_| format!("{value} is not a ResetType of this system"))
}

/// A Redfish error answer (DSP0266 §8.6).
pub(super) fn error(message: &str) -> Value {
    json!({ "error": { "code": "Base.1.8.GeneralError", "message": message } })
}

pub(super) fn session(number: u64, user: &str) -> Value {
    json!({
        "@odata.id": format!("{SESSIONS}/{number}"), "@odata.type": "#Session.v1_3_0.Session",
        "Id": number.to_string(), "Name": "Session", "UserName": user,
    })
}

fn service_root(machine: &MachinePlan) -> Value {
    json!({
        "@odata.type": "#ServiceRoot.v1_9_0.ServiceRoot", "Id": "RootService", "Name": "Virtual BMC",
        "RedfishVersion": "1.11.0", "Vendor": "Gantry", "Product": "Virtual rack", "UUID": machine.uuid,
        "Systems": link("/redfish/v1/Systems"), "Managers": link("/redfish/v1/Managers"),
        "Chassis": link("/redfish/v1/Chassis"), "UpdateService": link(hardware::UPDATE), "SessionService": link("/redfish/v1/SessionService"),
        "Links": { "Sessions": link(SESSIONS) },
    })
}

fn system(machine: &MachinePlan, state: &MachineState) -> Value {
    let mut boot = json!({
        "BootSourceOverrideEnabled": state.boot.enabled,
        "BootSourceOverrideTarget": state.boot.target,
        "BootSourceOverrideTarget@Redfish.AllowableValues": Target::offered(machine.firmware),
    });
    // A BMC of a machine that knows only legacy boot has no mode to choose.
    if machine.firmware == Firmware::Uefi {
        boot["BootSourceOverrideMode"] = json!("UEFI");
        boot["BootSourceOverrideMode@Redfish.AllowableValues"] = json!(["UEFI"]);
    }
    json!({
        "@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem", "@odata.etag": etag(state),
        "Id": "1", "Name": machine.name, "SystemType": "Physical", "HostName": machine.name,
        "Manufacturer": "Gantry", "Model": "Virtual rack machine", "SerialNumber": machine.serial, "UUID": machine.uuid,
        "PowerState": power(state), "Status": healthy(), "Boot": boot, "LocationIndicatorActive": state.identifies,
        "LogServices": link(hardware::LOGS),
        "ProcessorSummary": { "Count": 1, "LogicalProcessorCount": machine.cpus },
        "MemorySummary": { "TotalSystemMemoryGiB": f64::from(machine.memory_mib) / 1024.0 },
        "EthernetInterfaces": link("/redfish/v1/Systems/1/EthernetInterfaces"),
        "Links": { "ManagedBy": [link("/redfish/v1/Managers/1")], "Chassis": [link("/redfish/v1/Chassis/1")] },
        "Actions": { "#ComputerSystem.Reset": {
            "target": RESET, "ResetType@Redfish.AllowableValues": ResetKind::ALL,
        } },
    })
}

fn interface(id: &str, mac: &str) -> Value {
    json!({
        "@odata.type": "#EthernetInterface.v1_6_0.EthernetInterface", "Id": id, "Name": format!("NIC {id}"),
        "MACAddress": mac, "PermanentMACAddress": mac, "LinkStatus": "LinkUp", "Status": healthy(),
    })
}

fn power(state: &MachineState) -> &'static str {
    match state.power {
        Power::On => "On",
        Power::Off => "Off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Logged;
    use crate::options::UpOptions;
    use crate::plan::RackPlan;
    use jiff::Timestamp;

    fn parts(firmware: Firmware) -> (MachinePlan, MachineState) {
        let plan = RackPlan::derive(
            "golden",
            &UpOptions {
                firmware,
                ..UpOptions::default()
            },
        );
        let mut state = MachineState::new(Timestamp::UNIX_EPOCH);
        state.log.note(Timestamp::UNIX_EPOCH, Logged::PoweredOn);
        (plan.machines[0].clone(), state)
    }

    /// Every reference leads to a resource here, and every resource says its own name.
    #[test]
    fn the_tree_is_closed() {
        let (machine, state) = parts(Firmware::Uefi);
        let mut open = vec!["/redfish/v1".to_owned()];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(path) = open.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let document = get(&path, &machine, &state).unwrap_or_else(|| panic!("{path} is missing"));
            assert_eq!(document["@odata.id"], path.as_str());
            references(&document, &mut open);
        }
        assert_eq!(seen.len(), 22, "{seen:?}");
        assert_eq!(
            get("/redfish/v1/Systems/1/", &machine, &state),
            get(SYSTEM, &machine, &state)
        );
        assert!(get("/redfish/v1/Systems/2", &machine, &state).is_none());
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                let own = object.get("@odata.id").and_then(Value::as_str);
                // What stands behind # is a part of the resource.
                found.extend(own.map(|id| id.split_once('#').map_or(id, |(id, _)| id).to_owned()));
                object.values().for_each(|inner| references(inner, found));
            }
            Value::Array(list) => list.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn boot_patches() {
        let patch = |boot: Value, firmware| {
            let change = system_patch(&json!({ "Boot": boot }), firmware, BootOverride::default());
            change.map(|change| change.boot.unwrap())
        };
        let once = json!({"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"});
        let expected = BootOverride {
            enabled: Enabled::Once,
            target: Target::Pxe,
        };
        assert_eq!(patch(once.clone(), Firmware::Bios), Ok(expected));
        let mut with_mode = once.clone();
        with_mode["BootSourceOverrideMode"] = json!("UEFI");
        assert_eq!(patch(with_mode.clone(), Firmware::Uefi), Ok(expected));
        assert!(patch(with_mode, Firmware::Bios).is_err());
        for bad in [
            json!({"BootSourceOverrideTarget": "Usb"}),
            json!({"BootSourceOverrideEnabled": "Sometimes"}),
            json!({"BootSourceOverrideMode": "Legacy"}),
            json!({"BootOrder": []}),
        ] {
            assert!(patch(bad.clone(), Firmware::Uefi).is_err(), "{bad}");
        }
        assert!(patch(json!({"BootSourceOverrideTarget": "BiosSetup"}), Firmware::Bios).is_err());
        let system = |body: Value| system_patch(&body, Firmware::Uefi, expected);
        let off = system(
            json!({"Boot": {"BootSourceOverrideEnabled": "Disabled"}, "LocationIndicatorActive": true}),
        );
        let change = SystemChange {
            boot: Some(BootOverride::default()),
            light: Some(true),
        };
        assert_eq!(off, Ok(change));
        for bad in [
            json!({"AssetTag": "x"}),
            json!({"LocationIndicatorActive": "on"}),
            json!({}),
            json!([]),
        ] {
            assert!(system(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn reset_kinds() {
        for kind in ResetKind::ALL {
            let text = serde_json::to_value(kind).unwrap();
            assert_eq!(reset_kind(&json!({ "ResetType": text })), Ok(kind));
        }
        assert!(reset_kind(&json!({})).is_err() && reset_kind(&json!({"ResetType": "Explode"})).is_err());
    }

    #[test]
    fn a_bios_machine_has_no_mode() {
        let (machine, state) = parts(Firmware::Bios);
        let document = get(SYSTEM, &machine, &state).unwrap();
        assert!(document["Boot"].get("BootSourceOverrideMode").is_none());
    }
}

//! What a BMC says about the hardware of its machine: sensors, event log, parts with their firmware, and what the BMC can do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BmcProtocol;
use crate::{Time, printable};

/// Longest text that is taken from a BMC, in characters; the rest is cut.
const TEXT: usize = 200;

/// What a Task reads from a BMC. None of it changes the machine, so that it waits for no other Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportKind {
    /// Temperatures, voltages, fans and whatever else the BMC measures or watches.
    Sensors,
    /// The system event log, newest entries last.
    Log,
    /// Versions of firmware, and the parts with their serial numbers.
    Firmware,
    /// What this BMC can do, and why it cannot do the rest.
    Capabilities,
}

/// What a BMC said. Lists that were not asked for are empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BmcReport {
    /// How the BMC was asked.
    pub protocol: BmcProtocol,
    /// Sensors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensors: Vec<Sensor>,
    /// Entries of the event log, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<BmcEvent>,
    /// Versions of firmware.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firmware: Vec<FirmwareVersion>,
    /// Parts that can be replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// What the BMC can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// Why something is missing that was asked for: one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl BmcReport {
    /// A report that says nothing yet.
    #[must_use]
    pub fn new(protocol: BmcProtocol) -> Self {
        Self {
            protocol,
            sensors: Vec::new(),
            events: Vec::new(),
            firmware: Vec::new(),
            parts: Vec::new(),
            capabilities: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// How well something is, by the word of the BMC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Health {
    /// The BMC does not say.
    #[default]
    Unknown,
    /// Nothing is wrong.
    Ok,
    /// To be looked at.
    Warning,
    /// To be looked at now.
    Critical,
}

/// One sensor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sensor {
    /// The BMC's name of it.
    pub name: String,
    /// What it measures or watches: `Temperature`, `Fan`, `Voltage`, ...
    pub kind: String,
    /// The measured value; absent where the sensor measures nothing or has no value now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<f64>,
    /// Unit of the reading: `Cel`, `V`, `RPM`, `W`, `%`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How well it is.
    #[serde(default)]
    pub health: Health,
    /// What a sensor without a value watches and has found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
    /// At or below this it is critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_critical: Option<f64>,
    /// At or below this it is to be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_warning: Option<f64>,
    /// At or above this it is to be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_warning: Option<f64>,
    /// At or above this it is critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_critical: Option<f64>,
}

/// One entry of the event log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BmcEvent {
    /// The BMC's number or name of it.
    pub id: String,
    /// When, by the BMC's clock; absent where the BMC had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How bad it is.
    #[serde(default)]
    pub severity: Health,
    /// The sensor or part that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What happened, in one line.
    pub text: String,
}

/// The version of one piece of firmware.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirmwareVersion {
    /// Of what.
    pub name: String,
    /// The version, in its maker's form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether the BMC can replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updateable: Option<bool>,
}

/// A part that can be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Which part: `system`, `board`, `chassis`, ...
    pub name: String,
    /// Its maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Its part number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_number: Option<String>,
}

/// Something that a BMC can do, or cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// What.
    pub name: String,
    /// Whether this BMC can do it.
    pub available: bool,
    /// Why not; or by what, where that is worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Capability {
    /// One that the BMC has.
    #[must_use]
    pub fn available(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            available: true,
            reason: None,
        }
    }

    /// One that the BMC does not have, and why.
    #[must_use]
    pub fn missing(name: &str, reason: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            available: false,
            reason: Some(reason.into()),
        }
    }
}

/// A text of a BMC as it may be kept and shown: trimmed, of one line, without hidden characters, and not longer than 200
/// characters. `None` where nothing is left.
#[must_use]
pub fn bmc_text(text: &str) -> Option<String> {
    let short: String = text.trim().chars().take(TEXT).collect();
    let safe = printable(short.trim()).into_owned();
    (!safe.is_empty()).then_some(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The persisted spelling.
    #[test]
    fn json() {
        let mut report = BmcReport::new(BmcProtocol::Ipmi);
        report.sensors.push(Sensor {
            name: "Inlet".to_owned(),
            kind: "Temperature".to_owned(),
            reading: Some(22.5),
            unit: Some("Cel".to_owned()),
            health: Health::Ok,
            upper_critical: Some(45.0),
            ..Sensor::default()
        });
        report.capabilities.push(Capability::missing("log", "no command"));
        let text = serde_json::to_string(&report).unwrap();
        let expected = concat!(
            r#"{"protocol":"ipmi","sensors":[{"name":"Inlet","kind":"Temperature","reading":22.5,"unit":"Cel","#,
            r#""health":"Ok","upperCritical":45.0}],"capabilities":[{"name":"log","available":false,"reason":"no command"}]}"#
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<BmcReport>(&text).unwrap(), report);
    }

    #[test]
    fn texts_of_bmcs() {
        assert_eq!(bmc_text(" Inlet \n").as_deref(), Some("Inlet"));
        assert_eq!(bmc_text("a\u{1b}[2Jb\nc").as_deref(), Some(r"a\u{1b}[2Jb\nc"));
        assert_eq!(bmc_text(" \t\r\n"), None);
        assert_eq!(bmc_text(&"x".repeat(5000)).unwrap().len(), TEXT);
    }
}

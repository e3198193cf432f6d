//! Reports of BMCs as tables.

use resources::bmc::{ReportKind, Sensor};

use super::told::Told;
use crate::output;
use crate::snapshot::word;

const NOTHING: &str = "-";

/// The tables of a report; those without rows are left out. With several servers each row begins with its own.
pub(super) fn render(told: &[Told], kind: ReportKind, with_server: bool) -> String {
    match kind {
        ReportKind::Sensors => {
            let header = [
                "SENSOR",
                "KIND",
                "READING",
                "HEALTH",
                "LOW CRIT",
                "LOW WARN",
                "HIGH WARN",
                "HIGH CRIT",
            ];
            one(told, with_server, &header, |of| {
                of.report.sensors.iter().map(sensor).collect()
            })
        }
        ReportKind::Log => one(
            told,
            with_server,
            &["ID", "TIME", "SEVERITY", "SOURCE", "TEXT"],
            |of| {
                let rows = of.report.events.iter().map(|event| {
                    vec![
                        event.id.clone(),
                        event
                            .at
                            .as_ref()
                            .map_or(NOTHING.to_owned(), |at| at.0.to_string()),
                        word(event.severity),
                        or_nothing(event.source.as_deref()),
                        event.text.clone(),
                    ]
                });
                rows.collect()
            },
        ),
        ReportKind::Firmware => firmware(told, with_server),
        ReportKind::Capabilities => one(told, with_server, &["CAPABILITY", "AVAILABLE", "REASON"], |of| {
            let rows = of.report.capabilities.iter().map(|one| {
                let available = if one.available { "yes" } else { "no" };
                vec![
                    one.name.clone(),
                    available.to_owned(),
                    or_nothing(one.reason.as_deref()),
                ]
            });
            rows.collect()
        }),
    }
}

fn firmware(told: &[Told], with_server: bool) -> String {
    let versions = one(told, with_server, &["FIRMWARE", "VERSION", "UPDATEABLE"], |of| {
        let rows = of.report.firmware.iter().map(|version| {
            let updateable = version.updateable.map(|yes| if yes { "yes" } else { "no" });
            vec![
                version.name.clone(),
                or_nothing(version.version.as_deref()),
                or_nothing(updateable),
            ]
        });
        rows.collect()
    });
    let header = ["PART", "MANUFACTURER", "MODEL", "SERIAL", "PART NUMBER"];
    let parts = one(told, with_server, &header, |of| {
        let rows = of.report.parts.iter().map(|part| {
            let texts = [&part.manufacturer, &part.model, &part.serial, &part.part_number];
            let texts = texts.into_iter().map(|text| or_nothing(text.as_deref()));
            std::iter::once(part.name.clone()).chain(texts).collect()
        });
        rows.collect()
    });
    let both = [versions, parts];
    let filled: Vec<String> = both.into_iter().filter(|table| !table.is_empty()).collect();
    filled.join("\n")
}

/// One table of all servers; nothing where it would have no rows.
fn one(
    told: &[Told],
    with_server: bool,
    header: &[&str],
    rows: impl Fn(&Told) -> Vec<Vec<String>>,
) -> String {
    let server = |of: &Told| with_server.then(|| of.server.clone());
    let rows: Vec<Vec<String>> = told
        .iter()
        .flat_map(|of| {
            let with = move |row: Vec<String>| server(of).into_iter().chain(row).collect();
            rows(of).into_iter().map(with).collect::<Vec<_>>()
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let first = with_server.then_some("SERVER");
    let header: Vec<&str> = first.into_iter().chain(header.iter().copied()).collect();
    output::table(&header, &rows)
}

fn or_nothing(text: Option<&str>) -> String {
    text.unwrap_or(NOTHING).to_owned()
}

fn sensor(sensor: &Sensor) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or(NOTHING.to_owned(), |value| value.to_string());
    let reading = match (sensor.reading, sensor.unit.as_deref()) {
        (Some(value), unit) => format!("{value} {}", unit.unwrap_or_default())
            .trim_end()
            .to_owned(),
        (None, _) if sensor.states.is_empty() => NOTHING.to_owned(),
        (None, _) => sensor.states.join(", "),
    };
    vec![
        sensor.name.clone(),
        sensor.kind.clone(),
        reading,
        word(sensor.health),
        number(sensor.lower_critical),
        number(sensor.lower_warning),
        number(sensor.upper_warning),
        number(sensor.upper_critical),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(report: serde_json::Value) -> Vec<Told> {
        let mut report = report;
        report["protocol"] = json!("redfish");
        vec![Told {
            server: "n1".to_owned(),
            report: serde_json::from_value(report).unwrap(),
        }]
    }

    #[test]
    fn sensors() {
        let told = told(json!({"sensors": [
            {"name": "Inlet", "kind": "Temperature", "reading": 22.5, "unit": "Cel", "health": "Ok", "upperCritical": 45.0},
            {"name": "PSU 1", "kind": "Power Supply", "health": "Critical", "states": ["present", "input lost"]}]}));
        let expected = "\
SENSOR  KIND          READING              HEALTH    LOW CRIT  LOW WARN  HIGH WARN  HIGH CRIT
Inlet   Temperature   22.5 Cel             Ok        -         -         -          45
PSU 1   Power Supply  present, input lost  Critical  -         -         -          -
";
        assert_eq!(render(&told, ReportKind::Sensors, false), expected);
    }

    #[test]
    fn log_firmware_and_capabilities() {
        let told = told(json!({
            "events": [{"id": "3", "at": "2026-01-01T00:00:00Z", "severity": "Warning", "text": "fan slow"}],
            "firmware": [{"name": "BIOS", "version": "1.2", "updateable": true}],
            "parts": [{"name": "system", "serial": "S1"}],
            "capabilities": [{"name": "power nmi", "available": false, "reason": "it offers On"}]}));
        let log = "\
SERVER  ID  TIME                  SEVERITY  SOURCE  TEXT
n1      3   2026-01-01T00:00:00Z  Warning   -       fan slow
";
        assert_eq!(render(&told, ReportKind::Log, true), log);
        let firmware = "\
FIRMWARE  VERSION  UPDATEABLE
BIOS      1.2      yes

PART    MANUFACTURER  MODEL  SERIAL  PART NUMBER
system  -             -      S1      -
";
        assert_eq!(render(&told, ReportKind::Firmware, false), firmware);
        let capabilities = "CAPABILITY  AVAILABLE  REASON\npower nmi   no         it offers On\n";
        assert_eq!(render(&told, ReportKind::Capabilities, false), capabilities);
        assert_eq!(render(&[], ReportKind::Log, false), "");
    }
}

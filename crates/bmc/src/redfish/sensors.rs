//! Sensors: `Thermal` and `Power` of the chassis, which are two requests; where there are none the `Sensors` collection, and
//! without one the `EnvironmentMetrics` (DSP0268).

use resources::bmc::{BmcProtocol, BmcReport, Sensor};
use serde_json::Value;

use super::Redfish;
use super::loose::{health, is_absent, link, list, number, text};
use super::walk::is_of_one;
use crate::Error;

/// More sensors than this are not read.
const MAX_SENSORS: usize = 1024;
/// What of a chassis tells of sensors.
pub(super) const SOURCES: [&str; 4] = ["Thermal", "Power", "Sensors", "EnvironmentMetrics"];

/// A list in `Thermal` or `Power`: its name, the kind of its sensors, where the reading stands, and the unit.
struct Table(&'static str, &'static str, &'static str, &'static str);

const TABLES: [Table; 5] = [
    Table("Temperatures", "Temperature", "ReadingCelsius", "Cel"),
    Table("Fans", "Fan", "Reading", "RPM"),
    Table("Voltages", "Voltage", "ReadingVolts", "V"),
    Table("PowerControl", "Power", "PowerConsumedWatts", "W"),
    Table("PowerSupplies", "Power Supply", "LastPowerOutputWatts", "W"),
];

impl Redfish {
    pub(super) async fn read_sensors(&self) -> Result<BmcReport, Error> {
        let system = self.system_document().await?;
        let mut report = BmcReport::new(BmcProtocol::Redfish);
        let all = self.chassis(&system, &mut report.notes).await?;
        let mut sources = 0u32;
        for chassis in &all {
            sources = sources.saturating_add(self.of_chassis(chassis, &mut report).await?);
        }
        if sources == 0 && report.notes.is_empty() {
            return Err(self.missing("sensors", &format!("no chassis has {}", SOURCES.join(", "))));
        }
        if report.sensors.len() > MAX_SENSORS {
            report.sensors.truncate(MAX_SENSORS);
            report
                .notes
                .push(format!("no more than {MAX_SENSORS} sensors are shown"));
        }
        Ok(report)
    }

    /// Adds the sensors of one chassis; how many sources of them it has.
    async fn of_chassis(&self, chassis: &Value, report: &mut BmcReport) -> Result<u32, Error> {
        let (mut sources, before) = (0u32, report.sensors.len());
        for source in ["Thermal", "Power"] {
            let Some(path) = link(chassis, source) else {
                continue;
            };
            sources = sources.saturating_add(1);
            match self.document(path).await {
                Ok(document) => report.sensors.extend(of_tables(&document)),
                Err(error) if is_of_one(&error) => report.notes.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        if report.sensors.len() > before {
            return Ok(sources);
        }
        if let Some(path) = link(chassis, "Sensors") {
            let found = self
                .members(path, "sensors", MAX_SENSORS, &mut report.notes)
                .await?;
            report.sensors.extend(found.iter().filter_map(of_sensor));
            return Ok(sources.saturating_add(1));
        }
        if let Some(path) = link(chassis, "EnvironmentMetrics") {
            match self.document(path).await {
                Ok(document) => report.sensors.extend(of_metrics(&document)),
                Err(error) if is_of_one(&error) => report.notes.push(error.to_string()),
                Err(error) => return Err(error),
            }
            return Ok(sources.saturating_add(1));
        }
        Ok(sources)
    }
}

fn of_tables(document: &Value) -> Vec<Sensor> {
    let mut found = Vec::new();
    for Table(name, kind, reading, unit) in TABLES {
        for row in list(document, name) {
            if is_absent(row) || !row.is_object() {
                continue;
            }
            let named = text(row, "Name").or_else(|| text(row, "FanName"));
            // Fans may be told in percent.
            let unit = match row.get("ReadingUnits").and_then(Value::as_str) {
                Some("Percent") => "%",
                _ => unit,
            };
            let value = number(row, reading);
            found.push(Sensor {
                name: named.unwrap_or_else(|| kind.to_owned()),
                kind: kind.to_owned(),
                reading: value,
                unit: value.map(|_| unit.to_owned()),
                health: health(row),
                states: Vec::new(),
                lower_critical: number(row, "LowerThresholdCritical"),
                lower_warning: number(row, "LowerThresholdNonCritical"),
                upper_warning: number(row, "UpperThresholdNonCritical"),
                upper_critical: number(row, "UpperThresholdCritical"),
            });
        }
    }
    found
}

/// A resource `Sensor`.
fn of_sensor(document: &Value) -> Option<Sensor> {
    if is_absent(document) {
        return None;
    }
    let limit = |name: &str| number(document.get("Thresholds")?.get(name)?, "Reading");
    let kind = text(document, "ReadingType").unwrap_or_else(|| "Sensor".to_owned());
    let reading = number(document, "Reading");
    Some(Sensor {
        name: text(document, "Name").or_else(|| text(document, "Id"))?,
        reading,
        unit: text(document, "ReadingUnits").filter(|_| reading.is_some()),
        kind,
        health: health(document),
        states: Vec::new(),
        lower_critical: limit("LowerCritical"),
        lower_warning: limit("LowerCaution"),
        upper_warning: limit("UpperCaution"),
        upper_critical: limit("UpperCritical"),
    })
}

fn of_metrics(document: &Value) -> Vec<Sensor> {
    let metrics = [
        ("TemperatureCelsius", "Temperature", "Cel"),
        ("HumidityPercent", "Humidity", "%"),
        ("PowerWatts", "Power", "W"),
        ("EnergykWh", "Energy", "kW.h"),
        ("FanSpeedsPercent", "Fan", "%"),
    ];
    let of = |(name, kind, unit): (&str, &str, &str)| {
        let value = document.get(name)?;
        // Fans are a list, the others one value.
        let rows: Vec<&Value> = value
            .as_array()
            .map_or_else(|| vec![value], |rows| rows.iter().collect());
        let of_row = |row: &Value| {
            Some(Sensor {
                name: text(row, "DeviceName").unwrap_or_else(|| kind.to_owned()),
                kind: kind.to_owned(),
                reading: Some(number(row, "Reading")?),
                unit: Some(unit.to_owned()),
                ..Sensor::default()
            })
        };
        Some(rows.into_iter().filter_map(of_row).collect::<Vec<_>>())
    };
    metrics.into_iter().filter_map(of).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use resources::bmc::Health;
    use serde_json::json;

    #[test]
    fn tables() {
        let thermal = json!({
            "Temperatures": [
                {"Name": "Inlet", "ReadingCelsius": 21, "UpperThresholdCritical": 45, "Status": {"Health": "OK"}},
                {"Name": "CPU 2", "ReadingCelsius": null, "Status": {"State": "Absent"}},
                null],
            "Fans": [{"FanName": "Fan 1", "Reading": "35", "ReadingUnits": "Percent", "Status": {"Health": "Critical"}}],
        });
        let found = of_tables(&thermal);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (
                found[0].reading,
                found[0].unit.as_deref(),
                found[0].upper_critical
            ),
            (Some(21.0), Some("Cel"), Some(45.0))
        );
        assert_eq!(
            (found[1].name.as_str(), found[1].reading, found[1].unit.as_deref()),
            ("Fan 1", Some(35.0), Some("%"))
        );
        assert_eq!(found[1].health, Health::Critical);
    }

    #[test]
    fn sensors_and_metrics() {
        let sensor = json!({"Id": "t1", "Name": "Inlet", "ReadingType": "Temperature", "Reading": 22.5, "ReadingUnits": "Cel",
            "Thresholds": {"UpperCaution": {"Reading": 40}, "LowerCritical": null}});
        let found = of_sensor(&sensor).unwrap();
        assert_eq!(
            (found.reading, found.upper_warning, found.lower_critical),
            (Some(22.5), Some(40.0), None)
        );
        assert!(of_sensor(&json!({"Name": "x", "Status": {"State": "Absent"}})).is_none());
        let metrics = json!({"PowerWatts": {"Reading": 210}, "TemperatureCelsius": {"Reading": null},
            "FanSpeedsPercent": [{"DeviceName": "Fan 1", "Reading": 40}, {"DeviceName": "Fan 2"}]});
        let found: Vec<String> = of_metrics(&metrics)
            .into_iter()
            .map(|sensor| sensor.name)
            .collect();
        assert_eq!(found, ["Power", "Fan 1"]);
    }
}

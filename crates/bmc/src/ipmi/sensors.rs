//! What the sensors read now (IPMI 2.0 §35.14), in units.

use ::ipmi::{
    Command, Factors, Linear, SensorReading, SensorRecord, Severity, THRESHOLD, sensor_kind, state,
    threshold_severity, unit,
};
use resources::bmc::{BmcProtocol, BmcReport, Health, Sensor, bmc_text};

use super::Ipmi;
use super::socket::Repeat;
use crate::Error;
use crate::reading_limit::ReadingLimit;

/// States of a discrete sensor.
const STATES: u8 = 15;

impl Ipmi {
    pub(super) async fn read_sensors(&self) -> Result<BmcReport, Error> {
        let device = self.read_device().await?;
        let list = self.list_sensors(device).await?;
        let mut report = BmcReport::new(BmcProtocol::Ipmi);
        report.notes = list.notes;
        let mut limit = ReadingLimit::new("sensors", list.sensors.len());
        for record in &list.sensors {
            if let Err(why) = limit.next() {
                report.notes.push(why);
                break;
            }
            report.sensors.push(self.read_sensor(record).await?);
        }
        Ok(report)
    }

    async fn read_sensor(&self, record: &SensorRecord) -> Result<Sensor, Error> {
        let command = Command::SensorReading;
        let reading = match self.run(command, &[record.number], Repeat::Yes).await {
            Ok(data) => SensorReading::parse(&data).map_err(self.malformed(command))?,
            // A sensor of a part that is not there, or not now.
            Err(Error::Completion { .. }) => SensorReading { raw: None, states: 0 },
            Err(error) => return Err(error),
        };
        let mut factors = record.measure.map(|measure| measure.factors);
        if let (Some(varying), Some(raw)) = (factors.filter(|f| f.linear == Linear::Varies), reading.raw) {
            factors = self.ask_factors(varying, record.number, raw).await?;
        }
        Ok(shown(record, reading, factors))
    }

    /// The factors of a sensor for one reading; `None` where the BMC does not tell them.
    async fn ask_factors(&self, varying: Factors, sensor: u8, raw: u8) -> Result<Option<Factors>, Error> {
        let command = Command::ReadingFactors;
        let Some(data) = self.optional(command, &[sensor, raw]).await? else {
            return Ok(None);
        };
        varying
            .of_answer(&data)
            .map(Some)
            .map_err(self.malformed(command))
    }
}

/// The name of a sensor, or what it is called without one.
pub(super) fn name_of(record: &SensorRecord) -> String {
    bmc_text(&record.name).unwrap_or_else(|| format!("{} {:#04x}", sensor_kind(record.kind), record.number))
}

/// The unit of a sensor's values.
pub(super) fn unit_of(record: &SensorRecord) -> Option<String> {
    if record.percent {
        return Some("%".to_owned());
    }
    unit(record.unit)
}

/// A measured value without the noise of its calculation.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

pub(super) fn health(severity: Severity) -> Health {
    match severity {
        Severity::Ok => Health::Ok,
        Severity::Warning => Health::Warning,
        Severity::Critical => Health::Critical,
    }
}

fn shown(record: &SensorRecord, reading: SensorReading, factors: Option<Factors>) -> Sensor {
    let mut sensor = Sensor {
        name: name_of(record),
        kind: sensor_kind(record.kind),
        ..Sensor::default()
    };
    let measured = |raw: Option<u8>| factors?.measured(raw?).map(rounded);
    if let Some(measure) = record.measure {
        sensor.unit = unit_of(record);
        sensor.reading = measured(reading.raw);
        // Limits of sensors whose formula varies would need factors of their own.
        if measure.factors.linear != Linear::Varies {
            let limits = measure.thresholds;
            sensor.lower_critical = measured(limits.lower_critical);
            sensor.lower_warning = measured(limits.lower_warning);
            sensor.upper_warning = measured(limits.upper_warning);
            sensor.upper_critical = measured(limits.upper_critical);
        }
    }
    if reading.raw.is_none() {
        return sensor;
    }
    if record.reading == THRESHOLD {
        sensor.health = health(threshold_severity(reading.states));
        return sensor;
    }
    let met = (0..STATES).filter(|number| reading.states >> number & 1 != 0);
    let met: Vec<_> = met
        .map(|number| state(record.kind, record.reading, number))
        .collect();
    let worst = met.iter().map(|state| state.severity).max();
    sensor.health = health(worst.unwrap_or(Severity::Ok));
    sensor.states = met.into_iter().map(|state| state.text).collect();
    sensor
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::ipmi::{Format, Measure, Thresholds};

    fn record() -> SensorRecord {
        SensorRecord {
            owner: 0x20,
            lun: 0,
            number: 0x30,
            entity: (7, 1),
            kind: 2,
            reading: THRESHOLD,
            percent: false,
            unit: 4,
            measure: Some(Measure {
                factors: Factors {
                    format: Format::Unsigned,
                    linear: Linear::None,
                    m: 59,
                    b: 0,
                    b_exponent: 0,
                    r_exponent: -3,
                },
                thresholds: Thresholds {
                    lower_critical: Some(180),
                    upper_critical: Some(230),
                    ..Thresholds::default()
                },
            }),
            name: "12V".to_owned(),
        }
    }

    #[test]
    fn values_limits_and_states() {
        let record = record();
        let factors = record.measure.map(|measure| measure.factors);
        let shown_at = |raw, states| shown(&record, SensorReading { raw, states }, factors);
        let good = shown_at(Some(204), 0);
        assert_eq!(
            (good.reading, good.unit.as_deref(), good.health),
            (Some(12.036), Some("V"), Health::Ok)
        );
        assert_eq!(
            (good.lower_critical, good.upper_critical),
            (Some(10.62), Some(13.57))
        );
        assert_eq!(shown_at(Some(240), 0x10).health, Health::Critical);
        let absent = shown_at(None, 0);
        assert_eq!((absent.reading, absent.health), (None, Health::Unknown));

        let supply = SensorRecord {
            kind: 8,
            reading: 0x6f,
            measure: None,
            name: "\u{1}".to_owned(),
            ..record
        };
        let reading = SensorReading {
            raw: Some(0),
            states: 0b1001,
        };
        let shown = shown(&supply, reading, None);
        assert_eq!((shown.name.as_str(), shown.health), (r"\u{1}", Health::Critical));
        assert_eq!(shown.states, ["present", "input lost"]);
    }
}

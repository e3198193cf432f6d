//! What the BMCs of virtual machines tell of the hardware: the same sensors and the same event log by IPMI and by Redfish.
//! The values are made up but for their dependence on the power: nothing in QEMU gets warm.

use ipmi::{
    Factors, Format, Linear, Measure, SelRecord, SensorReading, SensorRecord, SystemEvent, THRESHOLD,
    Thresholds,
};
use ipmi_server::Sensor;

use crate::machine::{Logged, MachineState};
use crate::status::Power;

/// What a gauge measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    Temperature,
    Fan,
    Power,
}

/// A sensor that measures, in steps of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gauge {
    pub(crate) name: &'static str,
    pub(crate) quantity: Quantity,
    /// Units in a step.
    step: u8,
    /// In steps; `None` while the machine is off and the part with it.
    value: Option<u8>,
    lower_critical: Option<u8>,
    upper_warning: Option<u8>,
    upper_critical: Option<u8>,
}

impl Gauge {
    fn units(self, steps: Option<u8>) -> Option<u32> {
        Some(u32::from(steps?) * u32::from(self.step))
    }

    pub(crate) fn value(self) -> Option<u32> {
        self.units(self.value)
    }

    pub(crate) fn lower_critical(self) -> Option<u32> {
        self.units(self.lower_critical)
    }

    pub(crate) fn upper_warning(self) -> Option<u32> {
        self.units(self.upper_warning)
    }

    pub(crate) fn upper_critical(self) -> Option<u32> {
        self.units(self.upper_critical)
    }
}

/// The gauges of a machine.
pub(crate) fn gauges(state: &MachineState) -> [Gauge; 4] {
    let on = state.power == Power::On;
    let gauge = |name, quantity, step, value| Gauge {
        name,
        quantity,
        step,
        value,
        lower_critical: None,
        upper_warning: None,
        upper_critical: None,
    };
    [
        Gauge {
            upper_warning: Some(38),
            upper_critical: Some(42),
            ..gauge("Inlet Temp", Quantity::Temperature, 1, Some(22))
        },
        Gauge {
            upper_warning: Some(90),
            upper_critical: Some(100),
            ..gauge("CPU Temp", Quantity::Temperature, 1, on.then_some(48))
        },
        Gauge {
            lower_critical: Some(6),
            ..gauge("Fan 1", Quantity::Fan, 100, on.then_some(54))
        },
        gauge("System Power", Quantity::Power, 2, Some(if on { 70 } else { 4 })),
    ]
}

/// The sensors as IPMI has them: the gauges, and a power supply that is there.
pub(crate) fn ipmi_sensors(state: &MachineState) -> Vec<Sensor> {
    let mut all: Vec<Sensor> = gauges(state).into_iter().zip(1..).map(ipmi_gauge).collect();
    all.push(Sensor {
        record: SensorRecord {
            kind: 0x08,
            reading: 0x6f,
            unit: 0,
            measure: None,
            name: "PSU 1".to_owned(),
            ..record(0x20, 0x0a)
        },
        reading: SensorReading {
            raw: Some(0),
            states: 1,
        },
    });
    all
}

fn record(number: u8, entity: u8) -> SensorRecord {
    SensorRecord {
        owner: 0x20,
        lun: 0,
        number,
        entity: (entity, 1),
        kind: 0,
        reading: THRESHOLD,
        percent: false,
        unit: 0,
        measure: None,
        name: String::new(),
    }
}

fn ipmi_gauge((gauge, number): (Gauge, u8)) -> Sensor {
    let (kind, unit, entity) = match gauge.quantity {
        Quantity::Temperature => (0x01, 1, 0x07),
        Quantity::Fan => (0x04, 18, 0x1d),
        Quantity::Power => (0x0b, 6, 0x13),
    };
    let measure = Measure {
        factors: Factors {
            format: Format::Unsigned,
            linear: Linear::None,
            m: i16::from(gauge.step),
            b: 0,
            b_exponent: 0,
            r_exponent: 0,
        },
        thresholds: Thresholds {
            lower_critical: gauge.lower_critical,
            upper_warning: gauge.upper_warning,
            upper_critical: gauge.upper_critical,
            ..Thresholds::default()
        },
    };
    Sensor {
        record: SensorRecord {
            kind,
            unit,
            measure: Some(measure),
            name: gauge.name.to_owned(),
            ..record(number, entity)
        },
        reading: SensorReading {
            raw: gauge.value,
            states: 0,
        },
    }
}

impl Logged {
    /// What the log says of it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::PoweredOn => "powered on",
            Self::PoweredOff => "powered off",
            Self::Reset => "reset",
        }
    }
}

/// The event log as IPMI has it.
pub(crate) fn ipmi_events(state: &MachineState) -> Vec<SelRecord> {
    let event = |(_, at, what): (usize, jiff::Timestamp, Logged)| {
        // "Power unit: off", or "system boot: by power-on, by reset" (table 42-3).
        let (kind, offset) = match what {
            Logged::PoweredOff => (0x09, 0),
            Logged::PoweredOn => (0x1d, 0),
            Logged::Reset => (0x1d, 1),
        };
        SelRecord::System(SystemEvent {
            time: u32::try_from(at.as_second()).unwrap_or_default(),
            generator: 0x20,
            kind,
            number: 0x30,
            event: 0x6f,
            ended: false,
            data: [offset, 0xff, 0xff],
        })
    };
    state.log.entries().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn what_is_off_has_no_values_of_parts_that_are_off() {
        let mut state = MachineState::new(Timestamp::UNIX_EPOCH);
        let read = |state: &MachineState| gauges(state).map(Gauge::value);
        assert_eq!(read(&state), [Some(22), None, None, Some(8)]);
        state.power = Power::On;
        assert_eq!(read(&state), [Some(22), Some(48), Some(5400), Some(140)]);
        let sensors = ipmi_sensors(&state);
        for (sensor, gauge) in sensors.iter().zip(gauges(&state)) {
            let factors = sensor.record.measure.unwrap().factors;
            let value = sensor.reading.raw.and_then(|raw| factors.measured(raw));
            assert_eq!(value, gauge.value().map(f64::from), "{}", gauge.name);
        }
        assert_eq!(sensors.len(), 5);
        state
            .log
            .note(Timestamp::from_second(1_700_000_000).unwrap(), Logged::PoweredOn);
        assert_eq!(ipmi_events(&state).len(), 1);
    }
}

//! What the numbers of sensors, units and states mean (IPMI 2.0 tables 42-2, 42-3 and 43-15). What is not in these tables is
//! shown as its number.

/// What a sensor of this type watches.
#[must_use]
pub fn sensor_kind(kind: u8) -> String {
    let name = match kind {
        0x01 => "Temperature",
        0x02 => "Voltage",
        0x03 => "Current",
        0x04 => "Fan",
        0x05 => "Physical Security",
        0x06 => "Platform Security",
        0x07 => "Processor",
        0x08 => "Power Supply",
        0x09 => "Power Unit",
        0x0a => "Cooling Device",
        0x0b => "Other Units",
        0x0c => "Memory",
        0x0d => "Drive Slot",
        0x0f => "System Firmware",
        0x10 => "Event Log",
        0x11 | 0x23 => "Watchdog",
        0x12 => "System Event",
        0x13 => "Critical Interrupt",
        0x14 => "Button",
        0x15 => "Module",
        0x1d => "System Boot",
        0x1e => "Boot Error",
        0x1f => "OS Boot",
        0x20 => "OS Stop",
        0x21 => "Slot",
        0x22 => "ACPI Power State",
        0x27 => "LAN",
        0x28 => "Management Subsystem",
        0x29 => "Battery",
        0x2b => "Version Change",
        0x2c => "FRU State",
        _ => return format!("type {kind:#04x}"),
    };
    name.to_owned()
}

/// The symbol of a unit, those of UCUM where there is one, as Redfish writes them; `None` for "unspecified".
#[must_use]
pub fn unit(unit: u8) -> Option<String> {
    let name = match unit {
        0 => return None,
        1 => "Cel",
        2 => "[degF]",
        3 => "K",
        4 => "V",
        5 => "A",
        6 => "W",
        7 => "J",
        8 => "C",
        9 => "V.A",
        14 => "kPa",
        17 => "[ft_i]3/min",
        18 => "RPM",
        19 => "Hz",
        20 => "us",
        21 => "ms",
        22 => "s",
        23 => "min",
        24 => "h",
        25 => "d",
        70 => "bit",
        72 => "By",
        _ => return Some(format!("unit {unit}")),
    };
    Some(name.to_owned())
}

/// How bad a state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be, or neither good nor bad.
    Ok,
    Warning,
    Critical,
}

/// A state in words and how bad it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub text: String,
    pub severity: Severity,
}

use Severity::{Critical, Ok, Warning};

type Row = (u8, &'static str, Severity);

/// Events of thresholds, by number (table 42-2, code 01h).
const THRESHOLDS: [Row; 12] = [
    (0, "below its lower warning limit", Warning),
    (1, "above its lower warning limit", Ok),
    (2, "below its lower critical limit", Critical),
    (3, "above its lower critical limit", Ok),
    (4, "below its lower fatal limit", Critical),
    (5, "above its lower fatal limit", Ok),
    (6, "below its upper warning limit", Ok),
    (7, "above its upper warning limit", Warning),
    (8, "below its upper critical limit", Ok),
    (9, "above its upper critical limit", Critical),
    (10, "below its upper fatal limit", Ok),
    (11, "above its upper fatal limit", Critical),
];

/// States of the generic event types (table 42-2).
fn generic(reading: u8) -> &'static [Row] {
    match reading {
        0x02 => &[(0, "idle", Ok), (1, "active", Ok), (2, "busy", Ok)],
        0x03 => &[(0, "no", Ok), (1, "yes", Ok)],
        0x04 => &[(0, "no failure foreseen", Ok), (1, "failure foreseen", Warning)],
        0x05 => &[(0, "limit not exceeded", Ok), (1, "limit exceeded", Warning)],
        0x06 => &[(0, "performance met", Ok), (1, "performance lags", Warning)],
        0x07 => &[
            (0, "ok", Ok),
            (1, "from ok to not critical", Warning),
            (2, "from less severe to critical", Critical),
            (3, "from less severe to fatal", Critical),
            (4, "from more severe to not critical", Warning),
            (5, "from fatal to critical", Critical),
            (6, "fatal", Critical),
            (7, "monitored", Ok),
            (8, "information", Ok),
        ],
        0x08 => &[(0, "absent", Ok), (1, "present", Ok)],
        0x09 => &[(0, "disabled", Ok), (1, "enabled", Ok)],
        0x0a => &[
            (0, "running", Ok),
            (1, "in test", Ok),
            (2, "powered off", Ok),
            (3, "online", Ok),
            (4, "offline", Ok),
            (5, "off duty", Ok),
            (6, "degraded", Warning),
            (7, "power save", Ok),
            (8, "install error", Warning),
        ],
        0x0b => &[
            (0, "fully redundant", Ok),
            (1, "redundancy lost", Critical),
            (2, "redundancy degraded", Warning),
            (3, "not redundant: enough resources, from redundant", Warning),
            (4, "not redundant: enough resources, from too few", Warning),
            (5, "not redundant: too few resources", Critical),
            (6, "redundancy degraded from full", Warning),
            (7, "redundancy degraded from none", Warning),
        ],
        0x0c => &[(0, "D0", Ok), (1, "D1", Ok), (2, "D2", Ok), (3, "D3", Ok)],
        _ => &[],
    }
}

/// States that belong to a type of sensor (table 42-3); those that operators meet.
const OF_KIND: &[(u8, &[Row])] = &[
    (
        0x05,
        &[
            (0, "chassis opened", Warning),
            (1, "drive bay opened", Warning),
            (4, "LAN lost", Warning),
        ],
    ),
    (
        0x07,
        &[
            (0, "internal error", Critical),
            (1, "thermal trip", Critical),
            (2, "self-test failed", Critical),
            (3, "hangs in POST", Critical),
            (4, "failed to start", Critical),
            (5, "configuration error", Critical),
            (6, "uncorrectable machine check", Critical),
            (7, "present", Ok),
            (8, "disabled", Warning),
            (9, "terminator present", Ok),
            (10, "throttled", Warning),
            (11, "uncorrectable machine check exception", Critical),
            (12, "correctable machine check", Warning),
        ],
    ),
    (
        0x08,
        &[
            (0, "present", Ok),
            (1, "failed", Critical),
            (2, "failure foreseen", Warning),
            (3, "input lost", Critical),
            (4, "input lost or out of range", Critical),
            (5, "input out of range", Warning),
            (6, "configuration error", Critical),
            (7, "inactive", Ok),
        ],
    ),
    (
        0x09,
        &[
            (0, "powered off", Ok),
            (1, "power cycled", Ok),
            (2, "240 V powered off", Ok),
            (3, "interlock powered off", Warning),
            (4, "AC lost", Critical),
            (5, "soft power control failed", Critical),
            (6, "failed", Critical),
            (7, "failure foreseen", Warning),
        ],
    ),
    (
        0x0c,
        &[
            (0, "correctable ECC error", Warning),
            (1, "uncorrectable ECC error", Critical),
            (2, "parity error", Critical),
            (3, "scrub failed", Warning),
            (4, "device disabled", Warning),
            (5, "limit of correctable ECC errors reached", Warning),
            (6, "present", Ok),
            (7, "configuration error", Critical),
            (8, "spare", Ok),
            (9, "throttled", Warning),
            (10, "too hot", Critical),
        ],
    ),
    (
        0x0d,
        &[
            (0, "present", Ok),
            (1, "failed", Critical),
            (2, "failure foreseen", Warning),
            (3, "hot spare", Ok),
            (4, "consistency check", Ok),
            (5, "in a critical array", Critical),
            (6, "in a failed array", Critical),
            (7, "rebuild", Warning),
            (8, "rebuild aborted", Warning),
        ],
    ),
    (
        0x0f,
        &[
            (0, "POST error", Critical),
            (1, "firmware hangs", Critical),
            (2, "firmware progress", Ok),
        ],
    ),
    (
        0x10,
        &[
            (0, "logging of correctable memory errors off", Warning),
            (1, "logging of an event type off", Warning),
            (2, "cleared", Ok),
            (3, "logging off", Warning),
            (4, "full", Warning),
            (5, "almost full", Warning),
        ],
    ),
    (
        0x12,
        &[
            (0, "reconfigured", Ok),
            (1, "OEM boot", Ok),
            (2, "unknown hardware failure", Critical),
            (3, "entry added to the auxiliary log", Ok),
            (4, "action of the event filter", Ok),
            (5, "clock set", Ok),
        ],
    ),
    (
        0x13,
        &[
            (0, "front panel NMI", Critical),
            (1, "bus timeout", Critical),
            (2, "I/O check NMI", Critical),
            (3, "software NMI", Critical),
            (4, "PCI PERR", Critical),
            (5, "PCI SERR", Critical),
            (6, "EISA fail-safe timeout", Critical),
            (7, "bus correctable error", Warning),
            (8, "bus uncorrectable error", Critical),
            (9, "fatal NMI", Critical),
            (10, "bus fatal error", Critical),
            (11, "bus degraded", Warning),
        ],
    ),
    (
        0x14,
        &[
            (0, "power button pressed", Ok),
            (1, "sleep button pressed", Ok),
            (2, "reset button pressed", Ok),
        ],
    ),
    (
        0x1d,
        &[
            (0, "started by power-on", Ok),
            (1, "started by hard reset", Ok),
            (2, "started by warm reset", Ok),
            (3, "PXE boot asked for by the user", Ok),
        ],
    ),
    (
        0x1e,
        &[
            (0, "no bootable medium", Critical),
            (1, "no bootable floppy", Critical),
            (2, "PXE server not found", Critical),
            (3, "bad boot sector", Critical),
            (4, "waited for the user to choose a boot device", Warning),
        ],
    ),
    (
        0x20,
        &[
            (0, "stopped while loading", Critical),
            (1, "stopped at run time", Critical),
            (2, "shut down", Ok),
            (3, "soft shutdown by its BMC", Ok),
        ],
    ),
    (
        0x22,
        &[
            (0, "S0/G0: working", Ok),
            (5, "S5/G2: soft off", Ok),
            (6, "S4/S5: off", Ok),
        ],
    ),
    (
        0x23,
        &[
            (0, "expired", Warning),
            (1, "reset by the watchdog", Critical),
            (2, "powered off by the watchdog", Critical),
            (3, "power cycled by the watchdog", Critical),
            (8, "interrupt of the watchdog", Warning),
        ],
    ),
    (
        0x29,
        &[(0, "low", Warning), (1, "failed", Critical), (2, "present", Ok)],
    ),
    (0x2b, &[(0, "hardware changed", Ok), (1, "version changed", Ok)]),
];

/// A state of a sensor with this type and event type; its number where the tables have no word for it.
#[must_use]
pub fn state(kind: u8, reading: u8, number: u8) -> State {
    let rows: &[Row] = match reading {
        1 => &THRESHOLDS,
        0x6f => OF_KIND
            .iter()
            .find(|(code, _)| *code == kind)
            .map_or(&[] as &[Row], |(_, rows)| *rows),
        _ => generic(reading),
    };
    let found = rows.iter().find(|(code, ..)| *code == number);
    match found {
        Some((_, text, severity)) => State {
            text: (*text).to_owned(),
            severity: *severity,
        },
        None => State {
            text: format!("state {number} of type {kind:#04x}, event {reading:#04x}"),
            severity: Ok,
        },
    }
}

/// How bad it is that a measured value has met these limits, by the bits of Get Sensor Reading (§35.14).
#[must_use]
pub fn threshold_severity(met: u16) -> Severity {
    // Bits 0 and 3 are the warning limits below and above.
    match met & 0x3f {
        0 => Ok,
        bits if bits & 0x36 != 0 => Critical,
        _ => Warning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers() {
        assert_eq!(
            (sensor_kind(1).as_str(), sensor_kind(0xc1).as_str()),
            ("Temperature", "type 0xc1")
        );
        assert_eq!(
            (unit(18).as_deref(), unit(0), unit(99).as_deref()),
            (Some("RPM"), None, Some("unit 99"))
        );
        for (kind, reading, number, text, severity) in [
            (1, 1, 9, "above its upper critical limit", Critical),
            (8, 0x6f, 3, "input lost", Critical),
            (8, 0x0b, 0, "fully redundant", Ok),
            (0xc1, 0x70, 2, "state 2 of type 0xc1, event 0x70", Ok),
        ] {
            let state = state(kind, reading, number);
            assert_eq!((state.text.as_str(), state.severity), (text, severity));
        }
        for (met, severity) in [
            (0, Ok),
            (0xffc0, Ok),
            (0x01, Warning),
            (0x08, Warning),
            (0x02, Critical),
            (0x04, Critical),
            (0x18, Critical),
            (0x20, Critical),
        ] {
            assert_eq!(threshold_severity(met), severity, "{met:#x}");
        }
    }
}

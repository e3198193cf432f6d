//! The event log (IPMI 2.0 §31, §32): its newest entries, with the names of the sensors that made them.

use std::collections::{HashMap, HashSet, VecDeque};

use ::ipmi::{
    Command, Completion, FIRST_ENTRY, LAST_ENTRY, SelEntry, SelInfo, SelRecord, SensorRecord, SystemEvent,
    THRESHOLD, sel_entry_request, sensor_kind, state,
};
use jiff::Timestamp;
use resources::Time;
use resources::bmc::{BmcEvent, BmcProtocol, BmcReport, Health};

use super::Ipmi;
use super::sensors::{health, name_of, rounded, unit_of};
use super::socket::Repeat;
use crate::Error;
use crate::reading_limit::ReadingLimit;

/// Entries that are kept.
const KEPT: u16 = 512;
/// Entries that are looked at, at most.
const MOST: usize = 4096;
/// Times below count from the start of the BMC (§37.1).
const SINCE_START: u32 = 0x2000_0000;
const NO_TIME: u32 = u32::MAX;

type Sensors = HashMap<u8, SensorRecord>;

impl Ipmi {
    pub(super) async fn read_log(&self) -> Result<BmcReport, Error> {
        let device = self.read_device().await?;
        if !device.has_sel {
            return Err(Error::Missing {
                host: self.host().to_owned(),
                what: "event log",
                reason: "its device id names none".to_owned(),
            });
        }
        let mut report = BmcReport::new(BmcProtocol::Ipmi);
        let data = self.run(Command::SelInfo, &[], Repeat::Yes).await?;
        let info = SelInfo::parse(&data).map_err(self.malformed(Command::SelInfo))?;
        if info.overflowed {
            report
                .notes
                .push("the log was full, and entries are lost".to_owned());
        }
        if info.entries == 0 {
            return Ok(report);
        }
        let entries = self.newest(info.entries, &mut report.notes).await?;
        let sensors = match self.list_sensors(device).await {
            Ok(list) => list.sensors,
            Err(Error::Completion { .. } | Error::Missing { .. } | Error::Malformed { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let sensors: Sensors = sensors
            .into_iter()
            .map(|sensor| (sensor.number, sensor))
            .collect();
        report.events = entries.iter().map(|entry| event(entry, &sensors)).collect();
        Ok(report)
    }

    /// The newest entries, oldest first. Most BMCs number theirs one after the other, so that old ones can be passed over;
    /// where that does not work they are read from the first on.
    async fn newest(&self, count: u16, notes: &mut Vec<String>) -> Result<VecDeque<SelEntry>, Error> {
        let mut number = FIRST_ENTRY;
        if count > KEPT {
            notes.push(format!("the newest {KEPT} of {count} entries"));
            let last = self.entry(LAST_ENTRY).await?.map(|entry| entry.number);
            let begin = last.map_or(FIRST_ENTRY, |last| last.saturating_sub(KEPT.saturating_sub(1)));
            if self.entry(begin).await?.is_some() {
                number = begin;
            }
        }
        let (mut kept, mut seen) = (VecDeque::new(), HashSet::new());
        let mut limit = ReadingLimit::new("entries of the log", MOST);
        loop {
            if let Err(why) = limit.next() {
                notes.push(why);
                break;
            }
            // A log that was cleared meanwhile ends here.
            let Some(entry) = self.entry(number).await? else {
                break;
            };
            if !seen.insert(entry.number) {
                notes.push(format!("the log leads back to entry {}", entry.number));
                break;
            }
            if kept.len() >= usize::from(KEPT) {
                kept.pop_front();
            }
            kept.push_back(entry);
            if entry.next == LAST_ENTRY {
                break;
            }
            number = entry.next;
        }
        Ok(kept)
    }

    /// One entry; `None` where there is none of this number.
    async fn entry(&self, number: u16) -> Result<Option<SelEntry>, Error> {
        let command = Command::GetSelEntry;
        match self.run(command, &sel_entry_request(number), Repeat::Yes).await {
            Ok(data) => SelEntry::parse(&data).map(Some).map_err(self.malformed(command)),
            Err(Error::Completion { completion, .. }) if completion == Completion::NOT_PRESENT => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn time(seconds: u32) -> Option<Time> {
    if seconds < SINCE_START || seconds == NO_TIME {
        return None;
    }
    Timestamp::from_second(i64::from(seconds)).ok().map(Time)
}

fn event(entry: &SelEntry, sensors: &Sensors) -> BmcEvent {
    let id = entry.number.to_string();
    match entry.record {
        SelRecord::System(seen) => {
            let sensor = sensors
                .get(&seen.number)
                .filter(|sensor| sensor.kind == seen.kind);
            let name = sensor.map(name_of);
            let (text, severity) = told(seen, sensor);
            BmcEvent {
                id,
                at: time(seen.time),
                severity,
                source: Some(
                    name.unwrap_or_else(|| format!("{} {:#04x}", sensor_kind(seen.kind), seen.number)),
                ),
                text,
            }
        }
        SelRecord::Other {
            kind,
            time: seconds,
            data,
        } => BmcEvent {
            id,
            at: seconds.and_then(time),
            severity: Health::Unknown,
            source: None,
            text: format!("record of the maker's type {kind:#04x}: {}", hex::encode(data)),
        },
    }
}

fn told(seen: SystemEvent, sensor: Option<&SensorRecord>) -> (String, Health) {
    let state = state(seen.kind, seen.event, seen.state());
    let mut text = state.text;
    let [first, second, third] = seen.data;
    if seen.event == THRESHOLD {
        // What stands in the further bytes is in the upper bits of the first (table 29-6).
        let reading = (first >> 6 == 1).then_some(second);
        let limit = (first >> 4 & 3 == 1).then_some(third);
        let value = |raw: u8| Some(rounded(sensor?.measure?.factors.measured(raw)?));
        let unit = sensor
            .and_then(unit_of)
            .map(|unit| format!(" {unit}"))
            .unwrap_or_default();
        let numbers = [("", reading), ("limit ", limit)];
        let numbers = numbers
            .into_iter()
            .filter_map(|(word, raw)| Some(format!("{word}{}{unit}", value(raw?)?)));
        let numbers: Vec<String> = numbers.collect();
        if !numbers.is_empty() {
            text = format!("{text} ({})", numbers.join(", "));
        }
    } else if first >> 4 != 0 {
        text = format!("{text} (data {second:02x} {third:02x})");
    }
    if seen.ended {
        return (format!("no longer: {text}"), Health::Ok);
    }
    (text, health(state.severity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::ipmi::{Factors, Format, Linear, Measure, Thresholds};

    fn entry(event: u8, kind: u8, ended: bool, data: [u8; 3]) -> SelEntry {
        SelEntry {
            next: LAST_ENTRY,
            number: 7,
            record: SelRecord::System(SystemEvent {
                time: 1_700_000_000,
                generator: 0x20,
                kind,
                number: 4,
                event,
                ended,
                data,
            }),
        }
    }

    fn inlet() -> Sensors {
        let record = SensorRecord {
            owner: 0x20,
            lun: 0,
            number: 4,
            entity: (0x40, 1),
            kind: 1,
            reading: THRESHOLD,
            percent: false,
            unit: 1,
            measure: Some(Measure {
                factors: Factors {
                    format: Format::Unsigned,
                    linear: Linear::None,
                    m: 1,
                    b: 0,
                    b_exponent: 0,
                    r_exponent: 0,
                },
                thresholds: Thresholds::default(),
            }),
            name: "Inlet Temp".to_owned(),
        };
        [(4, record)].into()
    }

    #[test]
    fn entries_in_words() {
        let known = inlet();
        for (entry, source, text, severity) in [
            (
                entry(1, 1, false, [0x59, 95, 90]),
                "Inlet Temp",
                "above its upper critical limit (95 Cel, limit 90 Cel)",
                Health::Critical,
            ),
            (
                entry(1, 1, true, [0x59, 80, 90]),
                "Inlet Temp",
                "no longer: above its upper critical limit (80 Cel, limit 90 Cel)",
                Health::Ok,
            ),
            (
                entry(0x6f, 8, false, [0x03, 0xff, 0xff]),
                "Power Supply 0x04",
                "input lost",
                Health::Critical,
            ),
            (
                entry(0x6f, 0x0c, false, [0xa0, 1, 2]),
                "Memory 0x04",
                "correctable ECC error (data 01 02)",
                Health::Warning,
            ),
        ] {
            let told = event(&entry, &known);
            assert_eq!(
                (told.source.as_deref(), told.text.as_str(), told.severity),
                (Some(source), text, severity)
            );
            assert_eq!(told.at.unwrap().0.to_string(), "2023-11-14T22:13:20Z");
        }
        let other = SelEntry {
            next: 8,
            number: 7,
            record: SelRecord::Other {
                kind: 0xe1,
                time: None,
                data: [1; 9],
            },
        };
        let told = event(&other, &known);
        assert!(
            told.at.is_none() && told.text.ends_with("0xe1: 010101010101010101"),
            "{told:?}"
        );
        assert_eq!(time(77), None);
        assert_eq!(time(NO_TIME), None);
    }
}

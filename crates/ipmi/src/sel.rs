//! The system event log (IPMI 2.0 §31.2, §31.5 and §32).

use crate::Malformed;
use crate::reader::Reader;

/// Number of the first entry, and the number that stands for "the last one".
pub const FIRST_ENTRY: u16 = 0;
pub const LAST_ENTRY: u16 = 0xffff;

/// The answer to Get SEL Info.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelInfo {
    pub entries: u16,
    /// Entries were lost because the log was full.
    pub overflowed: bool,
}

impl SelInfo {
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "the state of the event log");
        reader.skip(1)?;
        let entries = reader.u16()?;
        // Free space and the times of the last addition and clearing.
        reader.skip(10)?;
        Ok(Self {
            entries,
            overflowed: reader.u8()? & 0x80 != 0,
        })
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; 14] {
        let [low, high] = self.entries.to_le_bytes();
        let flags = if self.overflowed { 0x80 } else { 0 };
        [0x51, low, high, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, flags]
    }
}

/// Data of a request for a whole entry, without a reservation.
#[must_use]
pub fn sel_entry_request(entry: u16) -> [u8; 6] {
    let [low, high] = entry.to_le_bytes();
    [0, 0, low, high, 0, 0xff]
}

/// The entry that a request asks for.
pub fn sel_entry_asked(data: &[u8]) -> Result<u16, Malformed> {
    let mut reader = Reader::new(data, "a request for an entry of the event log");
    reader.skip(2)?;
    reader.u16()
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelRecord {
    /// Something that a sensor saw.
    System(SystemEvent),
    /// A record of the maker's own, with a time if it has one.
    Other {
        kind: u8,
        time: Option<u32>,
        data: [u8; 9],
    },
}

/// An event of a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemEvent {
    /// Seconds since 1970, or a small number of seconds since the BMC started.
    pub time: u32,
    /// Who has made it.
    pub generator: u16,
    /// What the sensor watches (table 42-3), and its number.
    pub kind: u8,
    pub number: u8,
    /// Kind of event (table 42-1), as for readings of sensors.
    pub event: u8,
    /// The state has ended.
    pub ended: bool,
    pub data: [u8; 3],
}

/// An entry with its number and that of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelEntry {
    pub next: u16,
    pub number: u16,
    pub record: SelRecord,
}

const SYSTEM: u8 = 0x02;
/// Kinds from here on have no time.
const WITHOUT_TIME: u8 = 0xe0;

impl SelEntry {
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "an entry of the event log");
        let (next, number, kind) = (reader.u16()?, reader.u16()?, reader.u8()?);
        if kind != SYSTEM {
            let time = if kind < WITHOUT_TIME {
                Some(reader.u32()?)
            } else {
                None
            };
            if time.is_none() {
                reader.skip(4)?;
            }
            let data = reader.array()?;
            return Ok(Self {
                next,
                number,
                record: SelRecord::Other { kind, time, data },
            });
        }
        let (time, generator) = (reader.u32()?, reader.u16()?);
        let [_, kind, sensor, event, d1, d2, d3] = reader.array()?;
        let record = SelRecord::System(SystemEvent {
            time,
            generator,
            kind,
            number: sensor,
            event: event & 0x7f,
            ended: event & 0x80 != 0,
            data: [d1, d2, d3],
        });
        Ok(Self { next, number, record })
    }

    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = [self.next.to_le_bytes(), self.number.to_le_bytes()].concat();
        match self.record {
            SelRecord::System(event) => {
                bytes.push(SYSTEM);
                bytes.extend(event.time.to_le_bytes());
                bytes.extend(event.generator.to_le_bytes());
                // Event message format of IPMI 1.5 and later.
                bytes.extend([4, event.kind, event.number]);
                bytes.push(event.event | if event.ended { 0x80 } else { 0 });
                bytes.extend(event.data);
            }
            SelRecord::Other { kind, time, data } => {
                bytes.push(kind);
                bytes.extend(time.unwrap_or_default().to_le_bytes());
                bytes.extend(data);
            }
        }
        bytes
    }
}

impl SystemEvent {
    /// The state or limit that the event is about: its number in the tables of states.
    #[must_use]
    pub fn state(self) -> u8 {
        let [first, ..] = self.data;
        first & 0x0f
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let event = SystemEvent {
            time: 1_700_000_000,
            generator: 0x20,
            kind: 1,
            number: 4,
            event: 1,
            ended: true,
            data: [0x59, 95, 90],
        };
        assert_eq!(event.state(), 9);
        for record in [
            SelRecord::System(event),
            SelRecord::Other {
                kind: 0xc0,
                time: Some(7),
                data: [1; 9],
            },
            SelRecord::Other {
                kind: 0xe1,
                time: None,
                data: [2; 9],
            },
        ] {
            let entry = SelEntry {
                next: LAST_ENTRY,
                number: 3,
                record,
            };
            assert_eq!(SelEntry::parse(&entry.to_bytes()), Ok(entry));
            assert_eq!(entry.to_bytes().len(), 18);
            assert!(SelEntry::parse(&entry.to_bytes()[..17]).is_err());
        }
        assert_eq!(sel_entry_asked(&sel_entry_request(0x1234)), Ok(0x1234));
        let info = SelInfo {
            entries: 512,
            overflowed: true,
        };
        assert_eq!(SelInfo::parse(&info.to_bytes()), Ok(info));
    }
}

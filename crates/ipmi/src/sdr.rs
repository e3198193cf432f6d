//! Sensor data records (IPMI 2.0 §43.1 and §43.2) and the commands that read them (§33.9, §33.11, §33.12).

use crate::Malformed;
use crate::reader::Reader;
use crate::reading::{Factors, Format};
use crate::text;

/// Number of the first record, and the number that stands for "no further one".
pub const FIRST_RECORD: u16 = 0;
pub const LAST_RECORD: u16 = 0xffff;
/// Bytes before the part of a record whose length it names.
pub const SDR_HEADER: u8 = 5;

const WHAT: &str = "a sensor record";
const FULL: u8 = 1;
const COMPACT: u8 = 2;

/// The answer to Get SDR Repository Info.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdrInfo {
    pub records: u16,
}

impl SdrInfo {
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "the number of sensor records");
        reader.skip(1)?;
        Ok(Self {
            records: reader.u16()?,
        })
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; 14] {
        let [low, high] = self.records.to_le_bytes();
        // SDR version 1.5, free space not told, no changes so far, can be reserved.
        [0x51, low, high, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x02]
    }
}

/// Data of a Get SDR request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdrRequest {
    pub reservation: u16,
    pub record: u16,
    pub offset: u8,
    pub count: u8,
}

impl SdrRequest {
    #[must_use]
    pub fn to_bytes(self) -> [u8; 6] {
        let [r0, r1] = self.reservation.to_le_bytes();
        let [n0, n1] = self.record.to_le_bytes();
        [r0, r1, n0, n1, self.offset, self.count]
    }

    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "a request for a sensor record");
        Ok(Self {
            reservation: reader.u16()?,
            record: reader.u16()?,
            offset: reader.u8()?,
            count: reader.u8()?,
        })
    }
}

/// A part of a record, and the number of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdrPart<'a> {
    pub next: u16,
    pub bytes: &'a [u8],
}

impl<'a> SdrPart<'a> {
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "a part of a sensor record");
        let next = reader.u16()?;
        Ok(Self {
            next,
            bytes: reader.rest(),
        })
    }
}

/// How long a whole record is, by its first bytes.
pub fn sdr_length(header: &[u8]) -> Result<u8, Malformed> {
    let [.., length] = Reader::new(header, WHAT).array::<5>()?;
    SDR_HEADER.checked_add(length).ok_or(Malformed::Length(WHAT))
}

/// The bits of limits, in the order of their values: warning, critical and fatal below, then above.
const MASKS: [u8; 6] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20];

/// Limits of a sensor as raw values; `None` where a limit is not readable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thresholds {
    pub lower_warning: Option<u8>,
    pub lower_critical: Option<u8>,
    pub lower_fatal: Option<u8>,
    pub upper_warning: Option<u8>,
    pub upper_critical: Option<u8>,
    pub upper_fatal: Option<u8>,
}

impl Thresholds {
    /// The answer to Get Sensor Thresholds (§35.9): which limits can be read, and their values from the lower ones on.
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let [readable, lnc, lc, lnr, unc, uc, unr] = Reader::new(data, "limits of a sensor").array()?;
        Ok(Self::of(readable, [lnc, lc, lnr, unc, uc, unr]))
    }

    fn of(readable: u8, values: [u8; 6]) -> Self {
        let [lnc, lc, lnr, unc, uc, unr] = MASKS;
        let [
            below_warning,
            below_critical,
            below_fatal,
            warning,
            critical,
            fatal,
        ] = values;
        let value = |bit: u8, value: u8| (readable & bit != 0).then_some(value);
        Self {
            lower_warning: value(lnc, below_warning),
            lower_critical: value(lc, below_critical),
            lower_fatal: value(lnr, below_fatal),
            upper_warning: value(unc, warning),
            upper_critical: value(uc, critical),
            upper_fatal: value(unr, fatal),
        }
    }

    /// Mask and values as they stand in an answer.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 7] {
        let all = [
            self.lower_warning,
            self.lower_critical,
            self.lower_fatal,
            self.upper_warning,
            self.upper_critical,
            self.upper_fatal,
        ];
        let bits = all.into_iter().zip(MASKS);
        let mask = bits.fold(
            0,
            |mask, (value, bit)| if value.is_some() { mask | bit } else { mask },
        );
        let [lnc, lc, lnr, unc, uc, unr] = all.map(Option::unwrap_or_default);
        [mask, lnc, lc, lnr, unc, uc, unr]
    }
}

/// What turns a raw value into a measured one, and how it is limited. Only of sensors that measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    pub factors: Factors,
    pub thresholds: Thresholds,
}

/// A sensor, by its full or compact record.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorRecord {
    /// The controller that has the sensor, and its unit number there.
    pub owner: u8,
    pub lun: u8,
    pub number: u8,
    /// What part it is on, by the table of entities (§43.14), and which of several.
    pub entity: (u8, u8),
    /// What it watches (table 42-3).
    pub kind: u8,
    /// Threshold (1), generic discrete (2 to 0x0c), of its kind (0x6f) (table 42-1).
    pub reading: u8,
    /// In percent, whatever the unit.
    pub percent: bool,
    /// Unit (table 43-15).
    pub unit: u8,
    pub measure: Option<Measure>,
    pub name: String,
}

/// Number of a sensor of thresholds.
pub const THRESHOLD: u8 = 1;

impl SensorRecord {
    /// Reads a record; `None` for those that are not about a sensor that can be read.
    pub fn parse(record: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader::new(record, WHAT);
        let [_, _, _, kind, _] = reader.array()?;
        match kind {
            FULL | COMPACT => Self::body(reader, kind == FULL).map(Some),
            _ => Ok(None),
        }
    }

    fn body(mut reader: Reader<'_>, full: bool) -> Result<Self, Malformed> {
        let [owner, lun, number, entity, instance, _, _, kind, reading] = reader.array()?;
        // Which events there are, then which limits can be read, and which can be set.
        reader.skip(4)?;
        let [readable, _] = reader.array()?;
        let [units, unit, _] = reader.array()?;
        let measure = if full {
            Self::measure(&mut reader, units, readable)?.filter(|_| reading == THRESHOLD)
        } else {
            reader.skip(8)?;
            None
        };
        let named = reader.u8()?;
        let name = text::decode(named >> 6, reader.take(usize::from(named & 0x1f))?);
        Ok(Self {
            owner,
            lun: lun & 3,
            number,
            entity: (entity, instance),
            kind,
            reading: reading & 0x7f,
            percent: units & 1 != 0,
            unit,
            measure,
            name: name.unwrap_or_default(),
        })
    }

    /// The 24 bytes of a full record that a compact one does not have.
    fn measure(reader: &mut Reader<'_>, units: u8, readable: u8) -> Result<Option<Measure>, Malformed> {
        let factors: [u8; 7] = reader.array()?;
        reader.skip(6)?;
        let [unr, uc, unc, lnr, lc, lnc] = reader.array()?;
        reader.skip(5)?;
        let format = Format::of(units >> 6);
        Ok(format.map(|format| Measure {
            factors: Factors::of_record(format, factors),
            thresholds: Thresholds::of(readable, [lnc, lc, lnr, unc, uc, unr]),
        }))
    }

    /// A record of this number: full for a sensor that measures, compact for another.
    #[must_use]
    pub fn to_bytes(&self, record: u16) -> Vec<u8> {
        let [low, high] = record.to_le_bytes();
        let full = self.measure.is_some();
        let mut body = vec![
            self.owner,
            self.lun & 3,
            self.number,
            self.entity.0,
            self.entity.1,
        ];
        // Scanning works from the start, and thresholds can be read.
        body.extend([0x7f, if full { 0x44 } else { 0x40 }, self.kind, self.reading]);
        let thresholds = self.measure.map(|measure| measure.thresholds.to_bytes());
        let [readable, lnc, lc, lnr, unc, uc, unr] = thresholds.unwrap_or_default();
        let masks = if full {
            [0, 0, 0, 0, readable, 0]
        } else {
            [0xff, 0, 0xff, 0, 0xff, 0]
        };
        body.extend(masks);
        // Without a format there is nothing to measure.
        let format = self.measure.map_or(3, |measure| measure.factors.format.number());
        body.extend([format << 6 | u8::from(self.percent), self.unit, 0]);
        match self.measure {
            Some(measure) => {
                body.extend(measure.factors.to_record());
                body.extend([0, 0, 0, 0, 0xff, 0]);
                body.extend([unr, uc, unc, lnr, lc, lnc]);
                body.extend([0; 5]);
            }
            None => body.extend([1, 0, 0, 0, 0, 0, 0, 0]),
        }
        let name: Vec<u8> = self.name.bytes().filter(u8::is_ascii).take(16).collect();
        body.push(0xc0 | u8::try_from(name.len()).unwrap_or_default());
        body.extend(name);
        let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
        let head = [low, high, 0x51, if full { FULL } else { COMPACT }, length];
        [head.as_slice(), &body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Linear;

    fn inlet() -> SensorRecord {
        SensorRecord {
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
                    format: Format::Twos,
                    linear: Linear::None,
                    m: 5,
                    b: -3,
                    b_exponent: 1,
                    r_exponent: -1,
                },
                thresholds: Thresholds {
                    upper_warning: Some(80),
                    upper_critical: Some(90),
                    ..Thresholds::default()
                },
            }),
            name: "Inlet Temp".to_owned(),
        }
    }

    #[test]
    fn there_and_back() {
        let full = inlet();
        let bytes = full.to_bytes(7);
        assert_eq!(usize::from(sdr_length(&bytes).unwrap()), bytes.len());
        assert_eq!(SensorRecord::parse(&bytes), Ok(Some(full.clone())));
        let compact = SensorRecord {
            kind: 8,
            reading: 0x6f,
            measure: None,
            unit: 0,
            name: "PSU 1".to_owned(),
            ..full
        };
        let bytes = compact.to_bytes(8);
        assert_eq!(SensorRecord::parse(&bytes), Ok(Some(compact)));
        let mut other = bytes.clone();
        other[3] = 0x12;
        assert_eq!(SensorRecord::parse(&other), Ok(None));
        for end in 5..bytes.len() - 5 {
            assert!(SensorRecord::parse(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn thresholds() {
        let some = inlet().measure.unwrap().thresholds;
        assert_eq!(some.to_bytes(), [0x18, 0, 0, 0, 80, 90, 0]);
        assert_eq!(Thresholds::parse(&some.to_bytes()), Ok(some));
        assert!(Thresholds::parse(&[0; 6]).is_err());
    }
}

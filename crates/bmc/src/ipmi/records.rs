//! The list of sensor records (IPMI 2.0 §33), read in parts under a reservation.
//!
//! A BMC is not believed about the list's end: it is left when a record comes again, and by number and time.

use std::collections::HashSet;

use ::ipmi::{
    Command, Completion, DeviceId, FIRST_RECORD, LAST_RECORD, Malformed, SDR_HEADER, SdrPart, SdrRequest,
    SensorRecord, sdr_length,
};

use super::Ipmi;
use super::socket::Repeat;
use crate::Error;
use crate::reading_limit::ReadingLimit;

/// More records than any machine has.
const MOST: usize = 1024;
/// Bytes that are read of a record at a time, at first.
const PART: u8 = 32;
/// The fewest: less makes no sense to ask for.
const SMALLEST: u8 = 4;
/// So often in one list a reservation is made anew.
const RESERVATIONS: u32 = 8;

/// How the list is being read.
struct Reading {
    reservation: u16,
    reservations: u32,
    part: u8,
}

/// The sensors that a BMC lists, and why some are missing.
pub(super) struct SensorList {
    pub(super) sensors: Vec<SensorRecord>,
    pub(super) notes: Vec<String>,
}

impl Ipmi {
    pub(super) async fn read_device(&self) -> Result<DeviceId, Error> {
        let data = self.run(Command::DeviceId, &[], Repeat::Yes).await?;
        DeviceId::parse(&data).map_err(self.malformed(Command::DeviceId))
    }

    /// All records of sensors that this BMC itself has.
    pub(super) async fn list_sensors(&self, device: DeviceId) -> Result<SensorList, Error> {
        if !device.has_sdr {
            return Err(Error::Missing {
                host: self.host().to_owned(),
                what: "list of sensors",
                reason: "its device id names no SDR repository".to_owned(),
            });
        }
        let mut list = SensorList {
            sensors: Vec::new(),
            notes: Vec::new(),
        };
        let mut reading = Reading {
            reservation: self.reserve().await?,
            reservations: RESERVATIONS,
            part: PART,
        };
        let (mut limit, mut seen, mut elsewhere) =
            (ReadingLimit::new("sensor records", MOST), HashSet::new(), 0u32);
        let mut number = FIRST_RECORD;
        loop {
            if let Err(why) = limit.next() {
                list.notes.push(why);
                break;
            }
            let record = match self.read_record(&mut reading, number).await {
                Ok(record) => record,
                // A machine without sensors.
                Err(Error::Completion { completion, .. })
                    if completion == Completion::NOT_PRESENT && number == FIRST_RECORD =>
                {
                    break;
                }
                Err(error) => return Err(error),
            };
            if !seen.insert(record.number) {
                list.notes.push(format!(
                    "the list of sensors leads back to record {}",
                    record.number
                ));
                break;
            }
            match SensorRecord::parse(&record.bytes) {
                Ok(Some(sensor)) if is_here(&sensor) => list.sensors.push(sensor),
                Ok(Some(_)) => elsewhere = elsewhere.saturating_add(1),
                Ok(None) => {}
                Err(problem) => list.notes.push(format!("record {}: {problem}", record.number)),
            }
            if record.next == LAST_RECORD {
                break;
            }
            number = record.next;
        }
        if elsewhere > 0 {
            list.notes.push(format!(
                "{elsewhere} sensors of other controllers than the BMC are not read"
            ));
        }
        Ok(list)
    }

    async fn reserve(&self) -> Result<u16, Error> {
        match self.optional(Command::ReserveSdr, &[]).await? {
            Some(data) => match data.as_slice() {
                [low, high, ..] => Ok(u16::from_le_bytes([*low, *high])),
                _ => Err(self.malformed(Command::ReserveSdr)(Malformed::Short(
                    "a reservation",
                ))),
            },
            // A BMC without reservations takes 0.
            None => Ok(0),
        }
    }

    async fn read_record(&self, reading: &mut Reading, number: u16) -> Result<Record, Error> {
        let (next, header) = self.read_part_of(reading, number, 0, SDR_HEADER).await?;
        let wrong = self.malformed(Command::GetSdr);
        let whole = sdr_length(&header).map_err(wrong)?;
        let own = header
            .first_chunk()
            .map_or(number, |bytes| u16::from_le_bytes(*bytes));
        let mut bytes = header;
        // Not by its number: where that is 0 for the first record, the BMC knows another one.
        while bytes.len() < usize::from(whole) {
            let done = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
            let wanted = whole.saturating_sub(done).min(reading.part);
            match self.read_part_of(reading, number, done, wanted).await {
                Ok((_, part)) => bytes.extend(part),
                Err(Error::Completion { completion, .. })
                    if completion == Completion::TOO_MANY_BYTES && reading.part > SMALLEST =>
                {
                    reading.part = (reading.part / 2).max(SMALLEST);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Record {
            number: own,
            next,
            bytes,
        })
    }

    /// A part of a record, of just so many bytes, and the number of the next record.
    async fn read_part_of(
        &self,
        reading: &mut Reading,
        record: u16,
        offset: u8,
        count: u8,
    ) -> Result<(u16, Vec<u8>), Error> {
        loop {
            let request = SdrRequest {
                reservation: reading.reservation,
                record,
                offset,
                count,
            };
            let data = match self.run(Command::GetSdr, &request.to_bytes(), Repeat::Yes).await {
                Ok(data) => data,
                Err(Error::Completion { completion, .. })
                    if completion == Completion::RESERVATION && reading.reservations > 0 =>
                {
                    reading.reservations = reading.reservations.saturating_sub(1);
                    reading.reservation = self.reserve().await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let part = SdrPart::parse(&data).map_err(self.malformed(Command::GetSdr))?;
            let bytes = part.bytes.get(..usize::from(count));
            let bytes = bytes.ok_or_else(|| {
                self.malformed(Command::GetSdr)(Malformed::Short("a part of a sensor record"))
            })?;
            return Ok((part.next, bytes.to_vec()));
        }
    }
}

/// One record as the BMC gave it.
struct Record {
    number: u16,
    next: u16,
    bytes: Vec<u8>,
}

/// Whether the BMC itself has the sensor; others would have to be asked through it.
fn is_here(sensor: &SensorRecord) -> bool {
    /// Address of the BMC.
    const BMC: u8 = 0x20;
    sensor.owner == BMC && sensor.lun == 0
}

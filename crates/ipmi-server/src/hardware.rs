//! Sensors and event log, as far as the machine behind the BMC has them.

use std::time::SystemTime;

use ipmi::{
    Command, Completion, LAST_ENTRY, LAST_RECORD, SdrInfo, SdrRequest, SelEntry, SelInfo, SelRecord,
    sel_entry_asked,
};

use crate::answer::Answer;
use crate::chassis::{Lie, Profile, Sensor};

/// The one reservation that there is.
const RESERVATION: [u8; 2] = [1, 0];
/// Most bytes of a record in one answer.
const PART: usize = 64;

/// The number of a record or entry by its place; both are counted from 1.
fn number(place: usize) -> u16 {
    u16::try_from(place).unwrap_or(u16::MAX).saturating_add(1)
}

/// The place of a record or entry; 0 asks for the first one, whatever its number is.
fn place(number: u16) -> usize {
    usize::from(number).saturating_sub(1)
}

/// A command about sensors and their records.
pub(crate) fn sensors(command: Command, data: &[u8], profile: &Profile, sensors: &[Sensor]) -> Answer {
    let device = profile.device;
    let has = match command {
        Command::SdrInfo | Command::ReserveSdr | Command::GetSdr => device.has_sdr,
        _ => device.has_sensors,
    };
    if !has {
        return Err(Completion::INVALID_COMMAND);
    }
    match command {
        Command::SdrInfo => {
            let records = u16::try_from(sensors.len()).unwrap_or(u16::MAX);
            Ok(SdrInfo { records }.to_bytes().to_vec())
        }
        Command::ReserveSdr => Ok(RESERVATION.to_vec()),
        Command::GetSdr => record(data, profile, sensors),
        Command::SensorReading => Ok(of_sensor(data, sensors)?.reading.to_bytes().to_vec()),
        Command::SensorThresholds => {
            let measure = of_sensor(data, sensors)?.record.measure;
            let measure = measure.ok_or(Completion::NOT_PRESENT)?;
            Ok(measure.thresholds.to_bytes().to_vec())
        }
        // No sensor here has factors that vary with the reading.
        _ => Err(Completion::INVALID_COMMAND),
    }
}

fn of_sensor<'a>(data: &[u8], sensors: &'a [Sensor]) -> Result<&'a Sensor, Completion> {
    let [number, ..] = data else {
        return Err(Completion::LENGTH);
    };
    let found = sensors.iter().find(|sensor| sensor.record.number == *number);
    found.ok_or(Completion::NOT_PRESENT)
}

fn record(data: &[u8], profile: &Profile, sensors: &[Sensor]) -> Answer {
    let asked = SdrRequest::parse(data).map_err(|_| Completion::LENGTH)?;
    let lies = |lie| profile.lies.contains(&lie);
    let reserved = asked.reservation.to_le_bytes() == RESERVATION && !lies(Lie::ReservationsLost);
    if asked.offset != 0 && !reserved {
        return Err(Completion::RESERVATION);
    }
    let at = place(asked.record);
    let sensor = sensors.get(at).ok_or(Completion::NOT_PRESENT)?;
    let bytes = sensor.record.to_bytes(number(at));
    let rest = bytes
        .get(usize::from(asked.offset)..)
        .ok_or(Completion::OUT_OF_RANGE)?;
    let most = if lies(Lie::SmallReads) { 8 } else { PART };
    let wanted = usize::from(asked.count).min(rest.len());
    if wanted > most {
        return Err(Completion::TOO_MANY_BYTES);
    }
    let part = rest.get(..wanted).unwrap_or_default();
    let next = match at.saturating_add(1) {
        next if next < sensors.len() => number(next),
        _ if lies(Lie::SensorsLoop) => number(0),
        _ => LAST_RECORD,
    };
    Ok([&next.to_le_bytes(), part].concat())
}

/// A command about the event log.
pub(crate) fn events(command: Command, data: &[u8], profile: &Profile, events: &[SelRecord]) -> Answer {
    if !profile.device.has_sel {
        return Err(Completion::INVALID_COMMAND);
    }
    match command {
        Command::SelInfo => {
            let entries = u16::try_from(events.len()).unwrap_or(u16::MAX);
            let info = SelInfo {
                entries,
                overflowed: false,
            };
            Ok(info.to_bytes().to_vec())
        }
        Command::ReserveSel => Ok(RESERVATION.to_vec()),
        Command::SelTime => {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            Ok(u32::try_from(now.as_secs())
                .unwrap_or_default()
                .to_le_bytes()
                .to_vec())
        }
        _ => entry(data, profile, events),
    }
}

fn entry(data: &[u8], profile: &Profile, events: &[SelRecord]) -> Answer {
    let asked = sel_entry_asked(data).map_err(|_| Completion::LENGTH)?;
    let endless = profile.lies.contains(&Lie::LogNeverEnds);
    let last = events.len().checked_sub(1).ok_or(Completion::NOT_PRESENT)?;
    let at = if asked == LAST_ENTRY { last } else { place(asked) };
    let shown = if endless { at.min(last) } else { at };
    let record = *events.get(shown).ok_or(Completion::NOT_PRESENT)?;
    let further = endless || at < last;
    let entry = SelEntry {
        next: if further {
            number(at.saturating_add(1))
        } else {
            LAST_ENTRY
        },
        number: number(at),
        record,
    };
    Ok(entry.to_bytes())
}

//! Time. Before the appliance is known to be itself its word sets no clock; it only serves to check its certificate.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_protocol::environment::BUILD_TIME_PATH;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use super::syscalls::{RtcTime, set_rtc};
use crate::Error;

/// When the initramfs was built, since the Unix epoch; zero when it does not say.
#[must_use]
pub fn build_time() -> Duration {
    let text = std::fs::read_to_string(BUILD_TIME_PATH).unwrap_or_default();
    let time = text.trim().parse::<jiff::Timestamp>().ok();
    time.and_then(|time| time.as_duration().try_into().ok())
        .unwrap_or_default()
}

/// The time by which the first certificate is checked: what the boot script told plus the time since the kernel's start,
/// else the machine's own clock, and never before the initramfs was built.
#[must_use]
pub fn first_time(told: Option<Duration>, uptime: Duration, build: Duration) -> Duration {
    let own = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    told.map_or_else(own, |told| told.saturating_add(uptime))
        .max(build)
}

/// Sets system clock and hardware clock.
///
/// # Errors
/// When the system clock can't be set; a machine may have no hardware clock.
pub fn set_clock(now: Duration) -> Result<(), Error> {
    let spec = TimeSpec::from_duration(now);
    clock_settime(ClockId::CLOCK_REALTIME, spec).map_err(Error::kernel("setting the clock"))?;
    if let Some((device, time)) = rtc().zip(civil(now)) {
        // Some hypervisors refuse it; the system clock is what counts.
        let _ = set_rtc(&device, &time);
    }
    Ok(())
}

fn rtc() -> Option<File> {
    OpenOptions::new().read(true).open(Path::new("/dev/rtc0")).ok()
}

fn civil(now: Duration) -> Option<RtcTime> {
    let seconds = i64::try_from(now.as_secs()).ok()?;
    let time = jiff::Timestamp::from_second(seconds)
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC);
    Some(RtcTime {
        second: time.second().into(),
        minute: time.minute().into(),
        hour: time.hour().into(),
        day: time.day().into(),
        month: i32::from(time.month()) - 1,
        year: i32::from(time.year()) - 1900,
        ..RtcTime::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_before_the_build() {
        let seconds = Duration::from_secs;
        assert_eq!(
            first_time(Some(seconds(500)), seconds(10), seconds(100)),
            seconds(510)
        );
        assert_eq!(
            first_time(Some(seconds(50)), seconds(10), seconds(100)),
            seconds(100)
        );
        assert!(first_time(None, seconds(10), seconds(0)) > seconds(1_700_000_000));
    }

    #[test]
    fn the_hardware_clock_counts_from_1900() {
        let time = civil(Duration::from_secs(1_795_219_261)).unwrap();
        assert_eq!((time.year, time.month, time.day), (126, 10, 21));
        assert_eq!((time.hour, time.minute, time.second), (0, 1, 1));
    }
}

//! `inspect`: report what the machine is and what its kernel complains of, touch no disk, and stay for a while, so that a person
//! can look at the console and at what was reported.

use std::time::{Duration, Instant};

use agent_protocol::environment::HOLD_MINUTES;
use agent_protocol::v1::Disk;

use super::{ActionContext, Outcome};
use crate::Error;

/// How long the installer stays up where the template does not say.
const MINUTES: u64 = 60;
/// Between two looks at whether it was called off.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    let minutes = context
        .parsed(HOLD_MINUTES, "a number of minutes")?
        .unwrap_or(MINUTES);
    for disk in context.host.disks() {
        context.board.log(described(&disk));
    }
    for line in context.host.kernel_complaints()? {
        context.board.log(format!("kernel: {line}"));
    }
    let (start, hold) = (Instant::now(), Duration::from_secs(minutes.saturating_mul(60)));
    while start.elapsed() < hold {
        if context.cancel.is_cancelled() {
            let reason = "called off".to_owned();
            return Err(Error::Stopped { reason });
        }
        context.board.set_progress(
            "the installer stays up for you to look at the machine",
            percent(start.elapsed(), hold),
        );
        std::thread::sleep(LOOK.min(hold.saturating_sub(start.elapsed())));
    }
    Ok(Outcome::done(format!(
        "the installer stayed up for {minutes} minutes"
    )))
}

/// Share of the time that is over.
fn percent(elapsed: Duration, hold: Duration) -> Option<u8> {
    let percent = elapsed
        .as_millis()
        .saturating_mul(100)
        .checked_div(hold.as_millis())?;
    u8::try_from(percent.min(100)).ok()
}

fn described(disk: &Disk) -> String {
    let contents = match disk.contents.as_slice() {
        [] => "nothing known lies on it".to_owned(),
        contents => format!("on it: {}", contents.join(", ")),
    };
    let size = format!("{} bytes", disk.size);
    let known = [&disk.model, &disk.serial, &size, &disk.transport].map(String::as_str);
    let known: Vec<&str> = known.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{} ({}): {contents}", disk.device, known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_described_by_what_is_known_of_it() {
        let mut disk = Disk {
            device: "/dev/vda".to_owned(),
            serial: "S1".to_owned(),
            size: 1024,
            ..Disk::default()
        };
        assert_eq!(
            described(&disk),
            "/dev/vda (S1, 1024 bytes): nothing known lies on it"
        );
        disk.model = "QEMU HARDDISK".to_owned();
        disk.transport = "usb".to_owned();
        disk.contents = vec!["GPT".to_owned(), "partition 1: LUKS".to_owned()];
        let expected = "/dev/vda (QEMU HARDDISK, S1, 1024 bytes, usb): on it: GPT, partition 1: LUKS";
        assert_eq!(described(&disk), expected);
    }

    #[test]
    fn progress_is_the_share_of_the_time() {
        let seconds = Duration::from_secs;
        for (elapsed, hold, expected) in [
            (0, 60, Some(0)),
            (45, 60, Some(75)),
            (61, 60, Some(100)),
            (0, 0, None),
        ] {
            assert_eq!(
                percent(seconds(elapsed), seconds(hold)),
                expected,
                "{elapsed} of {hold}"
            );
        }
    }
}

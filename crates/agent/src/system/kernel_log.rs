//! The kernel's log, by `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg): each read gives one record,
//! `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT`, and lines that begin with a blank belong to it. A line break within the text
//! is written as `\x0a`.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

use crate::Error;

const PATH: &str = "/dev/kmsg";
/// Longest record.
const RECORD: usize = 8192;
/// Lines that are kept.
const LINES: usize = 200;

/// The newest lines that are warnings or worse, oldest first.
pub(crate) fn kernel_complaints() -> Result<Vec<String>, Error> {
    let log = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(PATH)
        .map_err(Error::file(PATH, "opening"))?;
    let mut lines = Vec::new();
    let mut record = vec![0; RECORD];
    loop {
        match (&log).read(&mut record) {
            Ok(0) => break,
            Ok(length) => {
                let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
                lines.extend(complaint(&text));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            // Overwritten meanwhile: the next read goes on behind the gap.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(error) => return Err(Error::file(PATH, "reading")(error)),
        }
    }
    let surplus = lines.len().saturating_sub(LINES);
    Ok(lines.split_off(surplus))
}

/// The text of a record, if it is a warning or worse.
fn complaint(record: &str) -> Option<String> {
    /// Warning, of the levels of syslog; the lower, the worse.
    const WARNING: u32 = 4;
    let (prefix, text) = record.split_once(';')?;
    let mut fields = prefix.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let microseconds: u64 = fields.nth(1)?.parse().ok()?;
    let text = text.lines().next().unwrap_or_default().replace("\\x0a", " ");
    let (seconds, rest) = (microseconds / 1_000_000, microseconds % 1_000_000);
    (priority & 7 <= WARNING).then(|| format!("[{seconds}.{rest:06}] {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_kept_and_the_rest_is_not() {
        let disk = "3,1000,12345678,-;ata1.00: failed command: READ DMA\n SUBSYSTEM=scsi\n";
        assert_eq!(
            complaint(disk).as_deref(),
            Some("[12.345678] ata1.00: failed command: READ DMA")
        );
        assert_eq!(
            complaint("28,7,5,-;a warning of user space").as_deref(),
            Some("[0.000005] a warning of user space")
        );
        assert_eq!(
            complaint("4,8,5,-;Unstable clock\\x0aIf you want\n").as_deref(),
            Some("[0.000005] Unstable clock If you want")
        );
        for other in ["6,1,5,-;info", "no record", "x,1,5,-;y"] {
            assert_eq!(complaint(other), None, "{other}");
        }
    }
}

//! Whether the data disks of a machine are what they were when the attempt began. Compared before every action, so that the
//! first one that finds a change is the last one that the agent has carried out.

use resources::gantry::{DataDisk, InventoryDisk, KeptDisk, Purpose};
use resources::keys;

/// What there is to say of the data disks.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    /// None is listed.
    NoneListed,
    /// These are not recorded for this attempt yet: all records that the Server has to have.
    New(Vec<KeptDisk>),
    /// All are what they were; for people.
    Kept(String),
    /// One can't be told, for this reason.
    Unclear(String),
    /// One is not what it was.
    Changed(String),
}

/// Compares what the machine has now with the records. `listed` are those of the Hardware.
pub(crate) fn compare(
    listed: &[DataDisk],
    records: &[KeptDisk],
    disks: &[InventoryDisk],
    attempt: u64,
    purpose: Purpose,
) -> Seen {
    if listed.is_empty() || purpose == Purpose::Inspect {
        return Seen::NoneListed;
    }
    let mut of_attempt: Vec<KeptDisk> = records
        .iter()
        .filter(|record| record.attempt == attempt)
        .cloned()
        .collect();
    let known = of_attempt.len();
    let mut present = 0_usize;
    for data_disk in listed {
        let now = match now(data_disk, disks, attempt) {
            Ok(now) => now,
            // Only an installation needs the disk.
            Err(Fault::Missing(_)) if purpose != Purpose::Install => continue,
            Err(Fault::Missing(reason) | Fault::Unclear(reason)) => return Seen::Unclear(reason),
        };
        present += 1;
        let before = of_attempt
            .iter()
            .find(|record| data_disk.is(record.serial.as_deref(), record.wwn.as_deref()));
        match before {
            None => of_attempt.push(now),
            Some(before) if *before == now => {}
            Some(before) => return Seen::Changed(difference(data_disk, before, &now)),
        }
    }
    if of_attempt.len() > known {
        return Seen::New(of_attempt);
    }
    let disks = if present == 1 { "disk is" } else { "disks are" };
    Seen::Kept(format!(
        "{present} data {disks} as before attempt {attempt}: identity, size, first and last MiB, and signatures"
    ))
}

enum Fault {
    Missing(String),
    Unclear(String),
}

fn now(data_disk: &DataDisk, disks: &[InventoryDisk], attempt: u64) -> Result<KeptDisk, Fault> {
    let found: Vec<&InventoryDisk> = disks.iter().filter(|disk| data_disk.is_disk(disk)).collect();
    let disk = match found.as_slice() {
        [disk] => *disk,
        [] => {
            return Err(Fault::Missing(format!(
                "the machine has no {data_disk}; put it back, or take it out of the annotation {} of the Hardware",
                keys::DATA_DISKS
            )));
        }
        several => {
            let names: Vec<&str> = several.iter().map(|disk| disk.device.as_str()).collect();
            return Err(Fault::Unclear(format!(
                "{data_disk} can be each of {}; name both serialNumber and wwn in the annotation {} of the Hardware",
                names.join(", "),
                keys::DATA_DISKS
            )));
        }
    };
    let ends = disk.ends.ok_or_else(|| {
        Fault::Unclear(format!(
            "{data_disk} ({}) could not be read by the installer, so that nobody could see whether it stays untouched; is the disk \
             damaged, or the installer older than this version of Gantry?",
            disk.device
        ))
    })?;
    Ok(KeptDisk {
        serial: disk.serial.clone(),
        wwn: disk.wwn.clone(),
        size: disk.size,
        ends,
        contents: disk.contents.clone(),
        attempt,
    })
}

fn difference(data_disk: &DataDisk, before: &KeptDisk, now: &KeptDisk) -> String {
    let mut found = Vec::new();
    let mut differs = |what: &str, before: String, now: String| {
        if before != now {
            found.push(format!("{what} {now} instead of {before}"));
        }
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    differs("serial number", text(&before.serial), text(&now.serial));
    differs("WWN", text(&before.wwn), text(&now.wwn));
    differs("size", before.size.to_string(), now.size.to_string());
    differs(
        "digest of first and last MiB",
        before.ends.to_string(),
        now.ends.to_string(),
    );
    differs(
        "contents",
        format!("{:?}", before.contents),
        format!("{:?}", now.contents),
    );
    format!(
        "{data_disk} was changed during attempt {}: {}; nothing more is done on the machine. Find out what has written to the disk; \
         to go on, take it out of the annotation {} of the Hardware",
        now.attempt,
        found.join(", "),
        keys::DATA_DISKS
    )
}

#[cfg(test)]
mod tests {
    use resources::Digest;

    use super::*;

    fn disk(device: &str, serial: &str, ends: u8) -> InventoryDisk {
        InventoryDisk {
            device: device.to_owned(),
            size: 1 << 30,
            serial: Some(serial.to_owned()),
            ends: Some(Digest::new([ends; 32])),
            contents: vec!["GPT".to_owned()],
            ..InventoryDisk::default()
        }
    }

    fn listed(serials: &[&str]) -> Vec<DataDisk> {
        let of = |serial: &&str| DataDisk {
            serial_number: Some((*serial).to_owned()),
            ..DataDisk::default()
        };
        serials.iter().map(of).collect()
    }

    fn recorded(seen: Seen) -> Vec<KeptDisk> {
        match seen {
            Seen::New(records) => records,
            other => panic!("{other:?}"),
        }
    }

    const INSTALL: Purpose = Purpose::Install;

    #[test]
    fn a_disk_is_recorded_once_in_an_attempt_and_then_compared() {
        let disks = [disk("/dev/sda", "A", 1), disk("/dev/sdb", "B", 2)];
        let first = recorded(compare(&listed(&["B"]), &[], &disks, 3, INSTALL));
        assert_eq!(
            (first.len(), first[0].serial.as_deref(), first[0].attempt),
            (1, Some("B"), 3)
        );
        // Another name in the next boot; the system disk may change.
        let swapped = [disk("/dev/sdb", "A", 9), disk("/dev/sda", "B", 2)];
        assert!(matches!(
            compare(&listed(&["B"]), &first, &swapped, 3, INSTALL),
            Seen::Kept(_)
        ));
        // The system that runs between two attempts may write to it.
        let used = [disk("/dev/sdb", "B", 4)];
        let next = recorded(compare(&listed(&["B"]), &first, &used, 4, INSTALL));
        assert_eq!(
            (next.len(), next[0].ends, next[0].attempt),
            (1, Digest::new([4; 32]), 4)
        );
        // One more is listed meanwhile.
        let both = recorded(compare(&listed(&["B", "A"]), &first, &disks, 3, INSTALL));
        assert_eq!(both.len(), 2);
        assert_eq!(both[0], first[0]);
    }

    #[test]
    fn every_change_is_named() {
        let before = recorded(compare(
            &listed(&["B"]),
            &[],
            &[disk("/dev/sdb", "B", 2)],
            3,
            INSTALL,
        ));
        let with = |change: fn(&mut InventoryDisk)| {
            let mut disk = disk("/dev/sdb", "B", 2);
            change(&mut disk);
            match compare(&listed(&["B"]), &before, &[disk], 3, INSTALL) {
                Seen::Changed(reason) => reason,
                other => panic!("{other:?}"),
            }
        };
        for (change, expected) in [
            (
                (|disk| disk.ends = Some(Digest::new([3; 32]))) as fn(&mut InventoryDisk),
                "MiB sha256:0303",
            ),
            (|disk| disk.size = 5, "size 5 instead of 1073741824"),
            (
                |disk| disk.wwn = Some("naa.1".to_owned()),
                "WWN naa.1 instead of none",
            ),
            (|disk| disk.contents.clear(), "contents [] instead of [\"GPT\"]"),
        ] {
            let reason = with(change);
            assert!(reason.contains(expected), "{reason}");
            assert!(reason.starts_with("data disk with serial number B was changed during attempt 3"));
        }
    }

    #[test]
    fn an_installation_waits_for_a_disk_that_is_missing_or_cannot_be_told() {
        let unclear =
            |disks: &[InventoryDisk], purpose| match compare(&listed(&["B"]), &[], disks, 1, purpose) {
                Seen::Unclear(reason) => reason,
                other => panic!("{other:?}"),
            };
        let missing = unclear(&[disk("/dev/sda", "A", 1)], INSTALL);
        assert!(
            missing.contains("has no data disk with serial number B"),
            "{missing}"
        );
        let twice = [disk("/dev/sda", "B", 1), disk("/dev/sdb", "B", 1)];
        assert!(unclear(&twice, INSTALL).contains("each of /dev/sda, /dev/sdb"));
        let mut unread = disk("/dev/sdb", "B", 1);
        unread.ends = None;
        for purpose in [INSTALL, Purpose::Wipe, Purpose::Repair] {
            assert!(unclear(std::slice::from_ref(&unread), purpose).contains("could not be read"));
        }
    }

    #[test]
    fn only_an_installation_needs_the_disk() {
        let gone = |purpose| compare(&listed(&["B"]), &[], &[], 1, purpose);
        assert!(matches!(gone(Purpose::Wipe), Seen::Kept(_)));
        assert!(matches!(gone(Purpose::Repair), Seen::Kept(_)));
        assert_eq!(gone(Purpose::Inspect), Seen::NoneListed);
        assert_eq!(compare(&[], &[], &[], 1, INSTALL), Seen::NoneListed);
    }
}

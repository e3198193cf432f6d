use super::*;

fn disk(device: &str, serial: &str) -> InventoryDisk {
    InventoryDisk {
        device: format!("/dev/{device}"),
        size: 1 << 30,
        serial: Some(serial.to_owned()).filter(|serial| !serial.is_empty()),
        transport: Some("sata".to_owned()),
        names: vec![format!("/dev/disk/by-path/pci-{device}")],
        ..InventoryDisk::default()
    }
}

fn stick(device: &str) -> InventoryDisk {
    InventoryDisk {
        transport: Some("usb".to_owned()),
        removable: true,
        ..disk(device, "STICK")
    }
}

fn hardware(annotations: &[(&str, &str)]) -> Hardware {
    let mut hardware = Hardware::new("node-1", Default::default());
    hardware.spec.disks = vec![resources::tinkerbell::Disk {
        device: Some("/dev/sda".to_owned()),
    }];
    let annotations = annotations
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    hardware.metadata.annotations = Some(annotations.collect());
    hardware
}

fn rules(annotations: &[(&str, &str)]) -> DiskRules {
    DiskRules::of(&hardware(annotations)).unwrap()
}

fn changed(pins: &[PinnedDisk], disks: &[InventoryDisk], rules: &DiskRules, attempt: u64) -> Change {
    pin("/dev/sda", pins, disks, rules, attempt).unwrap().unwrap()
}

fn refused(name: &str, disks: &[InventoryDisk], rules: &DiskRules) -> String {
    pin(name, &[], disks, rules, 1).unwrap_err()
}

#[test]
fn a_name_is_resolved_once_and_then_means_the_same_disk() {
    let first = changed(&[], &[disk("sda", "A"), disk("sdb", "B")], &rules(&[]), 1);
    let pinned = &first.pins[0];
    assert_eq!(
        (pinned.serial.as_deref(), pinned.attempt, &pinned.path),
        (Some("A"), 1, &None)
    );
    // The next boot of the attempt: nothing is resolved, whatever the names are.
    let swapped = [disk("sda", "B"), disk("sdb", "A")];
    assert_eq!(pin("/dev/sda", &first.pins, &swapped, &rules(&[]), 1), Ok(None));
    assert_eq!(pin("/dev/sda", &first.pins, &[], &rules(&[]), 1), Ok(None));
    // The next attempt.
    let second = changed(&first.pins, &swapped, &rules(&[]), 2);
    assert_eq!(
        (second.pins[0].serial.as_deref(), second.pins[0].attempt),
        (Some("A"), 2)
    );
    assert!(
        second.note.starts_with("/dev/sda is /dev/sdb = "),
        "{}",
        second.note
    );
    assert_eq!(second.replaces, None);
    assert_eq!(second.pins.len(), 1);
}

#[test]
fn a_disk_that_is_gone_is_given_up_only_by_word() {
    let pins = changed(&[], &[disk("sda", "A")], &rules(&[]), 1).pins;
    let now = [disk("sda", "B")];
    let reason = pin("/dev/sda", &pins, &now, &rules(&[]), 2).unwrap_err();
    for part in [
        "serial number A",
        "serial number B",
        "gantry.dev/forget-disk: \"A\"",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    let other = rules(&[(keys::FORGET_DISK, "C")]);
    assert!(
        pin("/dev/sda", &pins, &now, &other, 2).is_err(),
        "another disk is given up"
    );
    let change = changed(&pins, &now, &rules(&[(keys::FORGET_DISK, "A")]), 2);
    assert_eq!(change.pins[0].serial.as_deref(), Some("B"));
    let replaces = change.replaces.unwrap();
    assert!(
        replaces.contains("serial number A") && replaces.contains("serial number B"),
        "{replaces}"
    );
}

#[test]
fn another_name_in_the_hardware_is_taken_at_the_next_attempt_and_stated() {
    let disks = [disk("sda", "A"), disk("sdb", "B")];
    let pins = changed(&[], &disks, &rules(&[]), 1).pins;
    let mut hardware = hardware(&[]);
    hardware.spec.disks[0].device = Some("/dev/sdb".to_owned());
    let rules = DiskRules::of(&hardware).unwrap();
    let change = pin("/dev/sdb", &pins, &disks, &rules, 2).unwrap().unwrap();
    assert_eq!(
        change.replaces.as_deref(),
        Some(
            "attempt 2 uses /dev/sdb (serial number B, 1073741824 bytes) as /dev/sdb; attempt 1 used serial number A, \
             1073741824 bytes as /dev/sda"
        )
    );
    // Only another name for the same disk.
    hardware.spec.disks[0].device = Some("/dev/disk/by-path/pci-sda".to_owned());
    let rules = DiskRules::of(&hardware).unwrap();
    let change = pin("/dev/disk/by-path/pci-sda", &pins, &disks, &rules, 2)
        .unwrap()
        .unwrap();
    assert_eq!(change.replaces, None);
    // A second disk of the same template replaces nothing.
    let change = pin("/dev/sdb", &change.pins, &disks, &rules, 2).unwrap().unwrap();
    assert_eq!((change.replaces, change.pins.len()), (None, 3));
}

#[test]
fn a_removable_disk_that_comes_first_is_never_chosen() {
    let disks = [stick("sda"), disk("sdb", "A")];
    let reason = refused("/dev/sda", &disks, &rules(&[]));
    for part in [
        "a USB device",
        "gantry.dev/allow-removable-disk",
        "serial number A",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    let hints = rules(&[(keys::ROOT_DEVICE_HINTS, r#"{"minSizeGigabytes": 1}"#)]);
    let change = changed(&[], &disks, &hints, 1);
    assert_eq!(change.pins[0].serial.as_deref(), Some("A"), "hints pass over it");
    let allowed = rules(&[(keys::ALLOW_REMOVABLE_DISK, "true")]);
    let change = changed(&[], &disks, &allowed, 1);
    assert_eq!(change.pins[0].serial.as_deref(), Some("STICK"));
    assert!(for_agent(&change.pins[0], &allowed).removable_allowed);
    let read_only = InventoryDisk {
        read_only: true,
        ..disk("sda", "A")
    };
    assert!(refused("/dev/sda", &[read_only], &allowed).contains("read-only"));
}

#[test]
fn hints_choose_the_disk_in_place_of_its_name() {
    let disks = [disk("sda", "A"), disk("sdb", "B"), disk("sdc", "C")];
    let by = |hints: &str| rules(&[(keys::ROOT_DEVICE_HINTS, hints)]);
    let change = changed(&[], &disks, &by(r#"{"serialNumber": "B"}"#), 1);
    assert_eq!(change.pins[0].serial.as_deref(), Some("B"));
    let none = refused("/dev/sda", &disks, &by(r#"{"serialNumber": "D"}"#));
    assert!(
        none.contains(
            "/dev/sdc = /dev/disk/by-path/pci-sdc (serial number C, 1073741824 bytes): serialNumber is \"C\""
        ),
        "{none}"
    );
    let several = refused("/dev/sda", &disks, &by(r#"{"minSizeGigabytes": 1}"#));
    assert!(
        several.contains("3 disks match") && several.contains("serial number B"),
        "{several}"
    );
    let none = refused("/dev/sda", &[], &by(r#"{"serialNumber": "D"}"#));
    assert!(none.contains("reports no disk"), "{none}");
    // Other hints are another decision.
    let change = changed(&change.pins, &disks, &by(r#"{"serialNumber": "C"}"#), 2);
    assert_eq!(change.pins[0].serial.as_deref(), Some("C"));
    assert!(change.replaces.is_some());
    // Hints are of the disk to install to.
    let other = pin("/dev/sdb", &[], &disks, &by(r#"{"serialNumber": "C"}"#), 1)
        .unwrap()
        .unwrap();
    assert_eq!(other.pins[0].serial.as_deref(), Some("B"));
    let wrong = DiskRules::of(&hardware(&[(keys::ROOT_DEVICE_HINTS, r#"{"serial": "B"}"#)])).unwrap_err();
    assert!(
        wrong.contains("unknown field `serial`") && wrong.contains(keys::ROOT_DEVICE_HINTS),
        "{wrong}"
    );
}

#[test]
fn a_disk_without_serial_number_is_told_by_its_place() {
    let disks = [disk("sda", ""), disk("sdb", "")];
    let change = changed(&[], &disks, &rules(&[]), 1);
    assert_eq!(change.pins[0].path.as_deref(), Some("/dev/disk/by-path/pci-sda"));
    assert!(
        change
            .note
            .contains("told by its place /dev/disk/by-path/pci-sda"),
        "{}",
        change.note
    );
    let twins = [disk("sda", "A"), disk("sdb", "A")];
    assert_eq!(
        changed(&[], &twins, &rules(&[]), 1).pins[0].path.as_deref(),
        Some("/dev/disk/by-path/pci-sda")
    );
    let nowhere = InventoryDisk {
        names: Vec::new(),
        ..disk("sda", "")
    };
    assert!(refused("/dev/sda", &[nowhere], &rules(&[])).contains("neither serial number, WWN nor place"));
}

#[test]
fn what_lies_on_the_disk_is_kept_as_it_was_before_the_attempt() {
    let old = InventoryDisk {
        contents: vec!["GPT".to_owned(), "partition 1: LVM physical volume".to_owned()],
        ..disk("sda", "A")
    };
    let change = changed(&[], std::slice::from_ref(&old), &rules(&[]), 1);
    assert_eq!(change.pins[0].contents, old.contents);
    assert!(
        change
            .note
            .ends_with("; on it: GPT, partition 1: LVM physical volume"),
        "{}",
        change.note
    );
}

#[test]
fn settings_name_whole_disks_once() {
    let environment = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        wanted(&pairs.collect())
    };
    let disk = "/dev/disk/by-id/x";
    assert_eq!(
        environment(&[("DEST_DISK", "/dev/disk/by-id/x-part2"), ("BLOCK_DEVICE", disk)]),
        Ok(vec![disk.to_owned()])
    );
    assert_eq!(
        environment(&[("IMG_URL", "http://x"), ("DEST_DISK", " ")]),
        Ok(vec![])
    );
    let wrong = environment(&[("DEST_DISK", "/dev/mapper/mpatha")]).unwrap_err();
    assert!(
        wrong.contains("DEST_DISK \"/dev/mapper/mpatha\" is a device of the device mapper"),
        "{wrong}"
    );
}

#[test]
fn a_wipe_takes_the_disk_that_was_written_to_whatever_the_hardware_says_now() {
    let pins = changed(&[], &[disk("sda", "A"), disk("sdb", "B")], &rules(&[]), 1).pins;
    let swapped = [disk("sda", "B"), disk("sdb", "A")];
    assert_eq!(written("/dev/sda", &pins, &swapped, &rules(&[])), Ok(&pins[0]));
    let hints = rules(&[(keys::ROOT_DEVICE_HINTS, r#"{"serialNumber": "B"}"#)]);
    let elsewhere = changed(&pins, &swapped, &hints, 2);
    assert_eq!(
        elsewhere.pins[0].serial.as_deref(),
        Some("B"),
        "an installation goes by the hints"
    );
    let gone = written("/dev/sda", &pins, &[disk("sda", "B")], &rules(&[])).unwrap_err();
    for part in ["serial number A", "no such disk now", "/dev/sda", "--unwiped"] {
        assert!(gone.contains(part), "{part}: {gone}");
    }
    let never = written("/dev/sdb", &pins, &swapped, &rules(&[])).unwrap_err();
    assert!(
        never.contains("no attempt of this server has written to"),
        "{never}"
    );
    let twice = [disk("sda", "A"), disk("sdb", "A")];
    assert!(
        written("/dev/sda", &pins, &twice, &rules(&[]))
            .unwrap_err()
            .contains("2 disks have that identity")
    );
}

/// Whatever names it: the Hardware, a pin of before, a pin of this attempt, a wipe. Hints do not mean it at all.
#[test]
fn nothing_is_written_to_a_data_disk() {
    let disks = [disk("sda", "A"), disk("sdb", "B")];
    let a_is_kept = (keys::DATA_DISKS, r#"[{"serialNumber": "A"}]"#);
    let kept = rules(&[a_is_kept]);
    let is_refused = |result: Result<Option<Change>, String>| {
        let reason = result.unwrap_err();
        assert!(
            reason.contains("serial number A") && reason.contains("is a data disk"),
            "{reason}"
        );
    };
    is_refused(pin("/dev/sda", &[], &disks, &kept, 1));
    is_refused(pin("/dev/disk/by-path/pci-sda", &[], &disks, &kept, 1));
    let pins = changed(&[], &disks, &rules(&[]), 1).pins;
    is_refused(pin("/dev/sda", &pins, &disks, &kept, 1));
    is_refused(pin("/dev/sda", &pins, &disks, &kept, 2));
    is_refused(written("/dev/sda", &pins, &disks, &kept).map(|_| None));
    assert!(
        pin("/dev/sdb", &pins, &disks, &kept, 2).is_ok(),
        "the other one may be written to"
    );

    let by_size = (keys::ROOT_DEVICE_HINTS, r#"{"minSizeGigabytes": 1}"#);
    let chosen = changed(&[], &disks, &rules(&[by_size, a_is_kept]), 1);
    assert_eq!(chosen.pins[0].serial.as_deref(), Some("B"));
    let by_serial = (keys::ROOT_DEVICE_HINTS, r#"{"serialNumber": "A"}"#);
    let none = refused("/dev/sda", &disks, &rules(&[by_serial, a_is_kept]));
    assert!(none.contains("it is a data disk"), "{none}");
}

mod machine;

use std::process::Command;

use machine::{Machine, rack};

use super::*;

/// Checked against udev 252 by `udev_gives_the_same_names`.
const BY_PATH: [(&str, &[&str]); 12] = [
    ("nvme0n1", &["pci-0000:3b:00.0-nvme-1"]),
    ("nvme1n1", &["pci-0000:5e:00.0-nvme-2"]),
    ("sda", &["pci-0000:00:1f.2-ata-1.0", "pci-0000:00:1f.2-ata-1"]),
    ("sdb", &["pci-0000:00:1f.2-ata-2.1.0", "pci-0000:00:1f.2-ata-2"]),
    ("sdc", &["pci-0000:02:00.0-sas-phy3-lun-0"]),
    ("sdd", &["pci-0000:02:00.0-sas-exp0x500056b300000000-phy7-lun-0"]),
    ("sde", &["pci-0000:02:00.0-sas-0x5000c50000000003-lun-1"]),
    ("sdf", &["pci-0000:03:00.0-scsi-1:2:0:0"]),
    ("sdg", &["pci-0000:00:14.0-usb-0:4:1.0-scsi-0:0:0:0"]),
    ("sdh", &["pci-0000:00:06.0-scsi-0:0:0:0"]),
    ("sdi", &["pci-0000:41:00.0-fc-0x50060e801049cfd1-lun-3"]),
    ("vda", &["pci-0000:00:05.0", "virtio-pci-0000:00:05.0"]),
];

#[test]
fn names_by_path() {
    let machine = rack();
    let found: Vec<_> = machine
        .disks()
        .all()
        .into_iter()
        .map(|disk| (disk.name, disk.paths))
        .collect();
    let expected =
        BY_PATH.map(|(name, paths)| (name.to_owned(), paths.iter().map(ToString::to_string).collect()));
    assert_eq!(found, expected);
}

/// Runs the distribution's own `path_id` and `usb_id` over the same tree.
#[test]
fn udev_gives_the_same_names() {
    let can = Command::new("udevadm").arg("--version").output().is_ok() && nix::unistd::getuid().is_root();
    if !can {
        eprintln!("skipped: needs udevadm and root");
        return;
    }
    let machine = rack();
    let ask = |builtin: &str, name: &str| {
        let device = machine
            .root
            .path()
            .join("sys/block")
            .join(name)
            .canonicalize()
            .unwrap();
        let device = device.strip_prefix(machine.root.path()).unwrap().to_owned();
        let script = format!(
            "mount --rbind {0}/sys /sys && SYSTEMD_DEVICE_VERIFY_SYSFS=0 udevadm test-builtin {builtin} /{1}",
            machine.root.path().display(),
            device.display()
        );
        let answer = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .output()
            .unwrap();
        String::from_utf8_lossy(&answer.stdout).into_owned()
    };
    for (name, paths) in BY_PATH {
        let answer = ask("path_id", name);
        let value = |key: &str| {
            answer
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .map(str::to_owned)
        };
        assert_eq!(
            value("ID_PATH=").as_deref(),
            paths.first().copied(),
            "{name}: {answer}"
        );
        if let Some(older) = value("ID_PATH_ATA_COMPAT=") {
            assert_eq!(Some(older.as_str()), paths.get(1).copied(), "{name}");
        }
    }
    let answer = ask("usb_id", "sdg");
    let serial = answer
        .lines()
        .find_map(|line| line.strip_prefix("ID_USB_SERIAL="))
        .unwrap_or_default();
    assert_eq!(
        machine.facts("sdg").ids.first(),
        Some(&format!("usb-{serial}")),
        "{answer}"
    );
}

#[test]
fn names_by_id() {
    let machine = rack();
    let extended = [
        0, 0x83, 0, 20, 1, 3, 0, 16, 0x60, 5, 8, 0xb1, 0, 0x1c, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9,
    ];
    fs::write(
        machine.root.path().join("sys/block/sdf/device/vpd_pg83"),
        extended,
    )
    .unwrap();
    fs::write(
        machine.root.path().join("sys/block/sdf/device/vpd_pg80"),
        b"\0\x80\0\x0400ab",
    )
    .unwrap();
    fs::write(
        machine.root.path().join("sys/block/sdh/device/model"),
        "QEMU HARDDISK   ",
    )
    .unwrap();
    fs::write(
        machine.root.path().join("sys/block/sdh/device/vpd_pg80"),
        b"\0\x80\0\x02d1",
    )
    .unwrap();
    for (name, ids) in [
        (
            "sda",
            &[
                "ata-QEMU_HARDDISK_QM-sda",
                "scsi-35000c500a0000001",
                "wwn-0x5000c500a0000001",
            ][..],
        ),
        (
            "sdf",
            &[
                "scsi-3600508b1001c00010000000000000009",
                "scsi-SDELL_PERC_H730_Mini_00ab",
                "scsi-3600508b1001c0001",
                "wwn-0x600508b1001c00010000000000000009",
                "wwn-0x600508b1001c0001",
            ],
        ),
        ("sdg", &["usb-SanDisk_Ultra_Fit_4C530001-0:0"]),
        ("sdh", &["scsi-SQEMU_QEMU_HARDDISK_d1"]),
        (
            "nvme0n1",
            &[
                "nvme-Fast__Disk_N_1",
                "nvme-Fast__Disk_N_1_1",
                "nvme-eui.0025385b71b12f62",
            ],
        ),
        ("vda", &["virtio-target"]),
        ("sdi", &[]),
    ] {
        assert_eq!(machine.facts(name).ids, ids, "{name}");
    }
}

#[test]
fn what_a_disk_is_gets_reported() {
    let machine = rack();
    let all: Vec<_> = machine
        .disks()
        .all()
        .into_iter()
        .map(|disk| (disk.name, disk.transport.unwrap_or_default()))
        .collect();
    let transports: Vec<&str> = all.iter().map(|(_, transport)| transport.as_str()).collect();
    let expected = [
        "nvme", "nvme", "sata", "sata", "sas", "sas", "sas", "scsi", "usb", "virtio", "fc", "virtio",
    ];
    assert_eq!(transports, expected, "the hidden path nvme1c1n1 is no disk");
    let stick = machine.facts("sdg");
    assert!(stick.removable && stick.hctl.as_deref() == Some("5:0:0:0"));
    assert_eq!(stick.serial.as_deref(), Some("4C530001"));
    assert_eq!(machine.facts("vda").block_sizes.0, 4096);
    let zeros = Machine::new();
    zeros.virtio(
        "05",
        "vda",
        &[("serial", "0000"), ("wwid", "naa.0000000000000000")],
    );
    assert_eq!((zeros.facts("vda").serial, zeros.facts("vda").wwn), (None, None));
}

/// The names of two disks are swapped from one boot to the next; the pinned disk is found by what it is.
#[test]
fn a_pinned_disk_is_found_whatever_it_is_called() {
    let boot = |names: [&str; 2]| {
        let machine = Machine::new();
        machine.virtio("05", names[0], &[("serial", "A")]);
        machine.virtio("06", names[1], &[("serial", "B")]);
        machine
    };
    let (first, second) = (boot(["vda", "vdb"]), boot(["vdb", "vda"]));
    let pin = first.pin("vda");
    assert_eq!(first.disks().find(&pin, None).unwrap(), first.node("vda"));
    assert_eq!(second.disks().find(&pin, None).unwrap(), second.node("vdb"));
    assert_eq!(second.disks().find(&pin, Some(2)).unwrap(), second.node("vdb2"));
    let absent = second.disks().find(&pin, Some(3)).unwrap_err();
    assert!(absent.line().contains("/dev/vdb3"), "{}", absent.line());
}

#[test]
fn a_disk_that_differs_is_refused() {
    let machine = Machine::new();
    machine.virtio(
        "05",
        "vda",
        &[("serial", "A"), ("wwid", "naa.5"), ("size", "2048")],
    );
    let pin = machine.pin("vda");
    assert!(machine.disks().find(&pin, None).is_ok());
    for (changed, expected) in [
        (
            v1::PinnedDisk {
                serial: "B".to_owned(),
                ..pin.clone()
            },
            "/dev/vda has serial number \"A\" instead of \"B\"",
        ),
        (
            v1::PinnedDisk {
                wwn: "naa.6".to_owned(),
                ..pin.clone()
            },
            "/dev/vda has WWN \"naa.5\" instead of \"naa.6\"",
        ),
        (
            v1::PinnedDisk {
                size: 4096,
                ..pin.clone()
            },
            "/dev/vda has 1048576 bytes instead of 4096",
        ),
        (
            v1::PinnedDisk {
                path: "/dev/disk/by-path/pci-0000:00:09.0".to_owned(),
                ..pin.clone()
            },
            "/dev/vda has another place than /dev/disk/by-path/pci-0000:00:09.0",
        ),
        (
            v1::PinnedDisk {
                serial: "C".to_owned(),
                wwn: "naa.7".to_owned(),
                ..pin.clone()
            },
            "no disk with serial number C, WWN naa.7, 1048576 bytes; the machine has /dev/vda = ",
        ),
    ] {
        let error = machine.disks().find(&changed, None).unwrap_err().line();
        assert!(error.contains(expected), "{error}");
    }
    let place = v1::PinnedDisk {
        path: "/dev/disk/by-path/pci-0000:00:05.0".to_owned(),
        ..pin
    };
    assert!(machine.disks().find(&place, None).is_ok());
    machine.virtio(
        "06",
        "vdb",
        &[("serial", "A"), ("wwid", "naa.5"), ("size", "2048")],
    );
    let error = machine
        .disks()
        .find(&machine.pin("vda"), None)
        .unwrap_err()
        .line();
    assert!(error.contains("vda, vdb all have this identity"), "{error}");
    assert_eq!(machine.disks().find(&place, None).unwrap(), machine.node("vda"));
}

#[test]
fn removable_read_only_and_usb_devices_are_refused() {
    let machine = rack();
    let mut pin = machine.pin("sdg");
    let refused = |pin: &v1::PinnedDisk| machine.disks().find(pin, None).unwrap_err().line();
    assert!(
        refused(&pin).contains("/dev/sdg is a USB device"),
        "{}",
        refused(&pin)
    );
    pin.removable_allowed = true;
    assert_eq!(machine.disks().find(&pin, None).unwrap(), machine.node("sdg"));
    fs::write(machine.root.path().join("sys/block/sdg/ro"), "1\n").unwrap();
    assert!(
        refused(&pin).contains("/dev/sdg is read-only"),
        "{}",
        refused(&pin)
    );
    fs::write(machine.root.path().join("sys/block/vda/removable"), "1\n").unwrap();
    let error = refused(&machine.pin("vda"));
    assert!(error.contains("/dev/vda is a removable device"), "{error}");
}

#[test]
fn stable_names_of_disks_and_partitions() {
    let machine = rack();
    for (node, name) in [
        ("sda", "/dev/disk/by-id/ata-QEMU_HARDDISK_QM-sda"),
        ("sda2", "/dev/disk/by-id/ata-QEMU_HARDDISK_QM-sda-part2"),
        ("nvme0n1p2", "/dev/disk/by-id/nvme-Fast__Disk_N_1-part2"),
        (
            "sdi",
            "/dev/disk/by-path/pci-0000:41:00.0-fc-0x50060e801049cfd1-lun-3",
        ),
        (
            "sdi2",
            "/dev/disk/by-path/pci-0000:41:00.0-fc-0x50060e801049cfd1-lun-3-part2",
        ),
    ] {
        assert_eq!(machine.disks().stable_name(&machine.node(node)), Path::new(name));
    }
    let disk_of = |node: &str| {
        machine
            .disks()
            .disk_of(Path::new(node))
            .file_name()
            .unwrap()
            .to_owned()
    };
    assert_eq!(disk_of("/dev/nvme0n1p2"), "nvme0n1");
    assert_eq!(disk_of("/dev/vda1"), "vda");
    assert_eq!(disk_of("/dev/sda"), "sda");
}

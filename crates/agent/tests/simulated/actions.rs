use std::io::{Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use agent::Error;
use agent::actions::{Outcome, run};
use agent_protocol::ActionKind;
use agent_protocol::v1::{Firmware, PinnedDisk};
use disk_image::{ImageReader, gpt, measure};

use crate::host::{DISK, Machine, context, public_key};
use crate::renewal;

const MIB: usize = 1 << 20;

/// A disk image with an EFI system partition and data behind it, by hand: two partitions in a valid table.
fn image() -> Vec<u8> {
    let mut image = vec![0; 8 * MIB];
    image[0] = 0xeb;
    image[446 + 4] = 0xee;
    image[510] = 0x55;
    image[511] = 0xaa;
    let mut table = gptman::GPT::new_from(&mut Cursor::new(&mut image[..]), 512, [9; 16]).unwrap();
    let esp = [
        0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
    ];
    table[1] = gptman::GPTPartitionEntry {
        partition_type_guid: esp,
        unique_partition_guid: [1; 16],
        starting_lba: 4096,
        ending_lba: 8191,
        attribute_bits: 0,
        partition_name: "esp".into(),
    };
    table.write_into(&mut Cursor::new(&mut image[..])).unwrap();
    for (at, octet) in image[5 * MIB..6 * MIB].iter_mut().enumerate() {
        *octet = (at % 250) as u8 + 1;
    }
    image
}

fn installed() -> Arc<Machine> {
    let machine = Arc::new(Machine::new(image()));
    act(&machine, ActionKind::Image2disk, &disk_settings(&machine), false).unwrap();
    std::fs::create_dir_all(machine.file("part2/boot/grub")).unwrap();
    let config = "menuentry 'x' {\n linux /boot/vmlinuz-1 root=LABEL=root ro\n initrd /boot/initrd-1\n}\n";
    std::fs::write(machine.file("part2/boot/grub/grub.cfg"), config).unwrap();
    std::fs::write(machine.file("part2/boot/vmlinuz-1"), "kernel").unwrap();
    std::fs::write(machine.file("part2/boot/initrd-1"), "initramfs").unwrap();
    machine
}

type Settings = Vec<(&'static str, String)>;

fn disk_settings(machine: &Machine) -> Settings {
    let manifest = measure(
        ImageReader::open(Cursor::new(machine.image.clone())).unwrap(),
        "t",
        &mut |_| {},
    )
    .unwrap();
    vec![
        ("IMG_URL", "http://192.0.2.1/images/a".to_owned()),
        ("DEST_DISK", "/dev/disk".to_owned()),
        ("COMPRESSED", "true".to_owned()),
        ("IMG_DIGEST", manifest.digest.to_string()),
        ("IMG_RAW_DIGEST", manifest.raw_digest.to_string()),
        ("IMG_RAW_SIZE", manifest.raw_size.to_string()),
    ]
}

fn owned(settings: &[(&'static str, &str)]) -> Settings {
    settings
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

/// Owner of what the tests write; as root this is what a template would say.
fn owner() -> [(&'static str, String); 2] {
    [
        ("UID", nix::unistd::getuid().to_string()),
        ("GID", nix::unistd::getgid().to_string()),
    ]
}

fn settings(kind: ActionKind, machine: &Machine) -> Settings {
    match kind {
        ActionKind::Image2disk => disk_settings(machine),
        ActionKind::Writefile => {
            let mut settings = owned(&[
                ("DEST_DISK", "/dev/part2"),
                ("FS_TYPE", "ext4"),
                ("DEST_PATH", "/etc/netplan/config.yaml"),
                ("CONTENTS", "network: {}\n"),
                ("MODE", "0600"),
                ("DIRMODE", "0750"),
            ]);
            settings.extend(owner());
            settings
        }
        ActionKind::Seed => owned(&[
            ("DEST_DISK", "/dev/part2"),
            ("FS_TYPE", "ext4"),
            ("META_DATA", "instance-id: a\n"),
            ("USER_DATA", "#cloud-config\n"),
            ("NETWORK_CONFIG", "version: 2\n"),
            ("FIRST_BOOT_SCRIPT", "#!/usr/bin/python3\n"),
        ]),
        ActionKind::Kexec => owned(&[("BLOCK_DEVICE", "/dev/part2"), ("FS_TYPE", "ext4")]),
        ActionKind::Reboot | ActionKind::Wipe => owned(&[("DEST_DISK", "/dev/disk")]),
        ActionKind::Inspect => owned(&[("HOLD_MINUTES", "0")]),
        ActionKind::RenewCertificates => {
            renewal::install(machine, -1, -1);
            owned(&renewal::SETTINGS)
        }
        ActionKind::Handover => owned(&[("BLOCK_DEVICE", "/dev/part2"), ("FS_TYPE", "ext4")]),
    }
}

fn act(
    machine: &Arc<Machine>,
    kind: ActionKind,
    settings: &Settings,
    resumed: bool,
) -> Result<Outcome, Error> {
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    run(kind.name(), &context(machine, &settings, resumed))
}

/// Every file of the machine with its content, and what the firmware holds.
fn state(machine: &Machine) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![machine.root.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
                continue;
            }
            let mut content = Vec::new();
            std::fs::File::open(entry.path())
                .unwrap()
                .read_to_end(&mut content)
                .unwrap();
            let path = entry
                .path()
                .strip_prefix(machine.root.path())
                .unwrap()
                .display()
                .to_string();
            files.push((path, content));
        }
    }
    files.sort();
    files.push((
        "options".into(),
        format!("{:?}", machine.options.lock().unwrap()).into_bytes(),
    ));
    files
}

fn prepared(kind: ActionKind) -> Arc<Machine> {
    if kind == ActionKind::Image2disk {
        Arc::new(Machine::new(image()))
    } else {
        installed()
    }
}

#[test]
fn run_twice_changes_nothing_more() {
    for kind in ActionKind::ALL {
        let machine = prepared(kind);
        let settings = settings(kind, &machine);
        let first = act(&machine, kind, &settings, false).unwrap();
        let after_first = state(&machine);
        let second = act(&machine, kind, &settings, true).unwrap();
        assert!(
            state(&machine) == after_first,
            "{kind} changed something the second time"
        );
        assert_eq!((first.facts, first.leave), (second.facts, second.leave), "{kind}");
        assert_eq!(first.leave.is_some(), kind.leaves_installer(), "{kind}");
        let writes = machine.option_writes.load(Ordering::SeqCst);
        assert!(writes <= 1, "{kind} wrote the boot options {writes} times");
    }
}

#[test]
fn killed_here_and_run_again() {
    for kind in ActionKind::ALL {
        let reference = prepared(kind);
        act(&reference, kind, &settings(kind, &reference), false).unwrap();
        let mut kills = 0;
        for budget in 0..20 {
            let machine = prepared(kind);
            let settings = settings(kind, &machine);
            machine.budget.store(budget, Ordering::SeqCst);
            if act(&machine, kind, &settings, false).is_ok() {
                break;
            }
            kills += 1;
            machine.budget.store(usize::MAX, Ordering::SeqCst);
            act(&machine, kind, &settings, true).unwrap();
            let names = |machine: &Machine| {
                state(machine)
                    .into_iter()
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                names(&machine),
                names(&reference),
                "{kind} killed at call {budget}"
            );
            if kind != ActionKind::Seed {
                assert!(
                    state(&machine) == state(&reference),
                    "{kind} killed at call {budget}"
                );
            }
        }
        assert!((1..20).contains(&kills), "{kind}: {kills} kills");
    }
}

#[test]
fn an_inspection_reports_and_ends_when_it_is_called_off() {
    let machine = installed();
    let before = state(&machine);
    let context = context(&machine, &[("HOLD_MINUTES", "600")], false);
    context.cancel.cancel();
    let error = run("inspect", &context).unwrap_err();
    assert!(error.line().contains("called off"), "{}", error.line());
    assert_eq!(
        context.board.take_log(),
        ["kernel: [1.000000] ata1.00: failed command"]
    );
    assert!(state(&machine) == before);
}

#[test]
fn the_seed_s_key_survives_a_kill_after_the_request() {
    let machine = installed();
    let settings = settings(ActionKind::Seed, &machine);
    // Looking for the disk and mounting work; the certificate does not arrive.
    machine.budget.store(2, Ordering::SeqCst);
    act(&machine, ActionKind::Seed, &settings, false).unwrap_err();
    machine.budget.store(usize::MAX, Ordering::SeqCst);
    act(&machine, ActionKind::Seed, &settings, true).unwrap();
    let requests = machine.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        requests[0], requests[1],
        "the second request must be for the same key"
    );
    let key = machine.read("part2/etc/gantry/first-boot/key.pem");
    assert_eq!(public_key(&key), requests[0]);
    let config: serde_json::Value =
        serde_json::from_str(&machine.read("part2/etc/gantry/first-boot/first-boot.json")).unwrap();
    assert_eq!(config["endpoints"][0], "https://192.0.2.1:7443");
    assert_eq!(config["siteName"], "lab.gantry.test");
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &str| {
        std::fs::metadata(machine.file(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("part2/etc/gantry/first-boot"), 0o700);
    assert_eq!(mode("part2/etc/gantry/first-boot/key.pem"), 0o600);
    assert_eq!(mode("part2/var/lib/cloud/seed/nocloud"), 0o700);
    assert_eq!(mode("part2/var/lib/cloud/scripts/per-boot"), 0o755);
}

#[test]
fn handover_follows_policy_and_machine() {
    let table = [
        ("auto", false, false, Some(true), "kexec"),
        ("auto", true, false, Some(false), "reboot"),
        ("auto", false, true, Some(false), "reboot"),
        ("kexec", true, false, Some(true), "kexec"),
        ("reboot", false, false, Some(false), "reboot"),
    ];
    for (policy, secure_boot, kexec_fails, leave, fact) in table {
        let machine = installed();
        let mut machine = Arc::into_inner(machine).unwrap();
        machine.secure_boot = secure_boot;
        machine.kexec_fails = kexec_fails;
        let machine = Arc::new(machine);
        let mut settings = settings(ActionKind::Handover, &machine);
        settings.push(("HANDOVER", policy.to_owned()));
        let outcome = act(&machine, ActionKind::Handover, &settings, false).unwrap();
        assert_eq!(outcome.leave, leave, "{policy} {secure_boot} {kexec_fails}");
        assert_eq!(outcome.facts["handover"], fact);
        let disk = std::fs::read(machine.file("disk")).unwrap();
        let esp = gpt::parse(&disk).unwrap().esp().copied().unwrap();
        assert_eq!(outcome.facts["esp_guid"], gpt::guid_text(&esp.guid));
        assert_eq!(outcome.facts["firmware"], "uefi");
        assert_eq!(outcome.facts["disk"], "/dev/disk/by-id/simulated/disk");
        if leave == Some(true) {
            let loaded = machine.loaded.lock().unwrap();
            let expected = (
                "kernel".to_owned(),
                Some("initramfs".to_owned()),
                "root=LABEL=root ro".to_owned(),
            );
            assert_eq!(*loaded, [expected]);
        }
    }
    let machine = installed();
    let settings = owned(&[("HANDOVER", "later"), ("DEST_DISK", "/dev/disk")]);
    let error = act(&machine, ActionKind::Handover, &settings, false).unwrap_err();
    assert!(error.to_string().contains("HANDOVER"), "{error}");
}

#[test]
fn an_image_that_is_not_what_its_name_says_leaves_a_disk_that_cannot_boot() {
    let machine = Arc::new(Machine::new(image()));
    let named = format!("http://192.0.2.1:7080/images/{}", "0".repeat(64));
    let settings = owned(&[("IMG_URL", named.as_str()), ("DEST_DISK", "/dev/disk")]);
    let error = act(&machine, ActionKind::Image2disk, &settings, false).unwrap_err();
    assert!(error.line().contains("wrong digest"), "{}", error.line());
    let mut head = vec![1; 1 << 20];
    let disk = std::fs::File::open(machine.file("disk")).unwrap();
    (&disk).read_exact(&mut head).unwrap();
    assert!(head.iter().all(|octet| *octet == 0));
}

/// The machine is reset in the middle of the write, and its next boot finds the disks in the other order.
#[test]
fn names_that_change_between_boots_do_not_change_the_disk() {
    let mut machine = Machine::new(image());
    let old = vec![0xaa; usize::try_from(DISK).unwrap()];
    for disk in ["disk", "second"] {
        std::fs::write(machine.file(disk), &old).unwrap();
    }
    let untouched = |machine: &Machine| std::fs::read(machine.file("second")).unwrap() == old;
    let pin = PinnedDisk {
        name: "/dev/sda".to_owned(),
        serial: "FIRST".to_owned(),
        size: DISK,
        ..PinnedDisk::default()
    };
    let write = |machine: &Arc<Machine>, resumed| {
        let mut settings = disk_settings(machine);
        settings.push(("DEST_DISK", "/dev/sda".to_owned()));
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut context = context(machine, &settings, resumed);
        context.disks = vec![pin.clone()];
        run("image2disk", &context)
    };
    machine.disks =
        Some(machine.boot_with("boot1", &[("sda", "FIRST", "disk"), ("sdb", "SECOND", "second")]));
    machine.budget = 4.into();
    let machine = Arc::new(machine);
    write(&machine, false).unwrap_err();
    assert_ne!(
        std::fs::read(machine.file("disk")).unwrap(),
        old,
        "cut off in the write"
    );

    let mut machine = Arc::into_inner(machine).unwrap();
    machine.disks =
        Some(machine.boot_with("boot2", &[("sda", "SECOND", "second"), ("sdb", "FIRST", "disk")]));
    machine.budget = usize::MAX.into();
    let machine = Arc::new(machine);
    write(&machine, true).unwrap();
    assert!(gpt::parse(&std::fs::read(machine.file("disk")).unwrap()).is_some());
    assert!(untouched(&machine), "the other disk was written to");

    let mut machine = Arc::into_inner(machine).unwrap();
    machine.disks = Some(machine.boot_with("boot3", &[("sda", "SECOND", "second")]));
    let machine = Arc::new(machine);
    let error = write(&machine, true).unwrap_err();
    assert!(
        error.line().contains("no disk with serial number FIRST"),
        "{}",
        error.line()
    );
    assert!(untouched(&machine));
}

#[test]
fn an_image_keeps_its_identities_unless_all_references_are_known() {
    let guid = "01010101-0101-0101-0101-010101010101";
    let mut image = image();
    image[4 * MIB..4 * MIB + 36].copy_from_slice(guid.as_bytes());
    let reference = format!("1@{}", 4 * MIB);
    let written = |extra: &[(&'static str, &str)]| {
        let machine = Arc::new(Machine::new(image.clone()));
        let mut settings = disk_settings(&machine);
        settings.extend(owned(extra));
        let outcome = act(&machine, ActionKind::Image2disk, &settings, false).unwrap();
        let disk = std::fs::read(machine.file("disk")).unwrap();
        let text = String::from_utf8(disk[4 * MIB..4 * MIB + 36].to_vec()).unwrap();
        (outcome.facts["esp_guid"].clone(), text)
    };
    for keep in [&[][..], &[("PARTITION_GUIDS", "keep")]] {
        assert_eq!(written(keep), (guid.to_owned(), guid.to_owned()));
    }
    let (renewed, text) = written(&[("PARTITION_GUIDS", "renew"), ("GUID_REFERENCES", &reference)]);
    assert_ne!(renewed, guid);
    assert_eq!(renewed, text);

    // A template that says nothing, and an image of the appliance: its manifest decides.
    let machine = Arc::new(Machine::new(image.clone()));
    let mut manifest = measure(ImageReader::open(Cursor::new(image)).unwrap(), "t", &mut |_| {}).unwrap();
    let url = format!("http://192.0.2.1:7080/images/{}", manifest.digest.hex());
    manifest.guid_references = Some(vec![reference.parse().unwrap()]);
    for (listed, renews) in [(true, true), (false, false)] {
        if !listed {
            manifest.guid_references = None;
        }
        *machine.manifest.lock().unwrap() = serde_json::to_vec(&manifest).unwrap();
        let settings = owned(&[("IMG_URL", url.as_str()), ("DEST_DISK", "/dev/disk")]);
        let outcome = act(&machine, ActionKind::Image2disk, &settings, false).unwrap();
        assert_eq!(outcome.facts["esp_guid"] != guid, renews);
    }
}

#[test]
fn under_bios_no_variable_is_written() {
    let mut machine = Arc::into_inner(installed()).unwrap();
    machine.firmware = Firmware::Bios;
    machine.bios_drive = Some(0x81);
    let machine = Arc::new(machine);
    let settings = settings(ActionKind::Reboot, &machine);
    let outcome = act(&machine, ActionKind::Reboot, &settings, false).unwrap();
    assert_eq!(outcome.facts["firmware"], "bios");
    assert_eq!(outcome.facts["bios_drive"], "0x81");
    assert_eq!(machine.option_writes.load(Ordering::SeqCst), 0);
}

#[test]
fn errors_name_the_setting() {
    let machine = installed();
    let table = [
        (ActionKind::Image2disk, "IMG_URL", "", "IMG_URL"),
        (ActionKind::Image2disk, "IMG_DIGEST", "md5:00", "IMG_DIGEST"),
        (ActionKind::Image2disk, "DEST_DISK", "/dev/sdz", "/dev/sdz"),
        (
            ActionKind::Image2disk,
            "PARTITION_GUIDS",
            "unique",
            "keep nor renew",
        ),
        (
            ActionKind::Writefile,
            "DEST_PATH",
            "/../etc/passwd",
            "/../etc/passwd",
        ),
        (ActionKind::Writefile, "MODE", "rw", "MODE"),
        (ActionKind::Writefile, "UID", "root", "UID"),
        (ActionKind::Seed, "META_DATA", "", "META_DATA"),
        (ActionKind::Kexec, "KERNEL_PATH", "/boot/absent", "absent"),
        (ActionKind::Reboot, "DEST_DISK", "/dev/sdz", "/dev/sdz"),
    ];
    for (kind, name, value, expected) in table {
        let mut settings = settings(kind, &machine);
        settings.retain(|(other, _)| *other != name);
        settings.push((name, value.to_owned()));
        let error = act(&machine, kind, &settings, false).unwrap_err();
        assert!(error.line().contains(expected), "{kind}: {}", error.line());
    }
    let error = run("archive2disk", &context(&machine, &[], false)).unwrap_err();
    assert!(error.to_string().contains("archive2disk"), "{error}");
}

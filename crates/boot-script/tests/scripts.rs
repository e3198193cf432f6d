//! Golden scripts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by panicking"
)]

use boot_script::{Decision, Installer, InstallerSource, ScriptError, SiteSettings, Subject, render};
use jiff::Timestamp;
use resources::tinkerbell::Osie;

fn now() -> Timestamp {
    "2026-11-21T00:00:00.123456Z".parse().unwrap()
}

fn site() -> SiteSettings {
    SiteSettings::new("rack-1", [10, 0, 0, 1].into())
}

fn installer() -> Installer {
    Installer {
        boot_id: Some("00112233445566778899aabbccddeeff".into()),
        attempt: Some((3, 1)),
        source: InstallerSource::BuiltIn,
        esp_guid: None,
        bios_drive: None,
    }
}

fn rendered(decision: &Decision) -> Result<String, ScriptError> {
    let subject = Subject {
        mac: Some("52:54:00:00:00:01".parse().unwrap()),
        name: Some("node-1"),
    };
    render(decision, subject, &site(), now()).map(|script| script.unwrap())
}

#[test]
fn golden_installer() {
    insta::assert_snapshot!(rendered(&Decision::Installer(installer())).unwrap());
}

#[test]
fn golden_local_disk() {
    let esp_guid = Some("C12A7328-F81F-11D2-BA4B-00A0C93EC93B".to_owned());
    insta::assert_snapshot!(
        rendered(&Decision::LocalDisk {
            esp_guid,
            bios_drive: None,
            reason: "disarmed".into()
        })
        .unwrap()
    );
}

/// Under a PC BIOS only the recorded drive is booted, and the screen says which one.
#[test]
fn the_recorded_drive_is_the_only_one() {
    let local = rendered(&Decision::LocalDisk {
        esp_guid: None,
        bios_drive: Some(0x81),
        reason: "disarmed".into(),
    });
    let fallback = rendered(&Decision::Installer(Installer {
        bios_drive: Some(0x81),
        ..installer()
    }));
    for script in [local.unwrap(), fallback.unwrap()] {
        let (bios, _) = script.split_once(":local_efi").unwrap();
        let drives: Vec<&str> = bios.lines().filter(|line| line.starts_with("sanboot")).collect();
        assert_eq!(drives, ["sanboot --no-describe --drive 0x81 ||"]);
        assert!(bios.contains("echo Gantry: booting drive 0x81,"), "{bios}");
    }
}

#[test]
fn golden_unknown_machine() {
    let decision = Decision::Installer(Installer {
        boot_id: None,
        attempt: None,
        ..installer()
    });
    let script = render(
        &decision,
        Subject {
            mac: None,
            name: None,
        },
        &site(),
        now(),
    )
    .unwrap()
    .unwrap();
    let kernel = script.lines().find(|line| line.starts_with("kernel")).unwrap();
    assert!(!kernel.contains("boot_id"), "{kernel}");
    assert!(kernel.contains("BOOTIF=01-${net0/mac:hexhyp}"), "{kernel}");
}

#[test]
fn own_scripts_and_installers() {
    let contents = |text: &str| rendered(&Decision::CustomScript(text.into())).unwrap();
    assert_eq!(contents("#!ipxe\nshell\n"), "#!ipxe\nshell\n");
    assert_eq!(contents("shell"), "#!ipxe\nshell\n");
    let chain = |url: &str| rendered(&Decision::Chain(url.into()));
    assert_eq!(
        chain("https://a/b").unwrap(),
        "#!ipxe\nchain --autofree https://a/b\n"
    );
    let osie = Osie {
        base_url: Some("http://10.0.0.9/hook/".into()),
        kernel: None,
        initrd: Some("initramfs-6".into()),
        kernel_params: vec!["tink_worker_image=a/b:c quiet".into()],
    };
    let decision = Decision::Installer(Installer {
        source: InstallerSource::Osie(osie),
        ..installer()
    });
    let script = rendered(&decision).unwrap();
    assert!(
        script.contains(" http://10.0.0.9/hook/vmlinuz-x86_64 "),
        "{script}"
    );
    assert!(script.contains(" http://10.0.0.9/hook/initramfs-6 "), "{script}");
    assert!(script.contains(" tink_worker_image=a/b:c quiet ||"), "{script}");
}

#[test]
fn hostile_values_are_refused_or_made_harmless() {
    for url in [
        "http://a/b\nshell",
        "ftp://a/b",
        "http://a/${x}",
        "http://a/b || shell",
        "",
    ] {
        assert!(rendered(&Decision::Chain(url.into())).is_err(), "{url:?}");
    }
    for value in ["a\nshell", "||", "${x}", "a && b"] {
        let osie = Osie {
            base_url: Some("http://a/b".into()),
            kernel_params: vec![value.into()],
            ..Osie::default()
        };
        let decision = Decision::Installer(Installer {
            source: InstallerSource::Osie(osie),
            ..installer()
        });
        let script = rendered(&decision);
        // A line break only separates arguments.
        assert!(
            script.is_err() || (value == "a\nshell" && script.unwrap().contains(" a shell ||")),
            "{value:?}"
        );
    }
    let long = Osie {
        base_url: Some("http://a/b".into()),
        kernel_params: vec!["x".repeat(2048)],
        ..Osie::default()
    };
    let decision = Decision::Installer(Installer {
        source: InstallerSource::Osie(long),
        ..installer()
    });
    assert!(matches!(rendered(&decision), Err(ScriptError::TooLong { .. })));
    let reason = "a\nshell ${x} || && ; #".into();
    let script = rendered(&Decision::LocalDisk {
        esp_guid: Some("x\nshell".into()),
        bios_drive: None,
        reason,
    })
    .unwrap();
    assert!(!script.lines().any(|line| line.starts_with("shell")), "{script}");
    assert!(!script.contains("${x}") && !script.contains("--uuid"), "{script}");
}

/// Nothing that iPXE splits or expands is left in a line but what the script itself puts there.
#[test]
fn loops_are_bounded() {
    let script = rendered(&Decision::Installer(installer())).unwrap();
    assert_eq!(script.matches("goto again").count(), 1);
    let again = script.find(":again").unwrap();
    let count = script.find("iseq ${try} 5 && goto failed").unwrap();
    let inc = script.find("inc try").unwrap();
    assert!(again < count && count < inc && inc < script.find("kernel ").unwrap());
}

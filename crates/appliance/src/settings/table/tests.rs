//! The table's own rules.

use super::*;

#[test]
fn names_of_flags_and_variables() {
    assert_eq!(
        (flag("apiListen"), variable("apiListen")),
        ("api-listen".into(), "GANTRY_API_LISTEN".into())
    );
    assert_eq!(variable("data"), "GANTRY_DATA");
}

#[test]
fn examples_and_defaults_are_valid_values() {
    for key in KEYS {
        let mut settings = Settings::empty();
        for text in [key.default, key.example] {
            if !text.is_empty() || key.default.is_empty() {
                assert_eq!((key.set)(&mut settings, text), Ok(()), "{} {text:?}", key.name);
            }
        }
    }
}

#[test]
fn wrong_values_are_refused() {
    let bad = [
        ("data", "relative"),
        ("site", "Not A Name"),
        ("apiListen", "6443"),
        ("address", "::1"),
        ("httpPort", "0"),
        ("unknownMachines", "maybe"),
        ("idleInstaller", "yes"),
        ("serveUserDataByAddress", "1"),
        ("controlPlaneProof", "tpm"),
        ("postMinutes", "0"),
        ("manualMinutes", "43201"),
        ("serverCooldownMinutes", "0"),
        ("wipeReleasedServers", "full"),
        ("etcdSnapshotHours", "8761"),
        ("etcdSnapshotsKept", "0"),
        ("renewCertificatesDays", "121"),
        ("etcdSnapshotCopies", "s3://"),
        ("etcdSnapshotCopies", "backup"),
        ("etcdSnapshotCopiesKept", "0"),
        ("etcdSnapshotKeyFile", "key"),
        ("etcdSnapshotS3Credentials", "secret:s3"),
        ("etcdDrillDays", "366"),
        ("etcdDrillFolder", "shm"),
        ("keepFailedServers", "always"),
        ("driversFile", "drivers.yaml"),
        ("routerAdvertisement", "off"),
        ("recordsPerMachine", "99"),
        ("logFormat", "xml"),
    ];
    for (name, text) in bad {
        let key = KEYS.iter().find(|key| key.name == name).unwrap();
        assert!((key.set)(&mut Settings::empty(), text).is_err(), "{name}");
    }
}

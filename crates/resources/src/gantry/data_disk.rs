//! Disks with data that outlives installations: which disks of a machine no attempt may write to, where the installed system
//! mounts them, and what lay on them when an attempt began.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disk::InventoryDisk;
use crate::tinkerbell::Hardware;
use crate::{Digest, keys};

/// A disk of a machine that no attempt writes to: no installation, no wipe, no repair. One of the list in annotation
/// `gantry.dev/data-disks` of the Hardware. It is identified by serial number or WWN; device names change from boot to boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataDisk {
    /// Serial number, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// World-wide name, such as `0x5000c500a0000001`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// File systems of this disk that a newly installed system mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<DataMount>,
}

/// A file system of a data disk and where it is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataMount {
    /// Directory of the installed system, such as `/srv/data`.
    pub path: String,
    /// The file system: `LABEL=` or `UUID=` and its label or UUID.
    pub filesystem: String,
}

/// What a data disk was like when an attempt began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptDisk {
    /// Serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// World-wide name as the kernel writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the first and the last MiB, where partition tables and volume managers keep what they know.
    pub ends: Digest,
    /// What lay on it: partition table, then file systems and volume signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<String>,
    /// Number of the attempt.
    pub attempt: u64,
}

/// Directories that hold the installed system, or state of the node that a new installation makes anew. Nothing is mounted on
/// them or, but for the first four, below them.
const SYSTEM_DIRECTORIES: [&str; 20] = [
    "/",
    "/opt",
    "/var",
    "/var/lib",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/cloud",
    "/var/lib/containerd",
    "/var/lib/etcd",
    "/var/lib/kubelet",
];
/// How many of [`SYSTEM_DIRECTORIES`] may have mounts below them.
const WITH_ROOM_BELOW: usize = 4;

impl DataDisk {
    /// The data disks that the Hardware lists.
    ///
    /// # Errors
    /// What is wrong with the annotation, for people, all of it.
    pub fn of(hardware: &Hardware) -> Result<Vec<Self>, String> {
        let annotations = hardware.metadata.annotations.as_ref();
        let text = annotations.and_then(|annotations| annotations.get(keys::DATA_DISKS));
        let Some(text) = text.map(|text| text.trim()).filter(|text| !text.is_empty()) else {
            return Ok(Vec::new());
        };
        let key = keys::DATA_DISKS;
        let disks: Vec<Self> = serde_json::from_str(text).map_err(|error| {
            format!("annotation {key} of the Hardware is not valid: {error}; write JSON such as [{{\"serialNumber\": \"...\"}}]")
        })?;
        let mut problems = Vec::new();
        for (number, disk) in disks.iter().enumerate() {
            problems.extend(
                disk.problems()
                    .into_iter()
                    .map(|problem| format!("[{number}]{problem}")),
            );
        }
        let paths: Vec<&String> = disks
            .iter()
            .flat_map(|disk| &disk.mounts)
            .map(|mount| &mount.path)
            .collect();
        for (number, path) in paths.iter().enumerate() {
            if paths.iter().take(number).any(|earlier| earlier == path) {
                problems.push(format!(": {path:?} is mounted twice"));
            }
        }
        if problems.is_empty() {
            return Ok(disks);
        }
        Err(format!(
            "annotation {key} of the Hardware is not valid: {}",
            problems.join("; ")
        ))
    }

    /// Whether a disk with this serial number and WWN is the one.
    #[must_use]
    pub fn is(&self, serial: Option<&str>, wwn: Option<&str>) -> bool {
        let same_serial = self
            .serial_number
            .as_deref()
            .is_none_or(|expected| serial == Some(expected));
        let same_wwn = self
            .wwn
            .as_deref()
            .is_none_or(|expected| wwn.is_some_and(|wwn| wwn_digits(wwn) == wwn_digits(expected)));
        same_serial && same_wwn && (self.serial_number.is_some() || self.wwn.is_some())
    }

    /// Whether a disk that the machine has is the one.
    #[must_use]
    pub fn is_disk(&self, disk: &InventoryDisk) -> bool {
        self.is(disk.serial.as_deref(), disk.wwn.as_deref())
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let blank = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
        if (self.serial_number.is_none() && self.wwn.is_none())
            || blank(&self.serial_number)
            || blank(&self.wwn)
        {
            problems.push(
                ": serialNumber or wwn is needed; the Server's status.inventory.disks lists those of its disks"
                    .to_owned(),
            );
        }
        for (number, mount) in self.mounts.iter().enumerate() {
            let of_mount = mount.problems().into_iter();
            problems.extend(of_mount.map(|problem| format!(".mounts[{number}].{problem}")));
        }
        problems
    }
}

impl std::fmt::Display for DataDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.serial_number, &self.wwn) {
            (Some(serial), _) => write!(f, "data disk with serial number {serial}"),
            (None, wwn) => write!(f, "data disk with WWN {}", wwn.as_deref().unwrap_or_default()),
        }
    }
}

impl DataMount {
    /// What the installed system of a machine mounts of its data disks. With a list that is not valid nothing is installed.
    #[must_use]
    pub fn of(hardware: &Hardware) -> Vec<Self> {
        let disks = DataDisk::of(hardware).unwrap_or_default();
        disks.into_iter().flat_map(|disk| disk.mounts).collect()
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let path = self.path.as_str();
        let plain = |text: &str, also: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        };
        let parts_are_names = path
            .split('/')
            .skip(1)
            .all(|part| !part.is_empty() && part != "." && part != "..");
        if path != "/" && !(path.starts_with('/') && parts_are_names && plain(path, "/._-")) {
            problems.push(format!(
                "path {path:?} is no absolute path of letters, digits, '.', '_' and '-', such as /srv/data"
            ));
        } else if let Some(directory) = system_directory(path) {
            problems.push(format!(
                "path {path:?} would hide {directory}, which belongs to the installed system; choose another one, such as /srv/data"
            ));
        }
        let value = ["LABEL=", "UUID="]
            .iter()
            .find_map(|start| self.filesystem.strip_prefix(start));
        if !value.is_some_and(|value| !value.is_empty() && plain(value, "._-")) {
            problems.push(format!(
                "filesystem {:?} is neither LABEL= nor UUID= with letters, digits, '.', '_' and '-'",
                self.filesystem
            ));
        }
        problems
    }
}

fn system_directory(path: &str) -> Option<&'static str> {
    let below = |directory: &str| {
        path.strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    SYSTEM_DIRECTORIES
        .iter()
        .enumerate()
        .find(|(number, directory)| path == **directory || (*number >= WITH_ROOM_BELOW && below(directory)))
        .map(|(_, directory)| *directory)
}

/// A world-wide name without what stands before its digits, in lower case.
#[must_use]
pub fn wwn_digits(wwn: &str) -> String {
    let wwn = wwn.trim().to_lowercase();
    let start = ["0x", "naa.", "eui."]
        .iter()
        .find_map(|start| wwn.strip_prefix(start));
    start.map(str::to_owned).unwrap_or(wwn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<DataDisk>, String> {
        let mut hardware = Hardware::new("node-1", Default::default());
        hardware.metadata.annotations = Some([(keys::DATA_DISKS.to_owned(), text.to_owned())].into());
        DataDisk::of(&hardware)
    }

    #[test]
    fn a_disk_is_its_serial_number_and_its_wwn() {
        let disks = of(r#"[{"serialNumber": "A"}, {"wwn": "0x5000C500A0000001"},
            {"serialNumber": "C", "wwn": "naa.5000c500a0000003"}]"#)
        .unwrap();
        for (number, serial, wwn, expected) in [
            (0, Some("A"), None, true),
            (0, Some("A"), Some("naa.5000c500a0000001"), true),
            (0, Some("AB"), None, false),
            (0, None, None, false),
            (1, None, Some("naa.5000c500a0000001"), true),
            (1, Some("A"), Some("naa.5000c500a0000002"), false),
            (1, Some("A"), None, false),
            (2, Some("C"), Some("naa.5000c500a0000003"), true),
            (2, Some("C"), None, false),
            (2, None, Some("naa.5000c500a0000003"), false),
        ] {
            assert_eq!(
                disks[number].is(serial, wwn),
                expected,
                "{number} {serial:?} {wwn:?}"
            );
        }
        assert!(!DataDisk::default().is(None, None));
        assert_eq!(disks[0].to_string(), "data disk with serial number A");
        assert_eq!(disks[1].to_string(), "data disk with WWN 0x5000C500A0000001");
    }

    #[test]
    fn nothing_is_listed_without_the_annotation() {
        assert_eq!(
            DataDisk::of(&Hardware::new("node-1", Default::default())),
            Ok(vec![])
        );
        assert_eq!(of("  "), Ok(vec![]));
        assert_eq!(of("[]"), Ok(vec![]));
    }

    #[test]
    fn all_that_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            ("{}", &["write JSON such as [{\"serialNumber\""][..]),
            (r#"[{"deviceName": "/dev/sdb"}]"#, &["unknown field `deviceName`"]),
            ("[{}]", &["[0]: serialNumber or wwn is needed"]),
            (
                r#"[{"serialNumber": "A"}, {"wwn": " "}]"#,
                &["[1]: serialNumber or wwn"],
            ),
            (
                r#"[{"serialNumber": "A", "mounts": [{"path": "data", "filesystem": "/dev/sdb1"}]}]"#,
                &[
                    "[0].mounts[0].path \"data\" is no absolute path",
                    "[0].mounts[0].filesystem \"/dev/sdb1\" is neither",
                ],
            ),
            (
                r#"[{"serialNumber": "A", "mounts": [{"path": "/a", "filesystem": "LABEL=x"}]},
                    {"serialNumber": "B", "mounts": [{"path": "/a", "filesystem": "LABEL=y"}]}]"#,
                &["\"/a\" is mounted twice"],
            ),
        ] {
            let error = of(text).unwrap_err();
            for part in expected {
                assert!(error.contains(part), "{text}: {error}");
            }
        }
    }

    #[test]
    fn a_mount_hides_nothing_of_the_installed_system() {
        let problem = |path: &str| {
            let mount = DataMount {
                path: path.to_owned(),
                filesystem: "UUID=1-2".to_owned(),
            };
            mount.problems().pop()
        };
        for path in [
            "/srv",
            "/srv/data",
            "/var/lib/longhorn",
            "/opt/local-path",
            "/mnt/d_1.x",
            "/etcetera",
        ] {
            assert_eq!(problem(path), None, "{path}");
        }
        for path in SYSTEM_DIRECTORIES
            .into_iter()
            .chain(["/var/lib/etcd/member", "/usr/local"])
        {
            assert!(
                problem(path).is_some_and(|why| why.contains("would hide")),
                "{path}"
            );
        }
        for path in ["", "srv", "//srv", "/srv/", "/srv/../etc", "/srv/a b", "/srv/%i"] {
            assert!(
                problem(path).is_some_and(|why| why.contains("no absolute path")),
                "{path}"
            );
        }
    }
}

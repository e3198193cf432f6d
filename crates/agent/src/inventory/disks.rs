//! Disks and their names. There is no udev in the installer, so the stable names of `/dev/disk/by-id` are made here, by
//! the same rules.

use std::fs;
use std::path::{Path, PathBuf};

use super::text;

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFacts {
    /// Kernel's name such as `sda`.
    pub name: String,
    /// Octets.
    pub size: u64,
    /// Serial number.
    pub serial: Option<String>,
    /// World-wide name.
    pub wwn: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Vendor as SCSI tells it; `ATA` for what speaks ATA.
    pub vendor: Option<String>,
    /// Whether it spins.
    pub rotational: Option<bool>,
}

/// The disks of a machine.
#[derive(Debug, Clone)]
pub struct Disks {
    sys: PathBuf,
    dev: PathBuf,
}

/// Block devices that are not disks.
const NOT_DISKS: [&str; 9] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock"];

impl Disks {
    /// Looks at this sysfs and names devices in this `/dev`.
    #[must_use]
    pub const fn new(sys: PathBuf, dev: PathBuf) -> Self {
        Self { sys, dev }
    }

    /// All disks with a medium, by name.
    #[must_use]
    pub fn all(&self) -> Vec<DiskFacts> {
        let Ok(entries) = fs::read_dir(self.sys.join("block")) else {
            return Vec::new();
        };
        let mut disks: Vec<DiskFacts> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)))
            .filter_map(|name| self.facts(name))
            .collect();
        disks.sort_by(|a, b| a.name.cmp(&b.name));
        disks
    }

    fn facts(&self, name: String) -> Option<DiskFacts> {
        let path = self.sys.join("block").join(&name);
        let sectors: u64 = text(&path.join("size"))?.parse().ok()?;
        let read = |name: &str| text(&path.join(name));
        let serial = read("serial")
            .or_else(|| read("device/serial"))
            .or_else(|| unit_serial(&path.join("device/vpd_pg80")));
        (sectors > 0).then(|| DiskFacts {
            size: sectors * 512,
            serial,
            wwn: read("wwid").or_else(|| read("device/wwid")),
            model: read("device/model"),
            vendor: read("device/vendor"),
            rotational: read("queue/rotational").map(|value| value == "1"),
            name,
        })
    }

    /// The device that `wanted` names: `/dev/NAME` as the kernel calls it, or `/dev/disk/by-id/ID`, each with or
    /// without a partition.
    #[must_use]
    pub fn find(&self, wanted: &str) -> Option<PathBuf> {
        if let Some(id) = wanted.strip_prefix("/dev/disk/by-id/") {
            return self.all().into_iter().find_map(|disk| {
                let rest = disk
                    .ids()
                    .into_iter()
                    .find_map(|known| id.strip_prefix(&known).map(str::to_owned))?;
                let node = match rest.strip_prefix("-part") {
                    _ if rest.is_empty() => disk.name.clone(),
                    Some(number) => partition_name(&disk.name, number.parse().ok()?),
                    None => return None,
                };
                Some(self.dev.join(node)).filter(|path| path.exists())
            });
        }
        let name = wanted
            .strip_prefix("/dev/")
            .filter(|name| !name.is_empty() && !name.contains(['/', '.']))?;
        let known = self.sys.join("class/block").join(name).exists();
        known.then(|| self.dev.join(name)).filter(|path| path.exists())
    }

    /// A name that the next boot understands too; the device itself when the disk has no identity.
    #[must_use]
    pub fn stable_name(&self, device: &Path) -> PathBuf {
        let id = self.place_of(device).and_then(|(disk, partition)| {
            let id = disk.ids().into_iter().next()?;
            let suffix = partition.map_or_else(String::new, |number| format!("-part{number}"));
            Some(PathBuf::from(format!("/dev/disk/by-id/{id}{suffix}")))
        });
        id.unwrap_or_else(|| device.to_owned())
    }

    /// The disk that a partition is on; what is no partition is its own.
    #[must_use]
    pub fn disk_of(&self, device: &Path) -> PathBuf {
        let disk = self.place_of(device).map(|(disk, _)| self.dev.join(disk.name));
        disk.unwrap_or_else(|| device.to_owned())
    }

    /// Disk and partition of a device node.
    fn place_of(&self, device: &Path) -> Option<(DiskFacts, Option<u32>)> {
        let name = device.file_name()?.to_str()?;
        self.all().into_iter().find_map(|disk| {
            let rest = name.strip_prefix(&disk.name)?;
            if rest.is_empty() {
                return Some((disk, None));
            }
            let number = rest.strip_prefix('p').unwrap_or(rest).parse().ok()?;
            (partition_name(&disk.name, number) == name).then_some((disk, Some(number)))
        })
    }

    /// One line that lists what there is, for errors.
    #[must_use]
    pub fn listing(&self) -> String {
        let names: Vec<String> = self
            .all()
            .iter()
            .map(|disk| {
                let id = disk
                    .ids()
                    .into_iter()
                    .next()
                    .map_or_else(String::new, |id| format!(" = {id}"));
                format!("/dev/{}{id} ({} octets)", disk.name, disk.size)
            })
            .collect();
        if names.is_empty() {
            "no disks".to_owned()
        } else {
            names.join(", ")
        }
    }
}

/// `sda` and 2 make `sda2`, `nvme0n1` and 2 make `nvme0n1p2`.
fn partition_name(disk: &str, number: u32) -> String {
    let separator = if disk.ends_with(|last: char| last.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    format!("{disk}{separator}{number}")
}

/// SCSI vital product data, page 80h: four octets of header, then the serial number.
fn unit_serial(path: &Path) -> Option<String> {
    let page = fs::read(path).ok()?;
    let serial = String::from_utf8_lossy(page.get(4..)?).trim().to_owned();
    (!serial.is_empty()).then_some(serial)
}

impl DiskFacts {
    /// Names under `/dev/disk/by-id`, the most telling first.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let serial = self.serial.as_deref().map(plain);
        let model = self.model.as_deref().map(plain);
        let ata = self.vendor.as_deref() == Some("ATA");
        if self.name.starts_with("nvme") {
            ids.extend(
                model
                    .zip(serial)
                    .map(|(model, serial)| format!("nvme-{model}_{serial}")),
            );
            ids.extend(self.wwn.as_deref().map(|wwn| format!("nvme-{}", plain(wwn))));
        } else if self.name.starts_with("vd") {
            ids.extend(
                serial.map(|serial| format!("virtio-{}", serial.chars().take(20).collect::<String>())),
            );
        } else {
            let named = match (ata, self.vendor.as_deref().map(plain), model, serial) {
                (true, _, Some(model), Some(serial)) => Some(format!("ata-{model}_{serial}")),
                (false, Some(vendor), Some(model), Some(serial)) => {
                    Some(format!("scsi-S{vendor}_{model}_{serial}"))
                }
                _ => None,
            };
            ids.extend(named);
            let naa = self.wwn.as_deref().and_then(|wwn| wwn.strip_prefix("naa."));
            ids.extend(naa.map(|naa| format!("wwn-0x{naa}")));
        }
        ids
    }

    pub(crate) fn into_message(self) -> agent_protocol::v1::Disk {
        agent_protocol::v1::Disk {
            device: format!("/dev/{}", self.name),
            size: self.size,
            serial: self.serial.unwrap_or_default(),
            wwn: self.wwn.unwrap_or_default(),
            model: self.model.unwrap_or_default(),
            rotational: self.rotational,
        }
    }
}

/// As udev writes it: blanks become one underscore.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> (tempfile::TempDir, Disks) {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("sys/block/sda/size", "2048\n");
        write("sys/block/sda/device/vendor", "ATA     \n");
        write("sys/block/sda/device/model", "QEMU HARDDISK   \n");
        write("sys/block/sda/device/vpd_pg80", "\0\u{1}\0\u{4}QM01  ");
        write("sys/block/sda/device/wwid", "naa.5000c500a0000001\n");
        write("sys/block/nvme0n1/size", "4096\n");
        write("sys/block/nvme0n1/device/model", "Fast Disk                  \n");
        write("sys/block/nvme0n1/device/serial", "N 1\n");
        write("sys/block/vda/size", "4096\n");
        write("sys/block/vda/serial", "target");
        write("sys/block/vdb/size", "4096\n");
        write("sys/block/loop0/size", "4096\n");
        write("sys/block/sr0/size", "4096\n");
        for node in ["sda", "sda2", "nvme0n1", "nvme0n1p2", "vda", "vda1", "vdb"] {
            write(&format!("sys/class/block/{node}/dev"), "8:0");
            write(&format!("dev/{node}"), "");
        }
        let disks = Disks::new(root.path().join("sys"), root.path().join("dev"));
        (root, disks)
    }

    #[test]
    fn names_by_kernel_and_by_identity() {
        let (root, disks) = machine();
        let table = [
            ("/dev/sda", Some("sda")),
            ("/dev/sda2", Some("sda2")),
            ("/dev/sda3", None),
            ("/dev/disk/by-id/ata-QEMU_HARDDISK_QM01", Some("sda")),
            ("/dev/disk/by-id/ata-QEMU_HARDDISK_QM01-part2", Some("sda2")),
            ("/dev/disk/by-id/wwn-0x5000c500a0000001", Some("sda")),
            ("/dev/disk/by-id/nvme-Fast_Disk_N_1-part2", Some("nvme0n1p2")),
            ("/dev/disk/by-id/virtio-target-part1", Some("vda1")),
            ("/dev/disk/by-id/virtio-targe", None),
            ("/dev/disk/by-id/virtio-target-partx", None),
            ("/dev/../etc/passwd", None),
            ("/dev/loop0", None),
            ("sda", None),
        ];
        for (wanted, node) in table {
            let expected = node.map(|node| root.path().join("dev").join(node));
            assert_eq!(disks.find(wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn stable_names_read_back() {
        let (root, disks) = machine();
        for node in ["sda", "sda2", "nvme0n1", "nvme0n1p2", "vda", "vda1"] {
            let device = root.path().join("dev").join(node);
            let name = disks.stable_name(&device);
            assert!(name.starts_with("/dev/disk/by-id"), "{name:?}");
            assert_eq!(disks.find(&name.to_string_lossy()), Some(device));
        }
        let disk_of = |node: &str| disks.disk_of(Path::new(node)).file_name().unwrap().to_owned();
        assert_eq!(disk_of("/dev/nvme0n1p2"), "nvme0n1");
        assert_eq!(disk_of("/dev/vda1"), "vda");
        assert_eq!(disk_of("/dev/sda"), "sda");
        let without_identity = root.path().join("dev/vdb");
        assert_eq!(disks.stable_name(&without_identity), without_identity);
        let names: Vec<String> = disks.all().into_iter().map(|disk| disk.name).collect();
        assert_eq!(names, ["nvme0n1", "sda", "vda", "vdb"]);
    }
}

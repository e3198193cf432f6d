//! Disks and their names. There is no udev in the installer, so the names of `/dev/disk/by-id` and `/dev/disk/by-path`
//! are made here, by the rules of its `60-persistent-storage.rules`.

use std::fs;
use std::path::{Path, PathBuf};

use agent_protocol::{inventory_disk, v1};
use resources::gantry::InventoryDisk;

use super::attachment::{Attachment, attachment};
use super::contents::contents;
use super::disk_ids::DiskIds;
use super::ends::ends_digest;
use super::sysfs::text;
use super::vpd::Vpd;
use crate::Error;

/// A whole disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskFacts {
    /// Kernel's name such as `sda`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Serial number.
    pub serial: Option<String>,
    /// World-wide name as the kernel writes it, such as `naa.5000c500a0000001`.
    pub wwn: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Vendor as SCSI gives it; `ATA` for what speaks ATA.
    pub vendor: Option<String>,
    /// Whether it spins.
    pub rotational: Option<bool>,
    /// How it is attached.
    pub transport: Option<String>,
    /// SCSI address.
    pub hctl: Option<String>,
    /// Whether its medium can be taken out.
    pub removable: bool,
    /// Whether the kernel refuses to write to it.
    pub read_only: bool,
    /// Bytes of a logical and of a physical block.
    pub block_sizes: (u32, u32),
    /// Names under `/dev/disk/by-id`, the most telling first.
    pub ids: Vec<String>,
    /// Names under `/dev/disk/by-path`.
    pub paths: Vec<String>,
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
            // Areas of an eMMC besides its data.
            .filter(|name| !(name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"))))
            .filter_map(|name| self.facts(name))
            .collect();
        disks.sort_by(|a, b| a.name.cmp(&b.name));
        disks
    }

    /// All disks, for the appliance, with what lies on them and a digest by which a change shows.
    #[must_use]
    pub fn report(&self) -> Vec<v1::Disk> {
        let with_contents = |disk: DiskFacts| {
            let device = self.dev.join(&disk.name);
            v1::Disk {
                contents: contents(&self.sys.join("block").join(&disk.name), &device),
                ends: ends_digest(&device, disk.size)
                    .map(|digest| digest.to_string())
                    .unwrap_or_default(),
                ..disk.into_message()
            }
        };
        self.all().into_iter().map(with_contents).collect()
    }

    fn facts(&self, name: String) -> Option<DiskFacts> {
        let path = self.sys.join("block").join(&name);
        let read = |name: &str| text(&path.join(name));
        let sectors: u64 = read("size")?.parse().ok()?;
        // A path to an NVMe drive that has several is no disk of its own.
        if sectors == 0 || read("hidden").is_some_and(|hidden| hidden == "1") {
            return None;
        }
        let vpd = Vpd::read(&path.join("device"));
        let attachment = attachment(&self.sys, &path.canonicalize().unwrap_or_else(|_| path.clone()));
        let of_ata = vpd.ata();
        let serial = read("serial")
            .or_else(|| read("device/serial"))
            .or_else(|| vpd.serial())
            .or_else(|| of_ata.as_ref().map(|(_, serial)| serial.clone()))
            .or_else(|| attachment.usb_serial.clone());
        let wwn = read("wwid").or_else(|| read("device/wwid"));
        let ids = DiskIds {
            name: &name,
            vendor: read("device/vendor").unwrap_or_default(),
            model: read("device/model").unwrap_or_default(),
            serial: serial.clone().unwrap_or_default(),
            wwid: wwn.clone().unwrap_or_default(),
            namespace: read("nsid").unwrap_or_default(),
            card: read("device/name").unwrap_or_default(),
            vpd: &vpd,
            attachment: &attachment,
        };
        let ids = ids.all();
        let Attachment {
            transport,
            hctl,
            paths,
            ..
        } = attachment;
        let block_size = |name: &str| {
            read(name)
                .and_then(|bytes| bytes.parse().ok())
                .unwrap_or_default()
        };
        let sd_card = transport == Some("mmc") && read("device/type").is_some_and(|kind| kind == "SD");
        Some(DiskFacts {
            size: sectors * 512,
            serial: serial.filter(|serial| !is_zeros(serial)),
            wwn: wwn.filter(|wwn| !is_zeros(wwn.split_once('.').map_or(wwn.as_str(), |(_, digits)| digits))),
            model: of_ata.map(|(model, _)| model).or_else(|| read("device/model")),
            vendor: read("device/vendor"),
            rotational: read("queue/rotational").map(|value| value == "1"),
            transport: transport.map(str::to_owned),
            hctl,
            removable: sd_card || read("removable").is_some_and(|value| value == "1"),
            read_only: read("ro").is_some_and(|value| value == "1"),
            block_sizes: (
                block_size("queue/logical_block_size"),
                block_size("queue/physical_block_size"),
            ),
            ids,
            paths,
            name,
        })
    }

    /// The device of a pinned disk or of one of its partitions in this boot: by what the disk is, never by a name.
    ///
    /// # Errors
    /// When no disk or more than one has the identity, or the disk is none that may be written to.
    pub fn find(&self, disk: &v1::PinnedDisk, partition: Option<u32>) -> Result<PathBuf, Error> {
        let all = self.all();
        let (same, others): (Vec<_>, Vec<_>) = all
            .iter()
            .partition(|facts| difference(&facts.comparable(), disk).is_none());
        let facts = match same.as_slice() {
            [facts] => *facts,
            [] => {
                let near = others.iter().find_map(|facts| {
                    let facts = facts.comparable();
                    let different = difference(&facts, disk)?;
                    is_named(&facts, disk).then(|| format!("; {} has {different}", facts.device))
                });
                return Err(Error::NoDisk {
                    name: describe(disk),
                    found: self.listing() + &near.unwrap_or_default(),
                });
            }
            several => {
                let names: Vec<&str> = several.iter().map(|facts| facts.name.as_str()).collect();
                return Err(Error::DiskRefused {
                    disk: describe(disk),
                    reason: format!("{} all have this identity", names.join(", ")),
                });
            }
        };
        let excluded = facts.comparable().exclusion().filter(|_| !disk.removable_allowed);
        if let Some(reason) = excluded.or(facts.read_only.then_some("read-only")) {
            return Err(Error::DiskRefused {
                disk: describe(disk),
                reason: format!("/dev/{} is {reason}", facts.name),
            });
        }
        let node = match partition {
            None => facts.name.clone(),
            Some(number) => partition_name(&facts.name, number),
        };
        let device = self.dev.join(&node);
        if self.sys.join("class/block").join(&node).exists() && device.exists() {
            return Ok(device);
        }
        Err(Error::NoDisk {
            name: format!("/dev/{node} ({})", describe(disk)),
            found: self.listing(),
        })
    }

    /// A name that the next boot understands too; the device itself when the disk has no identity.
    #[must_use]
    pub fn stable_name(&self, device: &Path) -> PathBuf {
        let name = self.place_of(device).and_then(|(disk, partition)| {
            let name = disk.names().next()?;
            let suffix = partition.map_or_else(String::new, |number| format!("-part{number}"));
            Some(PathBuf::from(format!("{name}{suffix}")))
        });
        name.unwrap_or_else(|| device.to_owned())
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
                let name = disk
                    .names()
                    .next()
                    .map_or_else(String::new, |name| format!(" = {name}"));
                format!("/dev/{}{name} ({} bytes)", disk.name, disk.size)
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

/// What boards and bridges give that were never programmed.
fn is_zeros(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '0' | '-' | ' '))
}

/// How a disk differs from a pinned identity.
fn difference(disk: &InventoryDisk, pinned: &v1::PinnedDisk) -> Option<String> {
    let texts = [
        ("serial number", disk.serial.as_deref(), &pinned.serial),
        ("WWN", disk.wwn.as_deref(), &pinned.wwn),
    ];
    for (what, found, expected) in texts {
        let found = found.unwrap_or_default();
        if found != expected {
            return Some(format!("{what} {found:?} instead of {expected:?}"));
        }
    }
    if disk.size != pinned.size {
        return Some(format!("{} bytes instead of {}", disk.size, pinned.size));
    }
    let elsewhere = !pinned.path.is_empty() && !disk.names.contains(&pinned.path);
    elsewhere.then(|| format!("another place than {}", pinned.path))
}

/// Whether a disk that differs has the serial number, WWN or place of the pinned one.
fn is_named(disk: &InventoryDisk, pinned: &v1::PinnedDisk) -> bool {
    let same = |found: Option<&String>, expected: &String| !expected.is_empty() && found == Some(expected);
    same(disk.serial.as_ref(), &pinned.serial)
        || same(disk.wwn.as_ref(), &pinned.wwn)
        || disk.names.contains(&pinned.path)
}

fn describe(disk: &v1::PinnedDisk) -> String {
    let parts = [
        ("serial number ", &disk.serial),
        ("WWN ", &disk.wwn),
        ("at ", &disk.path),
    ];
    let known: Vec<String> = parts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(what, value)| format!("{what}{value}"))
        .collect();
    format!("with {}, {} bytes", known.join(", "), disk.size)
}

impl DiskFacts {
    /// Paths under `/dev/disk`, the most telling first.
    fn names(&self) -> impl Iterator<Item = String> {
        let ids = self.ids.iter().map(|id| format!("/dev/disk/by-id/{id}"));
        let paths = self.paths.iter().map(|path| format!("/dev/disk/by-path/{path}"));
        ids.chain(paths)
    }

    /// As the appliance has it, so that a pinned identity compares equal.
    fn comparable(&self) -> InventoryDisk {
        inventory_disk(&self.clone().into_message())
    }

    pub(crate) fn into_message(self) -> v1::Disk {
        v1::Disk {
            device: format!("/dev/{}", self.name),
            size: self.size,
            names: self.names().collect(),
            serial: self.serial.unwrap_or_default(),
            wwn: self.wwn.unwrap_or_default(),
            model: self.model.unwrap_or_default(),
            rotational: self.rotational,
            transport: self.transport.unwrap_or_default(),
            removable: self.removable,
            read_only: self.read_only,
            logical_block_size: self.block_sizes.0,
            physical_block_size: self.block_sizes.1,
            hctl: self.hctl.unwrap_or_default(),
            vendor: self.vendor.unwrap_or_default(),
            contents: Vec::new(),
            ends: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;

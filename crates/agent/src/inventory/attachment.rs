//! How a disk is attached, read from its place in the tree of devices, and its names under `/dev/disk/by-path` as udev's
//! `path_id` makes them. FireWire, iSCSI, CCW and CSS devices get no such name here.

use std::fs;
use std::path::{Path, PathBuf};

use super::sysfs::text;

/// What the tree of devices says of a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attachment {
    pub(super) transport: Option<&'static str>,
    /// SCSI address.
    pub(super) hctl: Option<String>,
    /// Names under `/dev/disk/by-path`.
    pub(super) paths: Vec<String>,
    /// Serial number of the USB device, for a USB disk that has one.
    pub(super) usb_serial: Option<String>,
}

/// Reads what is known of the block device whose folder is `device`, without links in its path.
pub(super) fn attachment(sys: &Path, device: &Path) -> Attachment {
    let tree = Tree { sys, device };
    let scsi = tree.above(|at| kind_of(at).as_deref() == Some("scsi_device"));
    let usb = tree.above(|at| kind_of(at).as_deref() == Some("usb_device"));
    Attachment {
        transport: tree.transport(),
        hctl: scsi.as_deref().map(name_of).map(str::to_owned),
        paths: tree.paths(),
        usb_serial: usb.and_then(|usb| text(&usb.join("serial"))),
    }
}

struct Tree<'a> {
    sys: &'a Path,
    device: &'a Path,
}

/// A path that grows to the front.
#[derive(Debug, Default)]
struct Name {
    text: String,
    /// As it was made for ATA disks before the target was part of it.
    older: String,
    parent: bool,
    transport: bool,
}

impl Name {
    fn prepend(&mut self, part: &str) {
        prepend(&mut self.text, part);
        if !self.older.is_empty() {
            prepend(&mut self.older, part);
        }
    }
}

fn prepend(text: &mut String, part: &str) {
    *text = match text.is_empty() {
        true => part.to_owned(),
        false => format!("{part}-{text}"),
    };
}

impl Tree<'_> {
    fn chain(&self) -> impl Iterator<Item = &Path> {
        let devices = self.sys.canonicalize().unwrap_or_default().join("devices");
        self.device
            .ancestors()
            .take_while(move |at| at.starts_with(&devices) && **at != devices)
    }

    fn above(&self, wanted: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        self.chain().find(|at| wanted(at)).map(Path::to_owned)
    }

    fn transport(&self) -> Option<&'static str> {
        let within = |part: &str| {
            self.chain().any(|at| {
                name_of(at)
                    .strip_prefix(part)
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            })
        };
        let of = |subsystem: &str| {
            self.chain()
                .any(|at| subsystem_of(at).as_deref() == Some(subsystem))
        };
        match () {
            () if of("usb") => Some("usb"),
            () if within("ata") => Some("sata"),
            () if within("end_device-") => Some("sas"),
            () if within("rport-") => Some("fc"),
            () if within("session") => Some("iscsi"),
            () if of("nvme") || of("nvme-subsystem") => Some("nvme"),
            () if of("mmc") => Some("mmc"),
            () if of("virtio") => Some("virtio"),
            () if of("xen") => Some("xen"),
            () if of("scsi") => Some("scsi"),
            () => None,
        }
    }

    fn paths(&self) -> Vec<String> {
        let mut name = Name::default();
        let mut at = self.device.to_owned();
        let devices = self.sys.canonicalize().unwrap_or_default().join("devices");
        while at.starts_with(&devices) && at != devices {
            let last = match subsystem_of(&at).as_deref() {
                Some("scsi") => {
                    name.transport = true;
                    self.scsi(&at, &mut name)
                }
                Some("usb") => {
                    name.transport = true;
                    usb(&at, &mut name)
                }
                Some(subsystem @ ("pci" | "platform" | "acpi")) => {
                    name.prepend(&format!("{subsystem}-{}", name_of(&at)));
                    name.parent = true;
                    name.transport |= subsystem == "platform";
                    topmost(&at, subsystem)
                }
                Some("virtio") => {
                    name.transport = true;
                    topmost(&at, "virtio")
                }
                Some(subsystem @ ("nvme" | "nvme-subsystem")) => match self.nvme(&at, subsystem, &mut name) {
                    Some(last) => Some(last),
                    None => return Vec::new(),
                },
                _ => Some(at),
            };
            match last.as_deref().and_then(Path::parent) {
                Some(parent) => at = parent.to_owned(),
                None => break,
            }
        }
        if name.text.is_empty() || !name.parent || !name.transport {
            return Vec::new();
        }
        let virtio = name_of(self.device).starts_with("vd") && name.text.starts_with("pci-");
        let older = Some(name.older).filter(|older| !older.is_empty());
        let legacy = virtio.then(|| format!("virtio-{}", name.text));
        std::iter::once(name.text).chain(older).chain(legacy).collect()
    }

    fn nvme(&self, at: &Path, subsystem: &str, name: &mut Name) -> Option<PathBuf> {
        let namespace = text(&self.device.join("nsid"))?;
        name.prepend(&format!("nvme-{namespace}"));
        (name.parent, name.transport) = (true, true);
        if subsystem == "nvme" {
            return topmost(at, "nvme");
        }
        // With several paths to a drive the block device hangs on the subsystem; its name says the controller.
        let disk = name_of(self.device);
        let controller = disk.get(..4 + disk.get(4..)?.find('n')?)?;
        let real = self.sys.join("class/nvme").join(controller).canonicalize().ok()?;
        topmost(&real, "nvme")
    }

    fn scsi(&self, at: &Path, name: &mut Name) -> Option<PathBuf> {
        if kind_of(at).as_deref() != Some("scsi_device") {
            return Some(at.to_owned());
        }
        let numbers: Vec<u64> = name_of(at)
            .split(':')
            .filter_map(|part| part.parse().ok())
            .collect();
        let [host, bus, target, lun] = *numbers.as_slice() else {
            return None;
        };
        let host_folder = self.above(|at| kind_of(at).as_deref() == Some("scsi_host"))?;
        let target_folder = self.above(|at| kind_of(at).as_deref() == Some("scsi_target"))?;
        let below = target_folder.parent()?;
        let tree = at.to_string_lossy();
        if tree.contains("/rport-") {
            let port = text(
                &self
                    .sys
                    .join("class/fc_transport")
                    .join(name_of(&target_folder))
                    .join("port_name"),
            )?;
            name.parent = true;
            name.prepend(&format!("fc-{port}-lun-{lun}"));
        } else if tree.contains("/end_device-") {
            name.parent = true;
            name.prepend(&self.sas(below, lun)?);
        } else if tree.contains("/session") {
            return None;
        } else if tree.contains("/ata") {
            let port = host_folder.parent()?;
            let number = text(
                &self
                    .sys
                    .join("class/ata_port")
                    .join(name_of(port))
                    .join("port_no"),
            )?;
            name.older = format!("ata-{number}");
            prepend(
                &mut name.text,
                &match bus {
                    0 => format!("ata-{number}.{target}"),
                    behind_multiplier => format!("ata-{number}.{behind_multiplier}.0"),
                },
            );
        } else {
            let first = first_host(host_folder.parent()?)?;
            name.prepend(&format!("scsi-{}:{bus}:{target}:{lun}", host.checked_sub(first)?));
        }
        Some(host_folder)
    }

    fn sas(&self, end_device: &Path, lun: u64) -> Option<String> {
        let device = self.sys.join("class/sas_device").join(name_of(end_device));
        let port = end_device.parent()?;
        let phys = text(
            &self
                .sys
                .join("class/sas_port")
                .join(name_of(port))
                .join("num_phys"),
        )?;
        if phys != "1" {
            return Some(format!("sas-{}-lun-{lun}", text(&device.join("sas_address"))?));
        }
        let phy = text(&device.join("phy_identifier"))?;
        let expander = self.sys.join("class/sas_device").join(name_of(port.parent()?));
        Some(match text(&expander.join("sas_address")) {
            Some(address) => format!("sas-exp{address}-phy{phy}-lun-{lun}"),
            None => format!("sas-phy{phy}-lun-{lun}"),
        })
    }
}

fn usb(at: &Path, name: &mut Name) -> Option<PathBuf> {
    if !matches!(kind_of(at).as_deref(), Some("usb_interface" | "usb_device")) {
        return Some(at.to_owned());
    }
    let Some((_, port)) = name_of(at).split_once('-') else {
        return Some(at.to_owned());
    };
    name.prepend(&format!("usb-0:{port}"));
    topmost(at, "usb")
}

/// The lowest host number of a controller.
fn first_host(controller: &Path) -> Option<u64> {
    let entries = fs::read_dir(controller).ok()?;
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("host")?.parse().ok())
        .min()
}

/// The highest device of the same subsystem in a row.
fn topmost(at: &Path, subsystem: &str) -> Option<PathBuf> {
    at.ancestors()
        .take_while(|above| subsystem_of(above).as_deref() == Some(subsystem))
        .last()
        .map(Path::to_owned)
}

fn name_of(at: &Path) -> &str {
    at.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn subsystem_of(at: &Path) -> Option<String> {
    let link = fs::read_link(at.join("subsystem")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

fn kind_of(at: &Path) -> Option<String> {
    let event = text(&at.join("uevent"))?;
    let line = event.lines().find_map(|line| line.strip_prefix("DEVTYPE="))?;
    Some(line.trim().to_owned())
}
